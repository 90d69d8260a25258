"""Atoms of a batch put into bins; only bins with atoms in them are kept, so that no void costs anything."""

import math
from typing import NamedTuple

import numpy as np

from farfield.geometry.compiled import compiled
from farfield.geometry.lattice import Array, completed, determinant, inverse, product, reduced

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
        lattice[s], integers[s] = reduced(completed(cells[s], periodic[s]), periodic[s])
        if end > start:
            wrapped, taken = _wrapped(positions[start:end], lattice[s], periodic[s])
            low, shape[s], width, reach[s] = _divisions(wrapped, lattice[s], periodic[s], cutoff)
            _round(wrapped, lattice[s], cutoff)
            keys = _keys(wrapped, inverse(lattice[s]), low, shape[s], width)
            order = _sorted_order(keys)
            for k in range(end - start):
                source = order[k]
                atom[start + k] = start + source
                place[:, start + k] = wrapped[source]
                for axis in range(3):
                    wrap[start + k, axis] = product(taken[source], integers[s][:, axis])
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
def _wrapped(positions: Array, lattice: Array, periodic: Array) -> tuple[Array, Array]:
    """Positions relative to the first, wrapped along the periodic axes, and the lattice vectors taken off."""
    columns = inverse(lattice)
    inside, taken = np.empty_like(positions), np.zeros_like(positions)
    for k in range(len(positions)):
        for component in range(3):
            inside[k, component] = positions[k, component] - positions[0, component]
        for _ in range(2):  # once more for what rounding left outside, of atoms from very far away
            for axis in range(3):
                if periodic[axis]:
                    fraction = _along(inside, k, columns, axis)
                    steps = math.floor(fraction)
                    if steps != 0:
                        taken[k, axis] += steps
                        for component in range(3):
                            inside[k, component] -= steps * lattice[axis, component]
    return inside, taken


@compiled
def _along(positions: Array, k: int, columns: Array, axis: int) -> float:
    return float(
        positions[k, 0] * columns[0, axis] + positions[k, 1] * columns[1, axis] + positions[k, 2] * columns[2, axis]
    )


@compiled
def _divisions(positions: Array, lattice: Array, periodic: Array, cutoff: float) -> tuple[Array, Array, Array, Array]:
    """Where the bins begin, how many there are, how wide they are (fractions), and how many the cutoff reaches over."""
    columns = inverse(lattice)
    low, width = np.zeros(3), np.ones(3)
    shape, reach = np.ones(3, np.int64), np.ones(3, np.int64)
    extent = np.ones(3)
    volume = abs(determinant(lattice))
    for axis in range(3):
        if not periodic[axis]:
            high = low[axis] = _along(positions, 0, columns, axis)
            for k in range(len(positions)):
                here = _along(positions, k, columns, axis)
                low[axis], high = min(low[axis], here), max(high, here)
            extent[axis] = high - low[axis]
            volume *= max(extent[axis], 0.5 * cutoff)
    edge = (WANTED * volume / len(positions)) ** (1 / 3)
    target = cutoff / min(max(np.rint(cutoff / edge), 1.0), 3.0) * (1 + SLACK)
    for axis in range(3):
        height = 1 / math.sqrt(product(columns[:, axis], columns[:, axis]))
        if periodic[axis]:
            shape[axis] = int(min(max(math.floor(height / target), 1.0), MOST))
            width[axis] = 1 / shape[axis]
        else:  # height is 1
            width[axis] = max(target, extent[axis] * (1 + SLACK) / MOST)
            shape[axis] = int(extent[axis] / width[axis]) + 1
        reach[axis] = math.ceil(cutoff / (width[axis] * height))
    return low, shape, width, reach


@compiled
def _round(positions: Array, lattice: Array, cutoff: float) -> None:
    """Onto a grid so coarse that r_j + n·a - r_i is exact: every pair looks the same from both its ends."""
    largest = 2 * cutoff + 2 * np.abs(positions).max() + 2 * np.abs(lattice).sum()
    _, exponent = math.frexp(largest)
    quantum = math.ldexp(1.0, exponent - 51)
    for k in range(len(positions)):
        for component in range(3):
            positions[k, component] = np.rint(positions[k, component] / quantum) * quantum
    for axis in range(3):
        for component in range(3):
            lattice[axis, component] = np.rint(lattice[axis, component] / quantum) * quantum


@compiled
def _keys(positions: Array, columns: Array, low: Array, shape: Array, width: Array) -> Array:
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
    order, other = np.arange(len(keys)), np.empty(len(keys), np.int64)
    start = np.empty(2049, np.int64)
    largest, shift = keys.max(), 0
    while largest >> shift:
        start[:] = 0
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
