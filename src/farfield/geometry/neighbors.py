"""Pairs within a cutoff, through periodic images, for any cell and any periodicity."""

from dataclasses import dataclass, replace

import ase.geometry
import numpy as np
import torch
import vesin
from torch import Tensor

from farfield.errors import InputError
from farfield.system import NeighborList, System

CLOSEST = 1e-3
"""Å; atoms closer than this are taken for the same atom entered twice."""


@dataclass(frozen=True)
class Pairs:
    """Every pair twice (i→j and j→i). ``vector`` and ``distance`` are differentiable."""

    i: Tensor  # (pairs,)
    j: Tensor  # (pairs,)
    vector: Tensor  # (pairs, 3), r_j + image - r_i, Å
    distance: Tensor  # (pairs,), Å


def find_neighbors(system: System, cutoff: float, *, skin: float = 0.0) -> NeighborList:
    """Search the pairs closer than ``cutoff`` Å, and those in the skin beyond.

    Raises:
        InputError: two atoms on top of each other, positions that are not finite, or no sensible cutoff.
    """
    if not 0 < cutoff < float("inf"):
        raise InputError(f"the cutoff must be a length in Å, it is {cutoff}")
    positions = system.positions.detach().to("cpu", torch.float64).numpy()
    if not np.isfinite(positions).all():
        atom = int(np.flatnonzero(~np.isfinite(positions).all(1))[0])
        raise InputError(f"atom {atom} of the batch is at {positions[atom]}: positions must be finite")
    cells = system.cell.detach().to("cpu", torch.float64).numpy()
    periodic = system.periodic.cpu().numpy()
    ends = np.cumsum(system.atoms_per_system.cpu().numpy())
    search = vesin.NeighborList(cutoff=float(cutoff + skin), full_list=True, sorted=True, n_threads=1)
    found = []
    for cell, axes, end, start in zip(cells, periodic, ends, np.concatenate([[0], ends[:-1]])):
        # vesin asks for a full cell even where an axis is open
        box = ase.geometry.complete_cell(cell) if axes.any() else np.zeros((3, 3))
        i, j, shift, distance = search.compute(positions[start:end], box, axes, "ijSd")
        if len(distance) and distance.min() < CLOSEST:
            _complain(system, int(i[distance.argmin()] + start), int(j[distance.argmin()] + start), distance.min())
        found.append((i.astype(np.int64) + start, j.astype(np.int64) + start, shift))
    i, j, shift = (torch.from_numpy(np.concatenate(column)) for column in zip(*found))
    device, dtype = system.positions.device, system.positions.dtype
    return NeighborList(i.to(device), j.to(device), shift.to(device, dtype), float(cutoff), skin)


def with_neighbors(system: System, cutoff: float) -> System:
    """The system with its pairs closer than ``cutoff`` attached, so that nobody downstream searches again."""
    return replace(system, neighbors=find_neighbors(system, cutoff))


def pairs_within(system: System, cutoff: float) -> Pairs:
    """All pairs closer than ``cutoff`` Å, from the neighbours attached to ``system`` or by a new search."""
    known = system.neighbors
    if known is None or known.cutoff < cutoff:
        known = find_neighbors(system, cutoff)
    i, j = known.i, known.j
    vector = _vectors(system, known)
    if known.cutoff + known.skin > cutoff:
        near = vector.detach().square().sum(-1) < cutoff**2
        i, j, vector = i[near], j[near], vector[near]
    return Pairs(i, j, vector, vector.norm(dim=-1))


def _vectors(system: System, known: NeighborList) -> Tensor:
    vector = system.positions[known.j] - system.positions[known.i]
    if system.periodic.any():
        vector = vector + torch.einsum("pa,pab->pb", known.shift, system.cell[system.system_index[known.i]])
    return vector


def _complain(system: System, i: int, j: int, distance: float) -> None:
    batch = system.system_index.tolist()
    first = batch.index(batch[i])
    where = f"structure {batch[i]}: " if system.n_systems > 1 else ""
    raise InputError(f"{where}atoms {i - first} and {j - first} are {distance:.1e} Å apart: one atom entered twice?")
