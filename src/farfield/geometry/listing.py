"""Pairs of the candidates: counted, written where they belong, and found again from their other end."""

from typing import NamedTuple

import numpy as np

from farfield.compiled import Array, compiled
from farfield.geometry.bins import Bins
from farfield.geometry.candidates import Room, candidates_of, empty_room


class Listing(NamedTuple):
    """Pairs sorted by i, then j, then shift."""

    i: Array  # (pairs,)
    j: Array  # (pairs,)
    shift: Array  # (pairs, 3)
    offsets: Array  # (atoms + 1,) where the pairs of each atom begin


class Wanted(NamedTuple):
    """Pairs that a search is to list."""

    cutoff: float  # Å
    closest: float  # Å, pairs closer than this touch
    half: bool  # each pair once: i < j, and of an atom's own images those with lexicographically positive shift


@compiled
def visit(bins: Bins, begin: int, end: int, wanted: Wanted, listing: Listing) -> int:
    """The pairs of the atoms of the bins from ``begin`` to ``end``: first counted, then written.

    Counting leaves the pairs of each atom in ``offsets[atom + 1]`` and returns how many touch; writing puts them where
    the summed ``offsets`` have room. Both in one function, which halves the time of compiling: it writes if there is
    something to write to.
    """
    writing = len(listing.i) > 0
    room, touching = empty_room(0, 0), 0
    for b in range(begin, end):
        room, candidates = candidates_of(bins, b, wanted.cutoff, room)
        first = bins.first_atom[b]
        for a in range(first, bins.first_atom[b + 1]):
            atom, own = bins.atom[a], room.own[a - first]
            start = own if wanted.half else 0
            squared = squares(room, start, candidates, bins.place[0, a], bins.place[1, a], bins.place[2, a])
            squared[own - start] = np.inf
            if not writing:
                listing.offsets[atom + 1] = _below(squared, wanted.cutoff**2)
                touching += _below(squared, wanted.closest**2)
                continue
            found = _pick(squared, wanted.cutoff**2, room.hit)
            p, q = listing.offsets[atom], listing.offsets[atom + 1]
            if found != q - p:
                raise RuntimeError("two counts of the neighbours of an atom differ")
            for pair in range(p, q):
                listing.i[pair] = atom
            _put(room, start, room.hit[:found], bins.wrap[a], listing.j[p:q], listing.shift[p:q])
    return touching


@compiled
def reversed_pairs(i: Array, j: Array, offsets: Array) -> Array:
    """For every pair of a sorted full list the index of the same pair seen from j.

    Read in order, the pairs that point at an atom come in the order of its own: only the images of one and the same
    atom, whose shifts change sign, come backwards.
    """
    reverse, following = np.empty_like(i), offsets[:-1].copy()
    p = 0
    while p < len(i):
        q = p + 1
        while q < len(i) and i[q] == i[p] and j[q] == j[p]:
            q += 1
        following[j[p]] += q - p
        for k in range(p, q):
            reverse[k] = following[j[p]] - 1 - (k - p)
        p = q
    return reverse


@compiled
def closer(places: tuple[Array, Array, Array], pairs: tuple[Array, Array, Array], cutoff: float) -> Array:
    """Rows of the pairs (i, j, shift) closer than ``cutoff``; of positions, cells and the system of each atom."""
    (positions, cells, owner), (i, j, shift) = places, pairs
    found, count = np.empty(len(i), np.int64), 0
    for row in range(len(i)):
        squared, cell = 0.0, cells[owner[i[row]]]
        for axis in range(3):
            d = positions[j[row], axis] - positions[i[row], axis]
            for k in range(3):
                if shift[row, k] != 0:
                    d += shift[row, k] * cell[k, axis]
            squared += d * d
        found[count] = row
        count += squared < cutoff * cutoff  # else overwritten by the next
    return found[:count]


@compiled
def squares(room: Room, begin: int, end: int, x: float, y: float, z: float) -> Array:
    """Squared distances of some candidates from a place."""
    squared = room.squared[: end - begin]
    xs, ys, zs = room.x[begin:end], room.y[begin:end], room.z[begin:end]
    for c in range(len(squared)):
        u, v, w = xs[c] - x, ys[c] - y, zs[c] - z
        squared[c] = u * u + v * v + w * w
    return squared


@compiled
def _below(values: Array, limit: float) -> int:
    found = 0
    for c in range(len(values)):
        found += values[c] < limit
    return found


@compiled
def _pick(squared: Array, limit: float, hit: Array) -> int:
    found = 0
    for c in range(len(squared)):  # no branches: every second one would be mispredicted
        hit[found] = c
        found += squared[c] < limit
    return found


@compiled
def _put(room: Room, start: int, hit: Array, wrap: Array, j: Array, shift: Array) -> None:
    x, y, z = wrap[0], wrap[1], wrap[2]
    for h in range(len(hit)):
        c = start + hit[h]
        j[h] = room.number[c]
        shift[h, 0] = x + room.shift[c, 0]
        shift[h, 1] = y + room.shift[c, 1]
        shift[h, 2] = z + room.shift[c, 2]
