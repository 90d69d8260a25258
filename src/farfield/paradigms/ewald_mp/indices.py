"""Filters whose weights belong to whole numbers n, k = n·B, as the paper's of crystals: to a cell, not to a crystal.

The same crystal by other lattice vectors, or by more cells, has other n and another energy.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from farfield.coulomb.plan.plan import half_of_waves
from farfield.system import System

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class IndexedWeights:
    """Weights of half of the whole numbers with |n| up to a cutoff, the origin among them."""

    index_cutoff: int
    weights: Tensor  # (count_of(index_cutoff), channels)

    def spectrum(self, system: System) -> tuple[Tensor, Tensor, Tensor]:
        """Cell, indices ``(systems, waves, 3)`` and weights over the volume ``(systems, waves, channels)``."""
        indices, multiplicity = (torch.from_numpy(x).to(system.positions) for x in _half(self.index_cutoff))
        per_volume = multiplicity / torch.linalg.det(system.cell).abs().unsqueeze(1)
        values = per_volume.unsqueeze(-1) * self.weights.to(system.positions)
        return system.cell, indices.expand(system.n_systems, -1, -1), values


def count_of(index_cutoff: int) -> int:
    """Count the whole numbers that have a weight."""
    return len(_half(index_cutoff)[0])


@lru_cache
def _half(index_cutoff: int) -> tuple[Array, Array]:
    indices, multiplicity = half_of_waves(2 * np.pi * np.eye(3)[None], np.array([float(index_cutoff)]), origin=True)
    return indices[0], multiplicity[0]
