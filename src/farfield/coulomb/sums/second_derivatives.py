"""First and second derivatives of the energy of charges by charges and positions: the compiled sums, without autograd.

For those who differentiate an energy by hand; cells and widths stay as they are.
"""

from functools import cached_property

import torch
from torch import Tensor

from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import Charged
from farfield.coulomb.sums.real_space import Near
from farfield.coulomb.sums.reciprocal import Far
from farfield.system import per_atom, per_system
from farfield.units import COULOMB


class Curvature:
    """Of one channel of charges whose pairs and waves are summed in double precision."""

    def __init__(self, charged: Charged, plan: Plan, weights: Tensor, own: Tensor | None) -> None:
        """``weights`` of the waves, that of k = 0 first; ``own`` (sources,) d²E/dq² of each Gaussian, V/e."""
        self._charged, self._own, self._weights = charged, own, weights
        self._near = Near(charged, plan) if plan.reach > 0 else None
        self._far = Far(charged, plan, weights)
        self._cell = torch.zeros_like(charged.system.cell)

    @cached_property
    def slopes(self) -> tuple[Tensor, Tensor]:
        """dE/dq ``(sources,)`` in V and dE/dR ``(sources, 3)`` in eV/Å."""
        charges = self._charged.charges
        found = self._far.first_order
        by_positions, by_charges = torch.from_numpy(found.by_positions[:, 0]), torch.from_numpy(found.by_charges)
        if self._near is not None:
            first = self._near.first_order
            by_positions = by_positions - charges * first.field[:, 0]
            by_charges = by_charges + first.potential
        by_charges = COULOMB * by_charges[:, 0]
        if self._own is not None:
            by_charges = by_charges + self._own * charges[:, 0]
        return by_charges, COULOMB * by_positions

    def bends(self, scale: Tensor, charges: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of the derivative of Σ scale·E along charges ``(sources,)`` and positions ``(sources, 3)``."""
        weight, column = scale.unsqueeze(1), charges.unsqueeze(1)
        found = self._far.bends(weight, (positions, self._cell, column, torch.zeros_like(self._weights)))
        by_positions, _, by_charges, _, _ = (torch.from_numpy(x) for x in found)
        if self._near is not None:
            to_positions, _, to_charges, _ = self._near.second_order(positions, self._cell, column, weight)
            by_positions, by_charges = by_positions + to_positions, by_charges + to_charges
        by_charges = COULOMB * by_charges[:, 0]
        if self._own is not None:
            by_charges = by_charges + per_atom(scale, self._charged.system) * self._own * charges
        return by_charges, COULOMB * by_positions

    def steepness(self, charges: Tensor, positions: Tensor) -> Tensor:
        """Derivative of each energy along a direction ``(systems,)``."""
        by_charges, by_positions = self.slopes
        return per_system(by_charges * charges + (by_positions * positions).sum(1), self._charged.system)
