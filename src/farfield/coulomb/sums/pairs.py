"""Pairs for the real-space sum: each once, since the kernel is symmetric."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from farfield.coulomb.functions.radial import bare_orders, pair_rate, smeared_orders
from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.box import box_of
from farfield.coulomb.sources import PlacedSources
from farfield.errors import InputError
from farfield.geometry.neighbors import CLOSEST, find_neighbors
from farfield.system import System

_Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class PairList:
    """Pairs at least as far as a sum reaches."""

    i: Tensor  # (pairs,)
    j: Tensor  # (pairs,)
    shift: Tensor  # (pairs, 3) lattice vectors added to j
    reach: float  # Å
    twice: bool  # j→i stands in it beside i→j


@dataclass(frozen=True)
class HalfPairs:
    """Every pair once; ``i == j`` only through an image. ``vector`` and ``squared`` are differentiable."""

    i: Tensor  # (pairs,)
    j: Tensor  # (pairs,)
    vector: Tensor  # (pairs, 3), r_j + image - r_i, Å
    squared: Tensor  # (pairs,), Å²


def pair_list(placed: PlacedSources, reach: float) -> PairList:
    """Attached neighbours if they reach far enough, a search of its own otherwise."""
    known = placed.system.neighbors
    if known is None or known.cutoff < reach:
        found = find_neighbors(placed.system, reach, half=True, may_touch=True)
        return PairList(found.i, found.j, found.shift, reach, twice=False)
    return PairList(known.i, known.j, known.shift, known.cutoff + known.skin, twice=not known.half)


def half_pairs(
    placed: PlacedSources,
    cutoff: Tensor,  # (systems,), Å
) -> HalfPairs:
    """Pairs closer than each system's cutoff.

    Raises:
        InputError: two atoms, or two point charges, on top of each other.
    """
    system, reach = placed.system, float(cutoff.max())
    listed = pair_list(placed, reach)
    found = _each_once(listed) if listed.twice else listed
    if found.reach > reach or not bool((cutoff == reach).all()):
        near = _vectors(system, found, detached=True).square().sum(-1) < cutoff.square()[system.system_index[found.i]]
        found = PairList(found.i[near], found.j[near], found.shift[near], reach, twice=False)
    vector = _vectors(system, found)
    squared = torch.linalg.vecdot(vector, vector)
    refuse_coincident(placed, squared.detach(), found.i, found.j)
    return HalfPairs(found.i, found.j, vector, squared)


def refuse_coincident(placed: PlacedSources, squared: Tensor, i: Tensor, j: Tensor) -> None:
    """Raise if a pair of atoms or of point charges is closer than two of them can be."""
    if not len(squared) or float(squared.min()) >= CLOSEST**2:
        return
    close = squared < CLOSEST**2
    if not placed.atoms and placed.widths is not None:
        close &= (placed.widths[i] == 0) & (placed.widths[j] == 0)
    if close.any():
        pair = int(close.nonzero()[0])
        what = "atoms" if placed.atoms else "point charges"
        distance = float(squared[pair]) ** 0.5
        raise InputError(f"{what} {int(i[pair])} and {int(j[pair])} of the batch are {distance:.1e} Å apart")


def cross_pairs(points: System, sources: System, cutoff: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Points (i) and sources (j) closer than each system's cutoff, and the lattice vectors to add to j."""
    frame, periodic = box_of(sources).frame, sources.periodic.cpu().numpy()
    empty = np.zeros(0, dtype=np.int64)
    found = [(empty, empty, np.zeros((0, 3)))]
    for k in range(points.n_systems):
        here, there = ((s.system_index == k).nonzero().squeeze(1).cpu().numpy() for s in (points, sources))
        if not len(here) or not len(there) or float(cutoff[k]) == 0:
            continue
        lattice = frame[k], periodic[k]
        i, j, shift = _images(points.positions, sources.positions, (here, there), lattice, float(cutoff[k]))
        found.append((here[i], there[j], shift))
    columns = [torch.from_numpy(np.concatenate(column)) for column in zip(*found)]
    device, dtype = points.positions.device, points.positions.dtype
    return columns[0].to(device), columns[1].to(device), columns[2].to(device, dtype)


