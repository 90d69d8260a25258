"""Energies whose minimum is sought, and that minimum with its derivatives.

With x(θ) the minimum of E(x, θ), dE/dθ is the partial derivative at fixed x: nothing flows through x, and no adjoint is
solved for forces. Along v the derivative of that by θ is ∂(v·∂E/∂θ)/∂θ - ∂(λ·∂E/∂x)/∂θ with λ = J⁻¹ ∂(v·∂E/∂θ)/∂x and
J = ∂²E/∂x², one solve by what the minimum was found by; that of x along v is -∂(λ·∂E/∂x)/∂θ with λ = J⁻¹ v. What lies
beyond goes the way of ``carried``. The energy is known once the minimum is: none is summed before a slope is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from farfield.coulomb import Coulomb
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sums.real_space import attached
from farfield.response.charges.functional_derivatives import Slopes, SlopesByAutograd, SlopesOfCharges, slopes_of
from farfield.response.charges.groups import Conserved
from farfield.response.solvers.implicit import Linear, carried
from farfield.system import System, per_system


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

    def slopes(self, unknowns: Tensor) -> Slopes:
        """Derivatives of that, where the variables are leaves."""
        ...


@dataclass(frozen=True)
class ChargeForm:
    """Σ(χ_i q_i + ½ J_i q_i²) + ½ q·A·q of atomic charges q; all in double precision.

    Where charge is ``conserved``, charges follow the totals: a total that grows is spread over its atoms.
    """

    system: System
    slope: Tensor  # (atoms,) V, χ and what else is linear
    hardness: Tensor  # (atoms,) V/e
    widths: Tensor | float | None
    coulomb: Coulomb
    plan: Plan
    conserved: Conserved | None = None

    @classmethod
    def of(
        cls, system: System, slope: Tensor, hardness: Tensor, widths: Tensor | float | None, coulomb: Coulomb,
        *, dense: bool, conserved: Conserved | None = None,
    ) -> "ChargeForm":  # fmt: skip
        """One plan and one neighbour search for whatever follows."""
        if isinstance(widths, Tensor):
            widths = widths.double()
        system = replace(
            system, positions=system.positions.double(), cell=system.cell.double(), charge=system.charge.double()
        )
        plan = coulomb.plan(system, widths, dense=dense)
        if conserved is not None:
            conserved = conserved.at(conserved.total.double())
        return cls(attached(system, plan.reach), slope.double(), hardness.double(), widths, coulomb, plan, conserved)

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """Slope, hardness, positions, cell, and widths and totals where there are such."""
        widths = (self.widths,) if isinstance(self.widths, Tensor) else ()
        totals = () if self.conserved is None else (self.conserved.total,)
        return (self.slope, self.hardness, self.system.positions, self.system.cell, *widths, *totals)

    def at(self, variables: Sequence[Tensor]) -> "ChargeForm":
        """The same with other variables."""
        slope, hardness, positions, cell, *others = variables
        widths = others.pop(0) if isinstance(self.widths, Tensor) else self.widths
        conserved = None if self.conserved is None else self.conserved.at(others.pop())
        system = replace(self.system, positions=positions, cell=cell)
        return replace(self, system=system, slope=slope, hardness=hardness, widths=widths, conserved=conserved)

    def energy(self, unknowns: Tensor) -> Tensor:
        """Of charges ``(atoms,)`` in e: ``(systems,)`` eV; differentiable."""
        charges = unknowns
        if self.conserved is not None and (total := self.conserved.total).requires_grad:
            charges = charges + self.conserved.spread(total - total.detach())
        coulomb = self.coulomb.energy(self.system, charges=charges, widths=self.widths, plan=self.plan)
        return per_system(charges * (self.slope + 0.5 * self.hardness * charges), self.system) + coulomb

    def slopes(self, unknowns: Tensor) -> Slopes:
        """Derivatives at charges: compiled ones where only slope, hardness and positions are differentiated by."""
        others = (self.widths, *(() if self.conserved is None else (self.conserved.total,)))
        curvature = None
        if not any(isinstance(x, Tensor) and x.requires_grad for x in others):
            curvature = self.coulomb.curvature(self.system, unknowns, self.widths, plan=self.plan)
        if curvature is None:
            return SlopesByAutograd.of(self, unknowns)
        return SlopesOfCharges(self.system, unknowns, curvature, len(self.variables))

    def energy_of(self, charges: Tensor, felt: Tensor) -> Tensor:
        """The same ``(systems,)`` where what they feel, (J + A)·q ``(atoms,)`` in V, is at hand."""
        return per_system(charges * (self.slope + 0.5 * felt), self.system)


def level(form: Form, unknowns: Tensor) -> Tensor:
    """dE/dx, shaped as the unknowns; with a graph where one is recorded. Of charges, their chemical potentials in V."""
    with_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        at = unknowns if unknowns.requires_grad else unknowns.detach().requires_grad_()
        (slope,) = torch.autograd.grad(form.energy(at).sum(), at, create_graph=with_graph)
    return slope


def minimum(
    form: Form,
    unknowns: Tensor,  # where the minimum is; no graph
    energy: Tensor,  # (systems,) eV, there
    solve: Linear,  # J⁻¹, of what the unknowns may do; no graph needed
) -> tuple[Tensor, Tensor]:
    """The same unknowns and energy, twice differentiable in the form's variables."""
    if not has_gradient(*form.variables):
        return unknowns, energy
    at = _Minimum(form, unknowns.detach(), solve)
    found: Tensor = _Unknowns.apply(at, *form.variables)  # type: ignore[no-untyped-call]
    least: Tensor = _Energy.apply(at, energy.detach(), *form.variables)  # type: ignore[no-untyped-call]
    return found, least


