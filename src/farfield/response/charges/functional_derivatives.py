"""First and second derivatives of a quadratic energy E(x, θ) at fixed unknowns x: by autograd, or as compiled sums."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from farfield.coulomb.sums.second_derivatives import Curvature
from farfield.system import System, per_atom, per_system

Rows = list[Tensor | None]
"""One for each variable; None for zero."""


class Scaled(Protocol):
    """Of Σ scale·E."""

    @property
    def values(self) -> Rows:
        """By the variables."""
        ...

    def bends(self, along: Sequence[Tensor | None]) -> tuple[Tensor | None, Tensor | None, Rows]:
        """Gradient of along·values by the unknowns, the scale and the variables."""
        ...


class Slopes(Protocol):
    """Of E."""

    def scaled(self, scale: Tensor, *, with_graph: bool) -> Scaled:
        """Each energy times ``scale`` (systems,); ``with_graph`` where bends will be asked for."""
        ...

    def of_level(self, along: Tensor) -> Rows:
        """Gradient of along·∂E/∂x by the variables."""
        ...


class _Energy(Protocol):
    @property
    def variables(self) -> tuple[Tensor, ...]: ...

    def energy(self, unknowns: Tensor) -> Tensor: ...


@dataclass
class SlopesByAutograd:
    """One graph of the energy, gone through as often as wanted."""

    unknowns: Tensor
    leaves: tuple[Tensor, ...]
    energy: Tensor  # (systems,)

    @classmethod
    def of(cls, form: _Energy, unknowns: Tensor) -> "SlopesByAutograd":
        """Of a form whose variables are leaves."""
        unknowns = unknowns.detach().requires_grad_()
        return cls(unknowns, form.variables, form.energy(unknowns))

    @cached_property
    def _level(self) -> Tensor:
        with torch.enable_grad():
            return torch.autograd.grad(self.energy.sum(), self.unknowns, create_graph=True)[0]

    def scaled(self, scale: Tensor, *, with_graph: bool) -> Scaled:
        """Each energy times ``scale``."""
        with torch.enable_grad():
            scale = scale.detach().requires_grad_()
            return _ScaledByAutograd(
                self, scale, slopes_of([scale @ self.energy], self.leaves, create_graph=with_graph)
            )

    def of_level(self, along: Tensor) -> Rows:
        """Gradient of along·∂E/∂x by the variables."""
        return slopes_of([self._level], self.leaves, [along])


@dataclass
class _ScaledByAutograd:
    of: SlopesByAutograd
    scale: Tensor
    values: Rows

    def bends(self, along: Sequence[Tensor | None]) -> tuple[Tensor | None, Tensor | None, Rows]:
        by_unknowns, by_scale, *rows = slopes_of(self.values, (self.of.unknowns, self.scale, *self.of.leaves), along)
        return by_unknowns, by_scale, rows


@dataclass
class SlopesOfCharges:
    """Of Σ(χ q + ½ J q²) + ½ q·A·q by χ, J and positions, the first three of so many variables."""

    system: System
    charges: Tensor  # (atoms,)
    curvature: Curvature
    count: int

    def scaled(self, scale: Tensor, *, with_graph: bool) -> Scaled:  # noqa: ARG002
        """Each energy times ``scale``."""
        return _ScaledOfCharges(self, scale.detach())

    def of_level(self, along: Tensor) -> Rows:
        """Gradient of along·∂E/∂q by the variables."""
        still = torch.zeros_like(self.system.positions)
        _, by_positions = self.curvature.bends(torch.ones_like(self.system.cell[:, 0, 0]), along, still)
        return self.rows(along, along * self.charges, by_positions)

    def rows(self, *known: Tensor | None) -> Rows:
        """Filled up with nothing."""
        return [*known, *[None] * (self.count - len(known))]


@dataclass
class _ScaledOfCharges:
    of: SlopesOfCharges
    scale: Tensor

    @property
    def values(self) -> Rows:
        own, charges = per_atom(self.scale, self.of.system), self.of.charges
        by_slope = own * charges
        by_positions = own.unsqueeze(1) * self.of.curvature.slopes[1]
        return self.of.rows(by_slope, 0.5 * by_slope * charges, by_positions)

    def bends(self, along: Sequence[Tensor | None]) -> tuple[Tensor | None, Tensor | None, Rows]:
        system, q, curvature = self.of.system, self.of.charges, self.of.curvature
        slope, hardness, positions = (
            torch.zeros_like(like) if x is None else x for x, like in zip(along, (q, q, system.positions))
        )
        still = torch.zeros_like(q)
        by_charges, by_positions = curvature.bends(self.scale, still, positions)
        by_charges = by_charges + per_atom(self.scale, system) * (slope + hardness * q)
        by_scale = per_system(q * (slope + 0.5 * hardness * q), system) + curvature.steepness(still, positions)
        return by_charges, by_scale, self.of.rows(None, None, by_positions)


def slopes_of(
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
