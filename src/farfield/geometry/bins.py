"""Atoms of a batch put into bins; only bins with atoms in them are kept, so that no void costs anything."""

import math
from typing import NamedTuple

import numpy as np

from farfield.compiled import Array, compiled
from farfield.geometry.lattice import complete, inverse, reduce

WANTED = 24
"""Atoms per bin that make the search fastest, measured at the density of rock salt."""

SLACK = 1e-9
"""Bins are wider by this part, so that rounding never moves an atom into a bin that is not looked at."""

MOST = 1 << 20
"""Bins along an axis: the number of a bin fits into 60 bits."""


class Batch(NamedTuple):
    """The arrays of a batch of systems."""

    positions: Array  # (atoms, 3), Å
    cells: Array  # (systems, 3, 3), Å
    periodic: Array  # (systems, 3)
    offset: Array  # (systems + 1,) number of each system's first atom


class Bins(NamedTuple):
    """Atoms of all systems sorted by bin, within a bin by number; b counts the bins that have atoms, s the systems."""

    place: Array  # (3, atoms), Å, wrapped and rounded to a grid on which sums with lattice vectors are exact
    wrap: Array  # (atoms, 3) lattice vectors of the given cell that were taken off
    atom: Array  # (atoms,) number in the batch
    first_atom: Array  # (b + 1,) where the bin's atoms begin
    key: Array  # (b,) place of the bin among all of its system, ascending within a system
    system: Array  # (b,)
    first_bin: Array  # (s + 1,)
    offset: Array  # (s + 1,) number in the batch of the system's first atom
    shape: Array  # (s, 3) bins along each axis
    reach: Array  # (s, 3) how many bins away there may be neighbours
    periodic: Array  # (s, 3)
    lattice: Array  # (s, 3, 3), Å, reduced, on the grid
    integers: Array  # (s, 3, 3) reduced lattice vectors in those of the given cell


@compiled
def binned(batch: Batch, cutoff: float) -> Bins:
    """Wrap, round and sort the atoms of every system, for a search to ``cutoff`` Å."""
    positions, cells, periodic, offset = batch
    atoms, systems = len(positions), len(cells)
    place, wrap = np.empty((3, atoms)), np.empty((atoms, 3))
    atom = np.empty(atoms, np.int64)
    first_atom, key, system = np.empty(atoms + 1, np.int64), np.empty(atoms, np.int64), np.empty(atoms, np.int64)
    first_bin = np.zeros(systems + 1, np.int64)
    shape, reach = np.ones((systems, 3), np.int64), np.zeros((systems, 3), np.int64)
    lattice, integers = np.empty((systems, 3, 3)), np.empty((systems, 3, 3))
    count = 0
    for s in range(systems):
        start, end = offset[s], offset[s + 1]
        complete(lattice[s], cells[s], periodic[s])
        reduce(lattice[s], integers[s], periodic[s])
        if end > start:
            wrapped, taken, low = _wrapped(positions, start, end, lattice[s], periodic[s])
            width = _divide(wrapped, low, lattice[s], periodic[s], cutoff, shape[s], reach[s])
            _round(wrapped, lattice[s], cutoff)
            keys = _keys(wrapped, lattice[s], low, width, shape[s])
            order = _sorted_order(keys)
            for k in range(end - start):
                source = order[k]
                atom[start + k] = start + source
                for c in range(3):
                    place[c, start + k] = wrapped[source, c]
                    wrap[start + k, c] = _along(taken, source, integers[s], c)
                if k == 0 or keys[source] != keys[order[k - 1]]:
                    first_atom[count], key[count], system[count] = start + k, keys[source], s
                    count += 1
        first_bin[s + 1] = count
    first_atom[count] = atoms
    return Bins(
        place, wrap, atom, first_atom[: count + 1], key[:count], system[:count], first_bin, offset,
        shape, reach, periodic, lattice, integers,
    )  # fmt: skip


@compiled
def _along(vectors: Array, k: int, columns: Array, axis: int) -> float:
    """A component of ``vectors[k] @ columns``."""
    return float(vectors[k, 0] * columns[0, axis] + vectors[k, 1] * columns[1, axis] + vectors[k, 2] * columns[2, axis])


