"""The functional of densities that respond to the potential they make (self_consistent.py)."""

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
class DensityFunctional:
    """Functional of densities and chemical potentials, ``values`` (4·atoms + systems,); all in double precision."""

    system: System
    response: AtomicResponse
    widths: Tensor  # (atoms,), Å; held fixed
    coulomb: Coulomb
    plan: Plan
    external_potential: Tensor | None = None  # (atoms, 4), V and V/Å: of charges outside, and its gradient

    @property
    def conditions(self) -> tuple[str, ...]:
        """Name the conditions there are that a derivative may be taken by."""
        return tuple(name for name in ("external_field", "fermi_level") if getattr(self.system, name) is not None)

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """Positions, cell, total charge, conditions, an external potential, and those of the response."""
        system, outside = self.system, self.external_potential
        given = [getattr(system, name) for name in self.conditions] + ([] if outside is None else [outside])
        return (system.positions, system.cell, system.charge, *given, *self.response.variables)

    def at(self, variables: Sequence[Tensor]) -> "DensityFunctional":
        """Replace the variables."""
        positions, cell, charge, *others = variables
        names = self.conditions
        given: dict[str, Any] = dict(zip(names, others))
        del others[: len(names)]
        outside = None if self.external_potential is None else others.pop(0)
        system = replace(self.system, positions=positions, cell=cell, charge=charge, **given)
        return replace(self, system=system, external_potential=outside, response=self.response.at(others))

    @cached_property
    def induced_potential(self) -> Linear:
        """Apply A: densities ``(atoms, 4)`` to the potentials and minus the fields they make; prepared once."""
        interaction = self.coulomb.interaction(self.system, self.widths, plan=self.plan)
        # not ``self``, which keeps this: a cycle would hold the pairs until it is collected
        self_term = self.response.self_term
        return lambda density: interaction.gradient(density.unsqueeze(2)).squeeze(2) + self_term * density

    @cached_property
    def external(self) -> Tensor:
        """Sum (-E·R, -E) ``(atoms, 4)`` of the field as far as it has a potential, and that of charges outside."""
        field = per_atom(field_across(self.system), self.system).expand(self.system.n_atoms, 3)
        uniform = torch.cat([-(field * self.system.positions).sum(1, keepdim=True), -field], 1)
        return uniform if self.external_potential is None else uniform + self.external_potential

    @cached_property
    def held(self) -> Tensor:
        """Mark the systems ``(systems,)`` that keep their total charge."""
        fermi = self.system.fermi_level
        return torch.ones_like(self.system.spin, dtype=torch.bool) if fermi is None else fermi.isnan()

    def parted(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Part ``values`` into densities ``(atoms, 4)`` and chemical potentials ``(systems,)``, V."""
        atoms = 4 * self.system.n_atoms
        return values[:atoms].reshape(-1, 4), values[atoms:]

    def potentials(self, induced: Tensor, chemical_potential: Tensor) -> Tensor:
        """Sum potentials and minus the fields ``(atoms, 4)``: of A ρ, of the external field, the chemical potential."""
        raised = per_atom(chemical_potential, self.system).expand(self.system.n_atoms)
        return induced + self.external + torch.nn.functional.pad(raised.unsqueeze(1), (0, 3))

    def at_fermi_level(self, chemical_potential: Tensor) -> Tensor:
        """Put the Fermi level, V ``(systems,)``, in the place of chemical potentials where there is one."""
        fermi = self.system.fermi_level
        return chemical_potential if fermi is None else torch.where(self.held, chemical_potential, fermi)

    def energy(self, unknowns: Tensor) -> Tensor:
        """``(systems,)`` eV; differentiable, stationary at the solution."""
        density, chemical_potential = self.parted(unknowns)
        chemical_potential, induced = self.at_fermi_level(chemical_potential), self.induced_potential(density)
        of_atoms = self.response.energy(self.potentials(induced, chemical_potential))
        of_atoms = of_atoms - 0.5 * (density * induced).sum(1)
        return per_system(of_atoms, self.system) - torch.where(self.held, chemical_potential * self.system.charge, 0.0)

    def residual(self, values: Tensor) -> Tensor:
        """ρ - ∂w/∂x, and what charges miss of the total, or μ of the Fermi level; differentiable."""
        density, chemical_potential = self.parted(values)
        missed = density - self.response.density(self.potentials(self.induced_potential(density), chemical_potential))
        excess = per_system(density[:, 0], self.system) - self.system.charge
        if self.system.fermi_level is not None:
            excess = torch.where(self.held, excess, chemical_potential - self.system.fermi_level)
        return torch.cat([missed.flatten(), excess])