class _Minimum:
    """A minimum, and how it moves."""

    def __init__(self, form: Form, unknowns: Tensor, solve: Linear) -> None:
        self.form, self.unknowns, self.solve = form, unknowns, solve
        self._slopes: Slopes | None = None

    def slopes(self, variables: Sequence[Tensor]) -> Slopes:
        """Of the energy there; the same for all derivatives."""
        if self._slopes is None:
            with torch.enable_grad():
                leaves = [x.detach().requires_grad_(x.requires_grad) for x in variables]
                self._slopes = self.form.at(leaves).slopes(self.unknowns)
        return self._slopes

    def answer(self, along: Tensor, variables: Sequence[Tensor]) -> list[Tensor | None]:
        """Slopes of along·x by the variables; without a graph."""
        return self.slopes(variables).of_level(-self.solve(along))

    def carried(self, variables: Sequence[Tensor]) -> Tensor:
        """The unknowns with a graph through the variables."""
        form = self.form.at(variables)
        return carried(self.unknowns, lambda values: level(form, values), self.solve)


class _Unknowns(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, at: _Minimum, *variables: Tensor) -> Tensor:
        ctx.at = at
        ctx.save_for_backward(*variables)
        return at.unknowns.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        variables = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return None, *ctx.at.answer(grad, variables)
        alike = _alike(variables)
        return None, *slopes_of([ctx.at.carried(alike)], alike, [grad], create_graph=True)


class _Energy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, at: _Minimum, energy: Tensor, *variables: Tensor) -> Tensor:
        ctx.at = at
        ctx.save_for_backward(*variables)
        return energy.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        slopes = _Slopes.apply(ctx.at, torch.is_grad_enabled(), grad, *ctx.saved_tensors)  # type: ignore[no-untyped-call]
        return None, None, *slopes


class _Slopes(torch.autograd.Function):
    """Σ scale·E differentiated by the variables at fixed unknowns."""

    @staticmethod
    def forward(
        ctx: Any, at: _Minimum, with_graph: bool, scale: Tensor, *variables: Tensor
    ) -> tuple[Tensor | None, ...]:
        ctx.at = at
        ctx.save_for_backward(scale, *variables)
        ctx.scaled = at.slopes(variables).scaled(scale, with_graph=with_graph)
        return tuple(None if x is None else x.detach() for x in ctx.scaled.values)

    @staticmethod
    def backward(ctx: Any, *along: Tensor | None) -> tuple[Tensor | None, ...]:
        scale, *variables = ctx.saved_tensors
        if torch.is_grad_enabled():
            alike = _alike([scale, *variables])
            same = _alike(alike[1:])  # other names, so that no slope is found by way of the unknowns
            unknowns = ctx.at.carried(alike[1:])
            energy = ctx.at.form.at(same).energy(unknowns.view_as(unknowns))
            found = slopes_of([alike[0] @ energy], same, create_graph=True)
            return None, None, *slopes_of(found, alike, along, create_graph=True)
        by_unknowns, by_scale, direct = ctx.scaled.bends(along)
        if by_unknowns is None:
            return None, None, by_scale, *direct
        return None, None, by_scale, *map(_sum, direct, ctx.at.answer(by_unknowns, variables))


def _alike(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Other names for the same."""
    return [x.view_as(x) if x.requires_grad else x for x in tensors]


def _sum(one: Tensor | None, two: Tensor | None) -> Tensor | None:
    return two if one is None else one if two is None else one + two


def has_gradient(*tensors: Tensor) -> bool:
    """Whether derivatives by any of them are recorded."""
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