def _images(
    points: Tensor,
    sources: Tensor,
    chosen: tuple[_Array, _Array],
    lattice: tuple[_Array, _Array],
    cutoff: float,
) -> tuple[_Array, _Array, _Array]:
    """Pairs of wrapped points with all images of wrapped sources that reach into the cell."""
    cell, periodic = lattice  # unit vectors across the lattice along open axes: no images there, nothing is wrapped
    inverse = np.linalg.inv(cell)
    fractions = [t.detach().cpu().double().numpy()[c] @ inverse for t, c in zip((points, sources), chosen)]
    home = [np.where(periodic, np.floor(f), 0.0) for f in fractions]
    p, s = (f - h for f, h in zip(fractions, home))
    margin = np.where(periodic, cutoff * np.linalg.norm(inverse, axis=0), 0.0)
    ranges = [np.arange(-int(np.ceil(m)), int(np.ceil(m)) + 1) for m in margin]
    grid = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3)
    inside = [  # axis by axis, as most images of many sources lie far from the cell
        {n: (x + n > -m) & (x + n < 1 + m) | ~repeats for n in steps}
        for x, m, steps, repeats in zip(s.T, margin, ranges, periodic)
    ]
    useful = [np.flatnonzero(inside[0][a] & inside[1][b] & inside[2][c]) for a, b, c in grid]
    source, image = np.concatenate(useful), np.repeat(np.arange(len(grid)), [len(some) for some in useful])
    tree = cKDTree((s[source] + grid[image]) @ cell)
    near = cKDTree(p @ cell).sparse_distance_matrix(tree, cutoff, output_type="coo_matrix")
    i, j, shift = near.row.astype(np.int64), source[near.col], grid[image[near.col]]
    return i, j, shift - home[1][j] + home[0][i]


def _each_once(known: PairList) -> PairList:
    """Half of a full list: i < j, and of an atom's own images the lexicographically positive half."""
    i, j, shift = known.i, known.j, known.shift
    ahead = shift @ shift.new_tensor([1e6, 1e3, 1.0]) > 0
    once = ((i < j) | ((i == j) & ahead)).nonzero().squeeze(1)
    return PairList(i[once], j[once], shift[once], known.reach, twice=False)


def _vectors(system: System, pairs: PairList, *, detached: bool = False) -> Tensor:
    positions, cell = system.positions, system.cell
    if detached:
        positions, cell = positions.detach(), cell.detach()
    vector = positions.index_select(0, pairs.j) - positions.index_select(0, pairs.i)
    return vector + _translations(cell, system.system_index, pairs)


def _translations(cell: Tensor, system_index: Tensor, pairs: PairList) -> Tensor:
    """Lattice vectors ``(pairs, 3)``, looked up in a table of the few that occur: faster than a product per pair."""
    if not len(pairs.i):
        return cell.new_zeros(0, 3)
    shift = pairs.shift.to(cell.dtype)
    low = shift.amin(0)
    spans = (shift.amax(0) - low + 1).long().tolist()
    owner = system_index[pairs.i]
    if len(cell) * spans[0] * spans[1] * spans[2] > len(pairs.i):
        return torch.einsum("pa,pab->pb", shift, cell[owner])
    axes = [torch.arange(n, dtype=cell.dtype, device=cell.device) for n in spans]
    table = (torch.cartesian_prod(*axes) + low) @ cell  # (systems, combinations, 3)
    strides = cell.new_tensor([spans[1] * spans[2], spans[2], 1])
    entry = ((shift - low) @ strides).long() + owner * table.shape[1]
    return table.flatten(0, 1).index_select(0, entry)


def all_pairs(padding: Padding) -> tuple[Tensor, Tensor]:
    """Rows i < j of every pair within a system."""
    real = padding.mask()
    system, first, second = (real.unsqueeze(2) & real.unsqueeze(1)).triu(1).nonzero().unbind(1)
    rows = torch.zeros(padding.systems * padding.longest, dtype=torch.long, device=real.device)
    rows[padding.slots] = torch.arange(len(padding.slots), device=real.device)
    return rows[system * padding.longest + first], rows[system * padding.longest + second]


def bare_kernels(placed: PlacedSources, squared: Tensor, i: Tensor, j: Tensor) -> list[Tensor]:
    """B_0, B_1, … of pairs in open space, each ``(pairs,)``, as many as their moments need."""
    highest = 2 * placed.moments.rank
    if placed.widths is None:
        return bare_orders(squared, highest)
    return smeared_orders(squared, rates_of(placed.widths, i, j), highest)


def rates_of(widths: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Rates ``(pairs,)`` in 1/Å at which Gaussians of ``widths`` (sources,) in Å feel each other."""
    variance = widths.square()
    return pair_rate(variance.index_select(0, i), variance.index_select(0, j))
