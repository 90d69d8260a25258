"""Products of harmonics: the few couplings that are not zero, listed once for all atoms and channels."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from farfield.backbone.angular import gaunt, paths


class Terms(NamedTuple):
    """The terms of Σ_t coefficient · weight[path] · a[left] · b[right] → [out]."""

    table: Tensor  # (4, terms): path, left, right, out
    coefficients: Tensor  # (terms,)
    rows: int  # of what comes out


@dataclass(frozen=True)
class Coupling:
    """Products of two sets of harmonics up to ``l_max``, coupled over all paths of natural parity up to ``l_paths``.

    Of these only the orders up to ``l_out`` come out. ``symmetric`` is for the product of a set with itself: every path
    once, and every pair of its harmonics once.
    """

    l_max: int
    l_paths: int
    l_out: int
    symmetric: bool

    @property
    def n_paths(self) -> int:
        """Paths, each with a weight of its own."""
        return len(paths(self.l_max, self.l_paths, symmetric=self.symmetric))

    def terms(self, like: Tensor) -> Terms:
        """The terms in the precision and on the device of a tensor."""
        return _terms(self, like.dtype, like.device)


@lru_cache
def _terms(coupling: Coupling, dtype: torch.dtype, device: torch.device) -> Terms:
    with torch.inference_mode(False):  # kept for all, also for those who differentiate
        return _listed(coupling, dtype, device)


def _listed(coupling: Coupling, dtype: torch.dtype, device: torch.device) -> Terms:
    table, coefficients = [], []
    for path, (l1, l2, l3) in enumerate(paths(coupling.l_max, coupling.l_paths, symmetric=coupling.symmetric)):
        if l3 > coupling.l_out:
            continue
        block = gaunt(l1, l2, l3)
        if coupling.symmetric and l1 == l2:
            block = _folded(block)
        left, right, out = np.nonzero(block)
        table.append(np.stack([np.full_like(left, path), left + l1 * l1, right + l2 * l2, out + l3 * l3]))
        coefficients.append(block[left, right, out])
    return Terms(
        torch.from_numpy(np.concatenate(table, axis=1)).to(device),
        torch.from_numpy(np.concatenate(coefficients)).to(device, dtype),
        (coupling.l_out + 1) ** 2,
    )


def _folded(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lower triangle of the first two axes added onto the upper one: half the products."""
    orders_last = block.transpose(2, 0, 1)
    folded = np.triu(orders_last) + np.tril(orders_last, -1).transpose(0, 2, 1)
    return np.asarray(folded.transpose(1, 2, 0))