@compiled
def _wrapped(positions: Array, start: int, end: int, lattice: Array, periodic: Array) -> tuple[Array, Array, Array]:
    """Positions relative to the first, wrapped along the periodic axes; the lattice vectors taken off; lower ends."""
    columns, _ = inverse(lattice)
    inside, taken, low = np.empty((end - start, 3)), np.zeros((end - start, 3)), np.zeros(3)
    for k in range(end - start):
        for c in range(3):
            inside[k, c] = positions[start + k, c] - positions[start, c]
        for _ in range(2):  # once more for what rounding left outside, of atoms from very far away
            for axis in range(3):
                steps = math.floor(_along(inside, k, columns, axis)) if periodic[axis] else 0
                if steps != 0:
                    taken[k, axis] += steps
                    for c in range(3):
                        inside[k, c] -= steps * lattice[axis, c]
        for axis in range(3):
            if not periodic[axis]:
                low[axis] = min(low[axis], _along(inside, k, columns, axis))
    return inside, taken, low


@compiled
def _divide(
    positions: Array, low: Array, lattice: Array, periodic: Array, cutoff: float, shape: Array, reach: Array
) -> Array:
    """Into how many bins each axis is cut, how many the cutoff reaches over; and how wide they are (fractions)."""
    columns, determinant = inverse(lattice)
    extent, width = np.ones(3), np.empty(3)
    volume = abs(determinant)
    for axis in range(3):
        if not periodic[axis]:
            high = low[axis]
            for k in range(len(positions)):
                high = max(high, _along(positions, k, columns, axis))
            extent[axis] = high - low[axis]
            volume *= max(extent[axis], 0.5 * cutoff)
    edge = (WANTED * volume / len(positions)) ** (1 / 3)
    target = cutoff / min(max(np.rint(cutoff / edge), 1.0), 3.0) * (1 + SLACK)
    for axis in range(3):
        height = 1 / math.sqrt(columns[0, axis] ** 2 + columns[1, axis] ** 2 + columns[2, axis] ** 2)
        if periodic[axis]:
            shape[axis] = min(max(math.floor(height / target), 1), MOST)
            width[axis] = 1 / shape[axis]
        else:  # height is 1
            width[axis] = max(target, extent[axis] * (1 + SLACK) / MOST)
            shape[axis] = math.floor(extent[axis] / width[axis]) + 1
        reach[axis] = math.ceil(cutoff / (width[axis] * height))
    return width


@compiled
def _round(positions: Array, lattice: Array, cutoff: float) -> None:
    """Onto a grid so coarse that r_j + n·a - r_i is exact: every pair looks the same from both its ends."""
    largest, lengths = cutoff, 0.0
    for k in range(len(positions)):
        for c in range(3):
            largest = max(largest, abs(positions[k, c]))
    for axis in range(3):
        for c in range(3):
            lengths += abs(lattice[axis, c])
    _, exponent = math.frexp(4 * largest + 2 * lengths)
    quantum = math.ldexp(1.0, exponent - 51)
    for k in range(len(positions)):
        for c in range(3):
            positions[k, c] = np.rint(positions[k, c] / quantum) * quantum
    for axis in range(3):
        for c in range(3):
            lattice[axis, c] = np.rint(lattice[axis, c] / quantum) * quantum


@compiled
def _keys(positions: Array, lattice: Array, low: Array, width: Array, shape: Array) -> Array:
    columns, _ = inverse(lattice)
    keys = np.empty(len(positions), np.int64)
    for k in range(len(positions)):
        key = 0
        for axis in range(3):
            place = math.floor((_along(positions, k, columns, axis) - low[axis]) / width[axis])
            key = key * shape[axis] + min(max(place, 0), shape[axis] - 1)
        keys[k] = key
    return keys


@compiled
def _sorted_order(keys: Array) -> Array:
    """A stable argsort: by 11 bits at a time."""
    order, other, start = np.empty_like(keys), np.empty_like(keys), np.empty(2049, np.int64)
    largest, shift = 0, 0
    for k in range(len(keys)):
        order[k] = k
        largest = max(largest, keys[k])
    while largest >> shift:
        for digit in range(2049):
            start[digit] = 0
        for k in range(len(keys)):
            start[((keys[k] >> shift) & 2047) + 1] += 1
        for digit in range(2048):
            start[digit + 1] += start[digit]
        for k in range(len(keys)):
            digit = (keys[order[k]] >> shift) & 2047
            other[start[digit]] = order[k]
            start[digit] += 1
        order, other = other, order
        shift += 11
    return order
