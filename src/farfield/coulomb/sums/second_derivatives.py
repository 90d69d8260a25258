"""First and second derivatives of the energy of charges by charges and positions: the compiled sums, without autograd.

For those who differentiate an energy by hand; cells and widths stay as they are.
"""

from functools import cached_property

import torch
from torch import Tensor

from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.real_space import RealSpace
from farfield.coulomb.sums.reciprocal import Reciprocal
from farfield.system import per_atom, per_system
from farfield.units import COULOMB


class SecondDerivatives:
    """Derivatives of the energy of one channel of charges whose pairs and waves are summed in double precision."""

    def __init__(self, placed: PlacedSources, plan: Plan, weights: Tensor, self_term: Tensor | None) -> None:
        """``weights`` of the waves, that of k = 0 first; ``self_term`` (sources,) d²E/dq² of each Gaussian, V/e."""
        self._placed, self._self_term, self._weights = placed, self_term, weights
        self._real_space = RealSpace(placed, plan) if plan.reach > 0 else None
        self._reciprocal = Reciprocal(placed, plan, weights)
        self._cell = torch.zeros_like(placed.system.cell)

    @cached_property
    def gradient(self) -> tuple[Tensor, Tensor]:
        """Gradient dE/dq ``(sources,)`` in V and dE/dR ``(sources, 3)`` in eV/Å."""
        charges = self._placed.charges
        found = self._reciprocal.first_order
        grad_positions, grad_charges = (
            torch.from_numpy(found.grad_positions[:, 0]),
            torch.from_numpy(found.grad_charges),
        )
        if self._real_space is not None:
            first = self._real_space.first_order
            grad_positions = grad_positions - charges * first.field[:, 0]
            grad_charges = grad_charges + first.potential
        grad_charges = COULOMB * grad_charges[:, 0]
        if self._self_term is not None:
            grad_charges = grad_charges + self._self_term * charges[:, 0]
        return grad_charges, COULOMB * grad_positions

    def hessian_vector(self, scale: Tensor, charges: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of the derivative of Σ scale·E along charges ``(sources,)`` and positions ``(sources, 3)``."""
        weight, column = scale.unsqueeze(1), charges.unsqueeze(1)
        found = self._reciprocal.hessian_vector(
            weight, (positions, self._cell, column, torch.zeros_like(self._weights))
        )
        grad_positions, _, grad_charges, _, _ = (torch.from_numpy(x) for x in found)
        if self._real_space is not None:
            more_positions, _, more_charges, _ = self._real_space.hessian_vector(positions, self._cell, column, weight)
            grad_positions, grad_charges = grad_positions + more_positions, grad_charges + more_charges
        grad_charges = COULOMB * grad_charges[:, 0]
        if self._self_term is not None:
            grad_charges = grad_charges + per_atom(scale, self._placed.system) * self._self_term * charges
        return grad_charges, COULOMB * grad_positions

    def directional_derivative(self, charges: Tensor, positions: Tensor) -> Tensor:
        """Differentiate each energy along a direction ``(systems,)``."""
        grad_charges, grad_positions = self.gradient
        return per_system(grad_charges * charges + (grad_positions * positions).sum(1), self._placed.system)
