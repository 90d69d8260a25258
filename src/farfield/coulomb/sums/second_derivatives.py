"""First and second derivatives of the energy of charges by charges and positions: the compiled sums, without autograd.

For those who differentiate an energy by hand; cells and widths stay as they are.
"""

from collections.abc import Sequence
from functools import cached_property, reduce
from operator import add
from typing import Protocol

from torch import Tensor

from farfield.coulomb.sources import PlacedSources
from farfield.system import per_system
from farfield.units import COULOMB

Gradient = tuple[Tensor, Tensor]
"""By charges ``(sources,)`` and by positions ``(sources, 3)``."""


class Derivatives(Protocol):
    """Derivatives of one term, in e and Å."""

    def gradient(self) -> Gradient:
        """Gradient of the energy."""

    def hessian_vector(self, scale: Tensor, charges: Tensor, positions: Tensor) -> Gradient:
        """Gradient of the derivative of Σ scale·E along charges and positions."""


class SecondDerivatives:
    """Derivatives of the energy of one channel of charges whose terms are summed in double precision."""

    def __init__(self, placed: PlacedSources, terms: Sequence[Derivatives]) -> None:
        self._placed, self._terms = placed, terms

    @cached_property
    def gradient(self) -> Gradient:
        """Gradient dE/dq ``(sources,)`` in V and dE/dR ``(sources, 3)`` in eV/Å."""
        return _total([term.gradient() for term in self._terms])

    def hessian_vector(self, scale: Tensor, charges: Tensor, positions: Tensor) -> Gradient:
        """Gradient of the derivative of Σ scale·E along charges ``(sources,)`` and positions ``(sources, 3)``."""
        return _total([term.hessian_vector(scale, charges, positions) for term in self._terms])

    def directional_derivative(self, charges: Tensor, positions: Tensor) -> Tensor:
        """Differentiate each energy along a direction ``(systems,)``."""
        grad_charges, grad_positions = self.gradient
        return per_system(grad_charges * charges + (grad_positions * positions).sum(1), self._placed.system)


def _total(found: list[Gradient]) -> Gradient:
    by_charges, by_positions = (reduce(add, one) for one in zip(*found))
    return COULOMB * by_charges, COULOMB * by_positions
