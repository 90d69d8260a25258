"""Images of atoms that are nearest to others."""

import itertools

import numpy as np
import torch
from torch import Tensor

from farfield.geometry.lattice import complete, reduce
from farfield.system import System

SAME = 1e-5
"""Å; images no further apart than this from the nearest are as near, and count alike."""


class NearestImages:
    """Lattice vectors that lead from the atoms of a batch, as they are given, to their images nearest to others."""

    def __init__(self, system: System) -> None:
        self._index, self._positions = system.system_index, system.positions.detach().double()
        rows, steps = _reduced(system), torch.tensor(list(itertools.product((-1.0, 0.0, 1.0), repeat=3)))
        self._lattice = torch.from_numpy(rows).to(self._positions.device)
        self._inverse = torch.linalg.inv(self._lattice)
        self._periodic = system.periodic.to(self._positions)
        self._steps = steps.to(self._positions)
        self._dtype = system.positions.dtype

    def of(self, atoms: Tensor) -> Tensor:
        """L ``(atoms, 3)`` in Å: atom ``atoms[i]``, moved by L[i], is nearest to i; the mean of those equally near.

        ``atoms`` ``(atoms,)`` names for every atom of the batch one of its own system.
        """
        vector = self._positions[atoms] - self._positions
        lattice, periodic = self._lattice[self._index], self._periodic[self._index]
        wrapped = -torch.einsum("na,nab->nb", vector, self._inverse[self._index]).round()
        steps = (wrapped.unsqueeze(1) + self._steps) * periodic.unsqueeze(1)  # (atoms, 27, 3)
        moved = torch.einsum("nsa,nab->nsb", steps, lattice)
        distance = (vector.unsqueeze(1) + moved).norm(dim=2)
        near = (distance <= distance.amin(1, keepdim=True) + SAME).double()
        mean: Tensor = (near.unsqueeze(2) * moved).sum(1) / near.sum(1, keepdim=True)
        return mean.to(self._dtype)


def _reduced(system: System) -> np.ndarray:
    """Short vectors of every lattice ``(systems, 3, 3)``, unit vectors along open axes."""
    cells, periodic = system.cell.detach().double().cpu().numpy(), system.periodic.cpu().numpy()
    rows, integers = np.empty_like(cells), np.empty((3, 3))
    for row, cell, axes in zip(rows, cells, periodic):
        complete(row, cell, axes)
        reduce(row, integers, axes)
    return rows
