"""Pairs within a cutoff, through periodic images, for any cell and any periodicity."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from farfield.compiled import has_loops
from farfield.errors import InputError
from farfield.system import FARTHEST, NeighborList, System, check_cell

if TYPE_CHECKING:
    from farfield.geometry.bins import Batch
    from farfield.geometry.rows import NeighborRows

Array = np.ndarray[Any, np.dtype[Any]]

CLOSEST = 1e-3
"""Å; atoms closer than this are taken for the same atom entered twice."""


@dataclass(frozen=True)
class Pairs:
    """Every pair twice (i→j and j→i). ``vector`` and ``distance`` are differentiable."""

    i: Tensor  # (pairs,)
    j: Tensor  # (pairs,)
    vector: Tensor  # (pairs, 3), r_j + image - r_i, Å
    distance: Tensor  # (pairs,), Å


def find_neighbors(
    system: System, cutoff: float, *, skin: float = 0.0, half: bool = False, may_touch: bool = False
) -> NeighborList:
    """Search the pairs closer than ``cutoff`` Å, and those in the skin beyond; sorted by i, then j, then shift.

    ``half`` gives every pair once. The list is the same for any number of threads (as many as torch has).

    Raises:
        InputError: two atoms on top of each other (unless they ``may_touch``), positions that are not finite, periodic
            along a missing lattice vector, zero volume, or no sensible cutoff or skin.
    """
    from farfield.geometry.listing import Wanted  # here, for numba takes a while to import
    from farfield.geometry.search import search

    if not 0 < cutoff < float("inf"):
        raise InputError(f"the cutoff must be a length in Å, it is {cutoff}")
    if not 0 <= skin < float("inf"):
        raise InputError(f"the skin must be a length in Å, 0 or more, it is {skin}")
    batch = _batch(system)
    device, dtype = system.positions.device, system.positions.dtype
    in_place = np.float32 if dtype == torch.float32 else np.float64
    found, touching = search(batch, Wanted(float(cutoff + skin), CLOSEST, half), in_place)
    i, j, shift, offsets = (torch.from_numpy(column) for column in found)
    known = NeighborList(
        i.to(device), j.to(device), shift.to(device, dtype), float(cutoff), skin, half, offsets.to(device)
    )
    if touching and not may_touch:
        _complain(system, known)
    return known


def search_rows(system: System, cutoff: float) -> "NeighborRows | None":
    """The pairs closer than ``cutoff`` Å for sums that read them once; atoms may touch. See ``geometry.rows``.

    Raises:
        InputError: as ``find_neighbors``.
    """
    from farfield.geometry.rows import neighbor_rows

    return neighbor_rows(_batch(system), cutoff)


def with_neighbors(system: System, cutoff: float) -> System:
    """The system with its pairs closer than ``cutoff`` attached, so that nobody downstream searches again."""
    return replace(system, neighbors=find_neighbors(system, cutoff))


def pairs_within(system: System, cutoff: float) -> Pairs:
    """All pairs closer than ``cutoff`` Å, from the neighbours attached to ``system`` or by a new search."""
    known = system.neighbors
    if known is None or known.half or known.cutoff < cutoff:
        known = find_neighbors(system, cutoff)
    if known.cutoff + known.skin > cutoff:
        near = _closer(system, known, cutoff)
        i, j, shift = (column.index_select(0, near) for column in (known.i, known.j, known.shift))
        known = NeighborList(i, j, shift, cutoff)
    vector = _vectors(system, known)
    return Pairs(known.i, known.j, vector, vector.norm(dim=-1))


def reverse(known: NeighborList) -> Tensor:
    """For every pair i→j ``(pairs,)`` the index of j→i: what one end of an edge knows, for the other to gather.

    Raises:
        InputError: a half list, or one that is not sorted as ``find_neighbors`` does it.
    """
    from farfield.geometry.listing import reversed_pairs

    if known.half or known.offsets is None:
        raise InputError(
            "reverse needs every pair both ways and sorted: a list as find_neighbors(system, cutoff) gives"
        )
    found = reversed_pairs(*(t.cpu().numpy() for t in (known.i, known.j, known.offsets)))
    return torch.from_numpy(found).to(known.i.device)


def _closer(system: System, known: NeighborList, cutoff: float) -> Tensor:
    """Rows of the list within ``cutoff``: one made for the Coulomb sum is several times longer than what is wanted."""
    with torch.no_grad():
        if not has_loops(known.i):
            return (_vectors(system, known).square().sum(-1) < cutoff**2).nonzero()[:, 0]
        from farfield.geometry.listing import closer

        columns = (system.positions, system.cell, system.system_index, known.i, known.j, known.shift)
        positions, cells, owner, i, j, shift = (column.detach().contiguous().numpy() for column in columns)
        return torch.from_numpy(closer((positions, cells, owner), (i, j, shift), cutoff))


def _vectors(system: System, known: NeighborList) -> Tensor:
    vector = system.positions.index_select(0, known.j) - system.positions.index_select(0, known.i)
    if system.periodic.any():
        vector = vector + torch.einsum("pa,pab->pb", known.shift, system.cell[system.system_index[known.i]])
    return vector


def _batch(system: System) -> "Batch":
    """The arrays that a search reads, once they have been looked at."""
    from farfield.geometry.bins import Batch

    batch = Batch(_array(system.positions), _array(system.cell), system.periodic.cpu().numpy(), _offsets(system))
    _check(batch.positions, batch.cells, batch.periodic)
    return batch


def _array(tensor: Tensor) -> Array:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=np.float64)


def _offsets(system: System) -> Array:
    """The number of each system's first atom, and that of all atoms ``(systems + 1,)``."""
    return np.searchsorted(system.system_index.cpu().numpy(), np.arange(system.n_systems + 1))


def _check(positions: Array, cells: Array, periodic: Array) -> None:
    if not np.isfinite(positions).all():
        atom = int(np.flatnonzero(~np.isfinite(positions).all(1))[0])
        raise InputError(f"atom {atom} of the batch is at {positions[atom]}: positions must be finite")
    if len(positions) and np.abs(positions).max() > FARTHEST:
        atom = int(np.abs(positions).max(1).argmax())
        raise InputError(f"atom {atom} of the batch is at {positions[atom]} Å: no such place")
    if not periodic.any():
        return
    whole = periodic.all(1)
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(cells, axis=2)
        fine = (np.abs(np.linalg.det(cells)) > 1e-5 * lengths.prod(1)) & (lengths > 1).all(1)
        fine &= np.abs(cells).max((1, 2)) <= FARTHEST
    suspects = np.flatnonzero(np.where(whole, ~fine, periodic.any(1)) | ~np.isfinite(cells).all((1, 2)))
    for k in suspects.tolist():
        check_cell(cells[k], periodic[k], f"structure {k}: " if len(cells) > 1 else "")


def _complain(system: System, known: NeighborList) -> None:
    """Name the closest pair of the first structure that has one."""
    distance = _vectors(system, known).detach().norm(dim=-1)
    owner = system.system_index[known.i]
    first = owner[distance < CLOSEST].min()
    pair = int(torch.where(owner == first, distance, float("inf")).argmin())
    start = int((system.system_index < first).sum())
    where = f"structure {int(first)}: " if system.n_systems > 1 else ""
    i, j = int(known.i[pair]) - start, int(known.j[pair]) - start
    raise InputError(f"{where}atoms {i} and {j} are {distance[pair]:.1e} Å apart: one atom entered twice?")
