"""The functional of densities that answer to the potential they make (self_consistent.py)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from farfield.coulomb import Coulomb
from farfield.coulomb.plan.plan import Plan
from farfield.field import field_across
from farfield.response.density.atomic_response import AtomicResponse
from farfield.response.solvers.conjugate_gradient import Linear
from farfield.system import System, per_atom, per_system


@dataclass(frozen=True)
class DensityForm:
    """The functional of densities and levels ``values`` (4·atoms + systems,); all in double precision."""

    system: System
    response: AtomicResponse
    widths: Tensor  # (atoms,), Å; held fixed
    coulomb: Coulomb
    plan: Plan

    @property
    def conditions(self) -> tuple[str, ...]:
        """Which of those a derivative may be taken by there are."""
        return tuple(name for name in ("external_field", "fermi_level") if getattr(self.system, name) is not None)

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """Positions, cell, total charge, conditions, and those of the response."""
        system = self.system
        given = (getattr(system, name) for name in self.conditions)
        return (system.positions, system.cell, system.charge, *given, *self.response.variables)

    def at(self, variables: Sequence[Tensor]) -> "DensityForm":
        """The same with other variables."""
        positions, cell, charge, *others = variables
        names = self.conditions
        given: dict[str, Any] = dict(zip(names, others))
        system = replace(self.system, positions=positions, cell=cell, charge=charge, **given)
        return replace(self, system=system, response=self.response.at(others[len(names) :]))

    @cached_property
    def made(self) -> Linear:
        """A: densities ``(atoms, 4)`` to the potentials and minus the fields they make; prepared once."""
        interaction = self.coulomb.interaction(self.system, self.widths, plan=self.plan)
        own = self.response.own  # not ``self``, which keeps this: a cycle would hold the pairs until it is collected
        return lambda density: interaction.slopes(density.unsqueeze(2)).squeeze(2) + own * density

    @cached_property
    def external(self) -> Tensor:
        """(-E·R, -E) ``(atoms, 4)`` of the field as far as it has a potential."""
        field = per_atom(field_across(self.system), self.system).expand(self.system.n_atoms, 3)
        return torch.cat([-(field * self.system.positions).sum(1, keepdim=True), -field], 1)

    @cached_property
    def held(self) -> Tensor:
        """Which systems ``(systems,)`` keep their total charge."""
        fermi = self.system.fermi_level
        return torch.ones_like(self.system.spin, dtype=torch.bool) if fermi is None else fermi.isnan()

    def parted(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Densities ``(atoms, 4)`` and levels ``(systems,)``."""
        atoms = 4 * self.system.n_atoms
        return values[:atoms].reshape(-1, 4), values[atoms:]

    def felt(self, made: Tensor, level: Tensor) -> Tensor:
        """What A ρ, the field and the levels come to ``(atoms, 4)``."""
        raised = per_atom(level, self.system).expand(self.system.n_atoms)
        return made + self.external + torch.nn.functional.pad(raised.unsqueeze(1), (0, 3))

    def level(self, level: Tensor) -> Tensor:
        """The Fermi level where there is one."""
        fermi = self.system.fermi_level
        return level if fermi is None else torch.where(self.held, level, fermi)

    def energy(self, unknowns: Tensor) -> Tensor:
        """``(systems,)`` eV; differentiable, stationary at the solution."""
        density, level = self.parted(unknowns)
        level, made = self.level(level), self.made(density)
        of_atoms = self.response.energy(self.felt(made, level)) - 0.5 * (density * made).sum(1)
        return per_system(of_atoms, self.system) - torch.where(self.held, level * self.system.charge, 0.0)

    def residual(self, values: Tensor) -> Tensor:
        """ρ - ∂w/∂x, and what charges miss of the total, or the level of the Fermi level; differentiable."""
        density, level = self.parted(values)
        missed = density - self.response.density(self.felt(self.made(density), level))
        excess = per_system(density[:, 0], self.system) - self.system.charge
        if self.system.fermi_level is not None:
            excess = torch.where(self.held, excess, level - self.system.fermi_level)
        return torch.cat([missed.flatten(), excess])
