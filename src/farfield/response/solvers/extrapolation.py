"""Charges (or dipoles) to start from, step after step of a trajectory: Kolafa, J. Comput. Chem. 25, 335 (2004)."""

from collections import deque
from math import comb

import torch
from torch import Tensor


class ChargeExtrapolation:
    """Foresees the next charges from the last ones, by the always stable predictor or along a polynomial.

    ```python
    ahead = ChargeExtrapolation()
    for system in trajectory:
        found = equilibrate(system, chi, hardness, start=ahead.guess(system.n_atoms))
        ahead.keep(found.charges)
    ```

    Args:
        depth: steps that are remembered, two at least; the error of the guess is of the order of the time step to the
            second power, with a constant that falls with the depth.
        tight: charges are solved so tightly that they carry no error from step to step: the polynomial through all of
            them is then as stable, and its error of the order of the time step to the power of the depth.
    """

    def __init__(self, depth: int = 4, *, tight: bool = False) -> None:
        self._tight = tight
        self._past: deque[Tensor] = deque(maxlen=max(depth, 2))

    def guess(self, n_atoms: int) -> Tensor | None:
        """Charges ``(atoms,)``, or whatever is kept of atoms; None before the first step and for another count."""
        if not self._past or len(self._past[0]) != n_atoms:
            return None
        count = len(self._past)
        if count == 1:
            return self._past[0]
        sizes = [
            comb(count, back) if self._tight else back * comb(2 * count, count - back) / comb(2 * count - 2, count - 1)
            for back in range(1, count + 1)
        ]
        weights = [size if number % 2 == 0 else -size for number, size in enumerate(sizes)]
        return torch.stack([weight * charges for weight, charges in zip(weights, self._past)]).sum(0)

    def keep(self, charges: Tensor) -> None:
        """The charges ``(atoms,)`` of the step just made, or anything else of its atoms ``(atoms, …)``."""
        if self._past and self._past[0].shape != charges.shape:
            self._past.clear()
        self._past.appendleft(charges.detach())
