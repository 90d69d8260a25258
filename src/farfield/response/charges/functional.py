"""Energies whose minimum is sought, and that minimum with its derivatives.

With x(θ) the minimum of E(x, θ), dE/dθ is the partial derivative at fixed x: nothing flows through x, and no adjoint is
solved for forces. Along v the derivative of that by θ is ∂(v·∂E/∂θ)/∂θ - ∂(λ·∂E/∂x)/∂θ with λ = J⁻¹ ∂(v·∂E/∂θ)/∂x and
J = ∂²E/∂x², one solve by what the minimum was found by; that of x along v is -∂(λ·∂E/∂x)/∂θ with λ = J⁻¹ v. What lies
beyond goes by ``implicit_gradient``. The energy is known once the minimum is: none is summed before a gradient is
asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from farfield.coulomb import Coulomb
from farfield.coulomb.plan.plan import Plan
from farfield.geometry.half_list import with_half_list
from farfield.response.charges.functional_derivatives import (
    Gradients,
    GradientsByAutograd,
    GradientsOfCharges,
    gradients_of,
)
from farfield.response.charges.groups import ChargeGroups
from farfield.response.solvers.implicit import Linear, implicit_gradient
from farfield.system import System, per_system


class Functional(Protocol):
    """A quadratic energy of some unknowns."""

    @property
    def system(self) -> System:
        """Systems whose energy it is."""
        ...

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """Variables it depends on besides the unknowns."""
        ...

    def at(self, variables: Sequence[Tensor]) -> "Functional":
        """Replace the variables."""
        ...

    def energy(self, unknowns: Tensor) -> Tensor:
        """``(systems,)`` eV; differentiable."""
        ...

    def gradients(self, unknowns: Tensor) -> Gradients:
        """Differentiate the energy, where the variables are leaves."""
        ...


@dataclass(frozen=True)
class ChargeFunctional:
    """Σ(χ_i q_i + ½ J_i q_i²) + ½ q·A·q of atomic charges q; all in double precision.

    Where charge is ``groups``, charges follow the totals: a total that grows is spread over its atoms.
    """

    system: System
    slope: Tensor  # (atoms,) V, χ and what else is linear
    hardness: Tensor  # (atoms,) V/e
    widths: Tensor | float | None
    coulomb: Coulomb
    plan: Plan
    groups: ChargeGroups | None = None

    @classmethod
    def of(
        cls, system: System, slope: Tensor, hardness: Tensor, widths: Tensor | float | None, coulomb: Coulomb,
        *, dense: bool, groups: ChargeGroups | None = None,
    ) -> "ChargeFunctional":  # fmt: skip
        """One plan and one neighbour search for whatever follows."""
        if isinstance(widths, Tensor):
            widths = widths.double()
        system = replace(
            system, positions=system.positions.double(), cell=system.cell.double(), charge=system.charge.double()
        )
        plan = coulomb.plan(system, widths, dense=dense)
        if groups is not None:
            groups = groups.at(groups.total.double())
        return cls(with_half_list(system, plan.reach), slope.double(), hardness.double(), widths, coulomb, plan, groups)

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """Join slope, hardness, positions, cell, and widths and totals where there are such."""
        widths = (self.widths,) if isinstance(self.widths, Tensor) else ()
        totals = () if self.groups is None else (self.groups.total,)
        return (self.slope, self.hardness, self.system.positions, self.system.cell, *widths, *totals)

    def at(self, variables: Sequence[Tensor]) -> "ChargeFunctional":
        """Replace the variables."""
        slope, hardness, positions, cell, *others = variables
        widths = others.pop(0) if isinstance(self.widths, Tensor) else self.widths
        groups = None if self.groups is None else self.groups.at(others.pop())
        system = replace(self.system, positions=positions, cell=cell)
        return replace(self, system=system, slope=slope, hardness=hardness, widths=widths, groups=groups)

    def energy(self, unknowns: Tensor) -> Tensor:
        """Energy ``(systems,)`` in eV of charges ``(atoms,)`` in e; differentiable."""
        charges = unknowns
        if self.groups is not None and (total := self.groups.total).requires_grad:
            charges = charges + self.groups.spread(total - total.detach())
        coulomb = self.coulomb.energy(self.system, charges=charges, widths=self.widths, plan=self.plan)
        return per_system(charges * (self.slope + 0.5 * self.hardness * charges), self.system) + coulomb

    def gradients(self, unknowns: Tensor) -> Gradients:
        """Differentiate at charges: compiled ones where only slope, hardness and positions are differentiated by."""
        others = (self.widths, *(() if self.groups is None else (self.groups.total,)))
        curvature = None
        if not any(isinstance(x, Tensor) and x.requires_grad for x in others):
            curvature = self.coulomb.curvature(self.system, unknowns, self.widths, plan=self.plan)
        if curvature is None:
            return GradientsByAutograd.of(self, unknowns)
        return GradientsOfCharges(self.system, unknowns, curvature, len(self.variables))

    def energy_of(self, charges: Tensor, potential: Tensor) -> Tensor:
        """Energy ``(systems,)`` where the potential (J + A)·q ``(atoms,)`` in V of the charges is at hand."""
        return per_system(charges * (self.slope + 0.5 * potential), self.system)


def chemical_potentials(functional: Functional, unknowns: Tensor) -> Tensor:
    """Differentiate the energy by the unknowns, with a graph where one is recorded: of charges dE/dq in V."""
    with_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        at = unknowns if unknowns.requires_grad else unknowns.detach().requires_grad_()
        (slope,) = torch.autograd.grad(functional.energy(at).sum(), at, create_graph=with_graph)
    return slope


def minimum(
    functional: Functional,
    unknowns: Tensor,  # where the minimum is; no graph
    energy: Tensor,  # (systems,) eV, there
    solve: Linear,  # J⁻¹, of what the unknowns may do; no graph needed
) -> tuple[Tensor, Tensor]:
    """Make unknowns and energy twice differentiable in the functional's variables; their values stay."""
    if not has_gradient(*functional.variables):
        return unknowns, energy
    at = _Minimum(functional, unknowns.detach(), solve)
    found: Tensor = _MinimumUnknowns.apply(at, *functional.variables)  # type: ignore[no-untyped-call]
    least: Tensor = _MinimumEnergy.apply(at, energy.detach(), *functional.variables)  # type: ignore[no-untyped-call]
    return found, least


