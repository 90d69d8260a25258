"""Candidates for the neighbours of the atoms of a bin.

All atoms of a bin share one set of candidates: the atoms of the bins around it that are closer than the cutoff to the
box around them. These are sorted by number once, so that what each atom picks of them comes out sorted.
"""

import math
from typing import NamedTuple

import numpy as np

from farfield.compiled import Array, compiled
from farfield.geometry.bins import Bins


class Room(NamedTuple):
    """Scratch space of one thread, used for one bin after the other."""

    run: Array  # (runs, 2) where neighbouring atoms begin and end among those sorted by bin
    image: Array  # (runs, 3) lattice vectors to add to them
    item: Array  # (2, candidates) number << 32 | slot, twice for sorting
    slot: Array  # (2, candidates) the atom among those sorted by bin, and its run
    x: Array  # (candidates,), Å, of the image; sorted by number, as all that follow
    y: Array
    z: Array
    shift: Array  # (candidates, 3) lattice vectors of the given cell from the candidate to its image
    number: Array  # (candidates,) in the batch
    own: Array  # (candidates,) for each atom of the bin, which candidate it is itself
    squared: Array  # (candidates,), Å²
    hit: Array  # (candidates,) candidates closer than the cutoff


@compiled
def empty_room(runs: int, candidates: int) -> Room:
    """Allocate room for so many runs and candidates."""
    return Room(
        np.empty((runs, 2), np.int64),
        np.empty((runs, 3)),
        np.empty((2, candidates), np.int64),
        np.empty((2, candidates), np.int64),
        np.empty(candidates),
        np.empty(candidates),
        np.empty(candidates),
        np.empty((candidates, 3)),
        np.empty(candidates, np.int64),
        np.empty(candidates, np.int64),
        np.empty(candidates),
        np.empty(candidates, np.int64),
    )


