"""Energies whose minimum is sought, and that minimum with its derivatives.

With x(θ) the minimum of E(x, θ), dE/dθ is the partial derivative at fixed x: nothing flows through x, and no adjoint is
solved for forces. Second derivatives do need dx/dθ, to first order: ∂²E/∂θ² + ∂²E/∂θ∂x dx/dθ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from farfield.coulomb import Coulomb
from farfield.coulomb.plan import Plan
from farfield.geometry.neighbors import with_neighbors
from farfield.system import System, per_atom, per_system


class Form(Protocol):
    """A quadratic energy of some unknowns."""

    @property
    def system(self) -> System:
        """Whose energy it is."""
        ...

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """What it depends on besides the unknowns."""
        ...

    def at(self, variables: Sequence[Tensor]) -> "Form":
        """The same with other variables."""
        ...

    def energy(self, unknowns: Tensor) -> Tensor:
        """``(systems,)`` eV; differentiable."""
        ...


@dataclass(frozen=True)
class ChargeForm:
    """Σ(χ_i q_i + ½ J_i q_i²) + ½ q·A·q of atomic charges q; all in double precision."""

    system: System
    slope: Tensor  # (atoms,) V, χ and what else is linear
    hardness: Tensor  # (atoms,) V/e
    widths: Tensor | float | None
    coulomb: Coulomb
    plan: Plan

    @classmethod
    def of(
        cls, system: System, slope: Tensor, hardness: Tensor, widths: Tensor | float | None, coulomb: Coulomb,
        *, dense: bool,
    ) -> "ChargeForm":  # fmt: skip
        """One plan and one neighbour search for whatever follows."""
        if isinstance(widths, Tensor):
            widths = widths.double()
        system = replace(
            system, positions=system.positions.double(), cell=system.cell.double(), charge=system.charge.double()
        )
        plan = coulomb.plan(system, widths, dense=dense)
        known = system.neighbors
        if plan.reach > 0 and (known is None or known.cutoff < plan.reach):
            system = with_neighbors(system, plan.reach)
        return cls(system, slope.double(), hardness.double(), widths, coulomb, plan)

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """Slope, hardness, positions, cell and widths."""
        widths = (self.widths,) if isinstance(self.widths, Tensor) else ()
        return (self.slope, self.hardness, self.system.positions, self.system.cell, *widths)

    def at(self, variables: Sequence[Tensor]) -> "ChargeForm":
        """The same with other variables."""
        slope, hardness, positions, cell, *widths = variables
        system = replace(self.system, positions=positions, cell=cell)
        return replace(self, system=system, slope=slope, hardness=hardness, widths=widths[0] if widths else self.widths)

    def energy(self, unknowns: Tensor) -> Tensor:
        """Of charges ``(atoms,)`` in e: ``(systems,)`` eV; differentiable."""
        coulomb = self.coulomb.energy(self.system, charges=unknowns, widths=self.widths, plan=self.plan)
        return per_system(unknowns * (self.slope + 0.5 * self.hardness * unknowns), self.system) + coulomb


def level(form: Form, unknowns: Tensor) -> Tensor:
    """dE/dx, shaped as the unknowns; with a graph where one is recorded. Of charges, their chemical potentials in V."""
    with_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        at = unknowns if unknowns.requires_grad else unknowns.detach().requires_grad_()
        (slope,) = torch.autograd.grad(form.energy(at).sum(), at, create_graph=with_graph)
    return slope


def energy_at_minimum(
    form: Form,
    unknowns: Tensor,  # the minimum, with derivatives to first order at least
    total: Tensor | None = None,  # (systems,) e, to which unknown charges sum; nan where nothing is fixed
) -> Tensor:  # (systems,) eV
    """E at its minimum, as a function of the form's variables and the total only."""
    fixed = unknowns.new_zeros(0) if total is None else total
    energy: Tensor = _AtMinimum.apply((form, unknowns), fixed, *form.variables)  # type: ignore[no-untyped-call]
    return energy


class _AtMinimum(torch.autograd.Function):
    """First derivatives at fixed unknowns; those of higher order follow, as the unknowns keep their graph.

    The unknowns are no input: a backward pass would go through their graph all the same, with zeros.
    """

    @staticmethod
    def forward(ctx: Any, found: tuple[Form, Tensor], total: Tensor, *variables: Tensor) -> Tensor:
        ctx.form, ctx.unknowns = found
        ctx.save_for_backward(total, *variables)
        energy: Tensor = ctx.form.energy(ctx.unknowns.detach())  # of the same variables
        return energy

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        with_graph = torch.is_grad_enabled()
        total, *variables = ctx.saved_tensors
        held, unknowns = len(total) > 0, ctx.unknowns if with_graph else ctx.unknowns.detach()
        if held and not unknowns.requires_grad:
            unknowns = unknowns.detach().requires_grad_()
        with torch.enable_grad():
            # other names for the same, so that nothing is found by way of the unknowns
            alike = [x.view_as(x) if x.requires_grad else x for x in (unknowns, *variables)]
            energy = (grad * ctx.form.at(alike[1:]).energy(alike[0])).sum()
            asked = [x for x, needed in zip(alike, (held, *ctx.needs_input_grad[2:])) if needed]
            found = iter(torch.autograd.grad(energy, asked, create_graph=with_graph, allow_unused=True))
        to_total = None
        if held:
            system = ctx.form.system
            mean = per_system(next(found), system) / system.atoms_per_system.clamp_min(1)
            to_total = torch.where(total.isnan(), 0.0, mean)
        return (None, to_total, *(next(found) if needed else None for needed in ctx.needs_input_grad[2:]))


def has_gradient(*tensors: Tensor) -> bool:
    """Whether derivatives by any of them are recorded."""
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)


def spread_evenly(total: Tensor, system: System) -> Tensor:
    """``(systems,)`` over the atoms ``(atoms,)``."""
    return per_atom(total / system.atoms_per_system.clamp_min(1), system).expand(system.n_atoms)