class _Minimum:
    """Minimum of a functional, and how it moves with the variables."""

    def __init__(self, functional: Functional, unknowns: Tensor, solve: Linear) -> None:
        self.functional, self.unknowns, self.solve = functional, unknowns, solve
        self._gradients: Gradients | None = None

    def gradients(self, variables: Sequence[Tensor]) -> Gradients:
        """Differentiate the energy there; once for all derivatives."""
        if self._gradients is None:
            with torch.enable_grad():
                leaves = [x.detach().requires_grad_(x.requires_grad) for x in variables]
                self._gradients = self.functional.at(leaves).gradients(self.unknowns)
        return self._gradients

    def response_to(self, along: Tensor, variables: Sequence[Tensor]) -> list[Tensor | None]:
        """Gradient of along·x by the variables; without a graph."""
        return self.gradients(variables).vjp_of_gradient(-self.solve(along))

    def with_graph_of(self, variables: Sequence[Tensor]) -> Tensor:
        """The unknowns with a graph through the variables."""
        functional = self.functional.at(variables)
        return implicit_gradient(self.unknowns, lambda values: chemical_potentials(functional, values), self.solve)


class _MinimumUnknowns(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, at: _Minimum, *variables: Tensor) -> Tensor:
        ctx.at = at
        ctx.save_for_backward(*variables)
        return at.unknowns.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        variables = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return None, *ctx.at.response_to(grad, variables)
        alike = _alike(variables)
        return None, *gradients_of([ctx.at.with_graph_of(alike)], alike, [grad], create_graph=True)


class _MinimumEnergy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, at: _Minimum, energy: Tensor, *variables: Tensor) -> Tensor:
        ctx.at = at
        ctx.save_for_backward(*variables)
        return energy.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gradients = _MinimumGradient.apply(ctx.at, torch.is_grad_enabled(), grad, *ctx.saved_tensors)  # type: ignore[no-untyped-call]
        return None, None, *gradients


class _MinimumGradient(torch.autograd.Function):
    """Σ scale·E differentiated by the variables at fixed unknowns."""

    @staticmethod
    def forward(
        ctx: Any, at: _Minimum, with_graph: bool, scale: Tensor, *variables: Tensor
    ) -> tuple[Tensor | None, ...]:
        ctx.at = at
        ctx.save_for_backward(scale, *variables)
        ctx.scaled = at.gradients(variables).scaled(scale, with_graph=with_graph)
        return tuple(None if x is None else x.detach() for x in ctx.scaled.values)

    @staticmethod
    def backward(ctx: Any, *along: Tensor | None) -> tuple[Tensor | None, ...]:
        scale, *variables = ctx.saved_tensors
        if torch.is_grad_enabled():
            alike = _alike([scale, *variables])
            same = _alike(alike[1:])  # other names, so that no slope is found by way of the unknowns
            unknowns = ctx.at.with_graph_of(alike[1:])
            energy = ctx.at.functional.at(same).energy(unknowns.view_as(unknowns))
            found = gradients_of([alike[0] @ energy], same, create_graph=True)
            return None, None, *gradients_of(found, alike, along, create_graph=True)
        grad_unknowns, grad_scale, direct = ctx.scaled.hessian_vector(along)
        if grad_unknowns is None:
            return None, None, grad_scale, *direct
        return None, None, grad_scale, *map(_sum, direct, ctx.at.response_to(grad_unknowns, variables))


def _alike(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Give tensors other names, so that each is a node of its own."""
    return [x.view_as(x) if x.requires_grad else x for x in tensors]


def _sum(one: Tensor | None, two: Tensor | None) -> Tensor | None:
    return two if one is None else one if two is None else one + two


def has_gradient(*tensors: Tensor) -> bool:
    """Tell whether derivatives by any of them are recorded."""
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