@compiled
def candidates_of(bins: Bins, b: int, cutoff: float, room: Room) -> tuple[Room, int]:
    """Candidates of a bin, in a room that is large enough for them; and how many they are."""
    s = bins.system[b]
    reach = bins.reach[s]
    wanted = (2 * reach[0] + 1) * (2 * reach[1] + 1) * (2 * reach[2] // bins.shape[s, 2] + 2)
    if wanted > len(room.run):
        room = empty_room(wanted, room.item.shape[1])
    runs = _runs(bins, b, room)
    total = 0
    for r in range(runs):
        total += room.run[r, 1] - room.run[r, 0]
    if total > room.item.shape[1]:
        room = empty_room(len(room.run), 2 * total)
        runs = _runs(bins, b, room)
    _sort_runs(room, runs, bins.integers, s)
    found = _near(bins, b, cutoff, room, runs)
    _sort(room, found, bins.offset[s + 1] - bins.offset[s])
    _spread(bins, b, room, found)
    return room, found


@compiled
def _runs(bins: Bins, b: int, room: Room) -> int:
    """Runs of bins in reach, one along z at a time, in ascending order of their images in the reduced lattice."""
    s = bins.system[b]
    shape, reach, periodic = bins.shape[s], bins.reach[s], bins.periodic[s]
    key, begin, end = bins.key, bins.first_bin[s], bins.first_bin[s + 1]
    column, z = divmod(key[b], shape[2])
    x, y = divmod(column, shape[1])
    low_image = (z - reach[2]) // shape[2] if periodic[2] else 0
    high_image = (z + reach[2]) // shape[2] if periodic[2] else 0
    runs = 0
    for u in range(x - reach[0], x + reach[0] + 1):
        image_x = u // shape[0]
        if image_x != 0 and not periodic[0]:
            continue
        for v in range(y - reach[1], y + reach[1] + 1):
            image_y = v // shape[1]
            if image_y != 0 and not periodic[1]:
                continue
            row = ((u - image_x * shape[0]) * shape[1] + v - image_y * shape[1]) * shape[2]
            for image_z in range(low_image, high_image + 1):
                low = max(z - reach[2] - image_z * shape[2], 0)
                high = min(z + reach[2] - image_z * shape[2], shape[2] - 1)
                k = _first_at_least(key, begin, end, row + low)
                room.run[runs, 0] = bins.first_atom[k]
                while k < end and key[k] <= row + high:
                    k += 1
                room.run[runs, 1] = bins.first_atom[k]
                room.image[runs, 0], room.image[runs, 1], room.image[runs, 2] = image_x, image_y, image_z
                runs += room.run[runs, 1] > room.run[runs, 0]
    return runs


@compiled
def _sort_runs(room: Room, runs: int, integers: Array, s: int) -> None:
    """Sort runs by the lattice vectors of the given cell, where that is not the reduced one (Shell's sort)."""
    same, gap = True, 1
    for a in range(3):
        for b in range(3):
            same &= integers[s, a, b] == (1.0 if a == b else 0.0)
    while 3 * gap + 1 < runs:
        gap = 3 * gap + 1
    while gap > 0 and not same:
        for last in range(gap, runs):
            r = last
            while r >= gap and _precedes(
                _translation(integers, s, room.image, r), _translation(integers, s, room.image, r - gap)
            ):
                for c in range(2):
                    room.run[r, c], room.run[r - gap, c] = room.run[r - gap, c], room.run[r, c]
                for c in range(3):
                    room.image[r, c], room.image[r - gap, c] = room.image[r - gap, c], room.image[r, c]
                r -= gap
        gap //= 3


@compiled
def _precedes(a: tuple[float, float, float], b: tuple[float, float, float]) -> bool:
    if a[0] != b[0]:
        return a[0] < b[0]
    return a[1] < b[1] if a[1] != b[1] else a[2] < b[2]


@compiled
def _first_at_least(key: Array, begin: int, end: int, wanted: int) -> int:
    while begin < end:
        middle = (begin + end) // 2
        if key[middle] < wanted:
            begin = middle + 1
        else:
            end = middle
    return begin


@compiled
def _near(bins: Bins, b: int, cutoff: float, room: Room, runs: int) -> int:
    """Gather the atoms of the runs that are closer than the cutoff to the box around the bin's atoms."""
    first, last, s = bins.first_atom[b], bins.first_atom[b + 1], bins.system[b]
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for axis in range(3):
        for a in range(first, last):
            low[axis], high[axis] = min(low[axis], bins.place[axis, a]), max(high[axis], bins.place[axis, a])
    found = 0
    for r in range(runs):
        x, y, z = _translation(bins.lattice, s, room.image, r)
        for a in range(room.run[r, 0], room.run[r, 1]):
            u, v, w = bins.place[0, a] + x, bins.place[1, a] + y, bins.place[2, a] + z
            u = max(low[0] - u, u - high[0], 0.0)
            v = max(low[1] - v, v - high[1], 0.0)
            w = max(low[2] - w, w - high[2], 0.0)
            room.item[0, found] = ((bins.atom[a] - bins.offset[s]) << 32) | found
            room.slot[0, found], room.slot[1, found] = a, r
            found += u * u + v * v + w * w < cutoff * cutoff
    return found


@compiled
def _translation(rows: Array, s: int, steps: Array, r: int) -> tuple[float, float, float]:
    """``steps[r] @ rows[s]``, exact by the grid the rows are on; without views, which would be counted."""
    a, b, c = steps[r, 0], steps[r, 1], steps[r, 2]
    return (
        a * rows[s, 0, 0] + b * rows[s, 1, 0] + c * rows[s, 2, 0],
        a * rows[s, 0, 1] + b * rows[s, 1, 1] + c * rows[s, 2, 1],
        a * rows[s, 0, 2] + b * rows[s, 1, 2] + c * rows[s, 2, 2],
    )


@compiled
def _sort(room: Room, found: int, atoms: int) -> None:
    """Sort by number, stably (images stay in order), at most 8 bits at a time; the result is in ``item[0]``."""
    bits = max(math.ceil(math.log2(atoms)), 1)
    passes = (bits + 7) // 8
    width = (bits + passes - 1) // passes
    start = np.empty((1 << width) + 1, np.int64)
    source, target = room.item[0], room.item[1]
    for k in range(passes):
        shift = 32 + k * width
        for digit in range(len(start)):
            start[digit] = 0
        for c in range(found):
            start[((source[c] >> shift) & ((1 << width) - 1)) + 1] += 1
        for digit in range(1 << width):
            start[digit + 1] += start[digit]
        for c in range(found):
            digit = (source[c] >> shift) & ((1 << width) - 1)
            target[start[digit]] = source[c]
            start[digit] += 1
        source, target = target, source
    if passes % 2 == 1:
        for c in range(found):
            room.item[0, c] = room.item[1, c]


@compiled
def _spread(bins: Bins, b: int, room: Room, found: int) -> None:
    """Places and shifts of the sorted candidates, one after the other."""
    first, last, s = bins.first_atom[b], bins.first_atom[b + 1], bins.system[b]
    for c in range(found):
        item = room.item[0, c]
        slot = item & 0xFFFFFFFF
        a, r = room.slot[0, slot], room.slot[1, slot]
        x, y, z = _translation(bins.lattice, s, room.image, r)
        room.x[c] = bins.place[0, a] + x
        room.y[c] = bins.place[1, a] + y
        room.z[c] = bins.place[2, a] + z
        x, y, z = _translation(bins.integers, s, room.image, r)
        room.shift[c, 0] = x - bins.wrap[a, 0]
        room.shift[c, 1] = y - bins.wrap[a, 1]
        room.shift[c, 2] = z - bins.wrap[a, 2]
        room.number[c] = bins.offset[s] + (item >> 32)
        if first <= a < last and room.image[r, 0] == 0 and room.image[r, 1] == 0 and room.image[r, 2] == 0:
            room.own[a - first] = c
