"""First and second derivatives of a quadratic energy E(x, θ) at fixed unknowns x: by autograd, or as compiled sums."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from farfield.coulomb.sums.second_derivatives import SecondDerivatives
from farfield.system import System, per_atom, per_system

Rows = list[Tensor | None]
"""One for each variable; None for zero."""


class Scaled(Protocol):
    """Derivatives of Σ scale·E."""

    @property
    def values(self) -> Rows:
        """Gradient by the variables."""
        ...

    def hessian_vector(self, along: Sequence[Tensor | None]) -> tuple[Tensor | None, Tensor | None, Rows]:
        """Gradient of along·values by the unknowns, the scale and the variables."""
        ...


class Gradients(Protocol):
    """Derivatives of an energy E(x, θ) by its variables, at fixed unknowns."""

    def scaled(self, scale: Tensor, *, with_graph: bool) -> Scaled:
        """Weigh each energy by ``scale`` (systems,); ``with_graph`` where ``hessian_vector`` will be asked for."""
        ...

    def vjp_of_gradient(self, along: Tensor) -> Rows:
        """Gradient of along·∂E/∂x by the variables."""
        ...


class HasEnergy(Protocol):
    """A functional as autograd needs it."""

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """Variables of the energy besides the unknowns."""
        ...

    def energy(self, unknowns: Tensor) -> Tensor:
        """``(systems,)`` eV; differentiable."""
        ...


@dataclass
class GradientsByAutograd:
    """Derivatives by one graph of the energy, gone through as often as wanted."""

    unknowns: Tensor
    leaves: tuple[Tensor, ...]
    energy: Tensor  # (systems,)

    @classmethod
    def of(cls, functional: HasEnergy, unknowns: Tensor) -> "GradientsByAutograd":
        """Record the graph of a functional whose variables are leaves."""
        unknowns = unknowns.detach().requires_grad_()
        return cls(unknowns, functional.variables, functional.energy(unknowns))

    @cached_property
    def _gradient(self) -> Tensor:
        with torch.enable_grad():
            return torch.autograd.grad(self.energy.sum(), self.unknowns, create_graph=True)[0]

    def scaled(self, scale: Tensor, *, with_graph: bool) -> Scaled:
        """Weigh each energy by ``scale``."""
        with torch.enable_grad():
            scale = scale.detach().requires_grad_()
            return _ScaledByAutograd(
                self, scale, gradients_of([scale @ self.energy], self.leaves, create_graph=with_graph)
            )

    def vjp_of_gradient(self, along: Tensor) -> Rows:
        """Gradient of along·∂E/∂x by the variables."""
        return gradients_of([self._gradient], self.leaves, [along])


@dataclass
class _ScaledByAutograd:
    of: GradientsByAutograd
    scale: Tensor
    values: Rows

    def hessian_vector(self, along: Sequence[Tensor | None]) -> tuple[Tensor | None, Tensor | None, Rows]:
        variables = (self.of.unknowns, self.scale, *self.of.leaves)
        grad_unknowns, grad_scale, *rows = gradients_of(self.values, variables, along)
        return grad_unknowns, grad_scale, rows


@dataclass
class GradientsOfCharges:
    """Derivatives of Σ(χ q + ½ J q²) + ½ q·A·q by χ, J and positions, the first three of so many variables."""

    system: System
    charges: Tensor  # (atoms,)
    curvature: SecondDerivatives
    count: int

    def scaled(self, scale: Tensor, *, with_graph: bool) -> Scaled:  # noqa: ARG002
        """Weigh each energy by ``scale``."""
        return _ScaledOfCharges(self, scale.detach())

    def vjp_of_gradient(self, along: Tensor) -> Rows:
        """Gradient of along·∂E/∂q by the variables."""
        still = torch.zeros_like(self.system.positions)
        _, grad_positions = self.curvature.hessian_vector(torch.ones_like(self.system.cell[:, 0, 0]), along, still)
        return self.rows(along, along * self.charges, grad_positions)

    def rows(self, *known: Tensor | None) -> Rows:
        """Fill up with None for variables that nothing depends on."""
        return [*known, *[None] * (self.count - len(known))]


@dataclass
class _ScaledOfCharges:
    of: GradientsOfCharges
    scale: Tensor

    @property
    def values(self) -> Rows:
        own, charges = per_atom(self.scale, self.of.system), self.of.charges
        grad_slope = own * charges
        grad_positions = own.unsqueeze(1) * self.of.curvature.gradient[1]
        return self.of.rows(grad_slope, 0.5 * grad_slope * charges, grad_positions)

    def hessian_vector(self, along: Sequence[Tensor | None]) -> tuple[Tensor | None, Tensor | None, Rows]:
        system, q, curvature = self.of.system, self.of.charges, self.of.curvature
        slope, hardness, positions = (
            torch.zeros_like(like) if x is None else x for x, like in zip(along, (q, q, system.positions))
        )
        still = torch.zeros_like(q)
        grad_charges, grad_positions = curvature.hessian_vector(self.scale, still, positions)
        grad_charges = grad_charges + per_atom(self.scale, system) * (slope + hardness * q)
        grad_scale = per_system(q * (slope + 0.5 * hardness * q), system)
        grad_scale = grad_scale + curvature.directional_derivative(still, positions)
        return grad_charges, grad_scale, self.of.rows(None, None, grad_positions)


def gradients_of(
    values: Sequence[Tensor | None],
    by: Sequence[Tensor],
    along: Sequence[Tensor | None] | None = None,
    *,
    create_graph: bool = False,
) -> Rows:
    """Gradient of Σ values·along by whatever requires one; the graph is kept."""
    pairs = zip(values, [None] * len(values) if along is None else along)
    there = [(x, v) for x, v in pairs if x is not None and x.requires_grad and (along is None or v is not None)]
    asked = [x for x in by if x.requires_grad]
    if not there or not asked:
        return [None] * len(by)
    outputs, weights = zip(*there)
    found = iter(
        torch.autograd.grad(outputs, asked, weights, retain_graph=True, create_graph=create_graph, allow_unused=True)
    )
    return [next(found) if x.requires_grad else None for x in by]
