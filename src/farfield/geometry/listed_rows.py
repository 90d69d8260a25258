"""Any list of pairs as rows of a table of atoms and images (rows.py)."""

import math

import numpy as np

from farfield.compiled import Array, regrouped
from farfield.geometry.rows import SPARE, NeighborRows

DENSE = 1 << 26
"""Entries of a table of all images there could be; where it would be longer, images are sorted instead."""


def listed_once(i: Array, j: Array, shift: Array, *, sources: int, twice: bool) -> NeighborRows:
    """Keep of a list with every pair ``twice`` those with i < j, and of a source's own images one half."""
    first, bounds = np.zeros(sources + 1, np.int64), np.zeros((2, 3))
    _count(i, j, shift, twice, first, bounds)
    spans = (bounds[1] - bounds[0]).astype(np.int64) + 1
    images_at_most = math.prod(spans.tolist())
    if sources * images_at_most > DENSE:
        return _listed_by_sorting(i, j, shift, first, twice=twice)
    number = np.zeros(sources * images_at_most, np.int32)
    other = np.zeros(int(first[-1]) + SPARE, np.int32)
    images = _fill((i, j, shift), twice, (first.copy(), other), (bounds[0], spans, number))
    source, moved = np.empty(images, np.int32), np.empty((images, 3))
    _name(number, (bounds[0], spans), source, moved)
    return _with_sources(first, other, source, moved)


def listing(rows: NeighborRows) -> tuple[Array, Array, Array]:
    """First and second ends and shifts ``(pairs, 3)`` of all pairs of the rows."""
    i, j, shift = np.empty(rows.pairs, np.int64), np.empty(rows.pairs, np.int64), np.empty((rows.pairs, 3))
    _list(rows, i, j, shift)
    return i, j, shift


@regrouped
def _list(rows: NeighborRows, i: Array, j: Array, shift: Array) -> None:
    for run in range(len(rows.atom)):
        atom = rows.atom[run]
        for pair in range(rows.first[run], rows.first[run + 1]):
            other = rows.other[pair]
            i[pair], j[pair] = atom, rows.source[other]
            for axis in range(3):
                shift[pair, axis] = rows.shift[other, axis] - rows.shift[atom, axis]


def _listed_by_sorting(i: Array, j: Array, shift: Array, first: Array, *, twice: bool) -> NeighborRows:
    """List pairs whose images lie wide apart: sources far outside their cell."""
    kept = np.empty(len(i), np.bool_)
    _keep(i, j, shift, twice, kept)
    i, j, shift = i[kept], j[kept], shift[kept]
    order = np.argsort(i, kind="stable")
    j, shift = j[order], shift[order]
    other, moved = np.zeros(len(j) + SPARE, np.int32), shift.any(1)
    other[: len(j)] = j
    images, number = np.unique(np.column_stack([j[moved], shift[moved]]), axis=0, return_inverse=True)
    other[: len(j)][moved] = len(first) - 1 + number.reshape(-1)
    return _with_sources(first, other, images[:, 0].astype(np.int32), images[:, 1:].astype(np.float64))


def _with_sources(first: Array, other: Array, source: Array, shift: Array) -> NeighborRows:
    """The sources where they are given, then the images."""
    count = len(first) - 1
    home = np.arange(count, dtype=np.int32), np.zeros((count, 3))
    return NeighborRows(
        np.arange(count), first, other, np.concatenate([home[0], source]), np.concatenate([home[1], shift])
    )


@regrouped
def _once(i: int, j: int, x: float, y: float, z: float) -> bool:
    if i != j:
        return i < j
    return x > 0 or (x == 0 and (y > 0 or (y == 0 and z > 0)))


@regrouped
def _keep(i: Array, j: Array, shift: Array, twice: bool, kept: Array) -> None:
    for pair in range(len(i)):
        kept[pair] = not twice or _once(i[pair], j[pair], shift[pair, 0], shift[pair, 1], shift[pair, 2])


@regrouped
def _count(i: Array, j: Array, shift: Array, twice: bool, first: Array, bounds: Array) -> None:
    """Find where the pairs of each source begin, and the smallest and the largest shift."""
    for pair in range(len(i)):
        x, y, z = np.float64(shift[pair, 0]), np.float64(shift[pair, 1]), np.float64(shift[pair, 2])
        if twice and not _once(i[pair], j[pair], x, y, z):
            continue
        first[i[pair] + 1] += 1
        bounds[0, 0], bounds[1, 0] = min(bounds[0, 0], x), max(bounds[1, 0], x)
        bounds[0, 1], bounds[1, 1] = min(bounds[0, 1], y), max(bounds[1, 1], y)
        bounds[0, 2], bounds[1, 2] = min(bounds[0, 2], z), max(bounds[1, 2], z)
    for source in range(len(first) - 1):
        first[source + 1] += first[source]


@regrouped
def _fill(
    pairs: tuple[Array, Array, Array], twice: bool, out: tuple[Array, Array], known: tuple[Array, Array, Array]
) -> int:
    """Rows of the second ends; images are numbered as they are met, from one, in a table of all there could be."""
    i, j, shift = pairs
    following, row = out
    low, spans, number = known
    sources, images = len(following) - 1, 0
    for pair in range(len(i)):
        x, y, z = np.float64(shift[pair, 0]), np.float64(shift[pair, 1]), np.float64(shift[pair, 2])
        if twice and not _once(i[pair], j[pair], x, y, z):
            continue
        other = j[pair]
        if x != 0 or y != 0 or z != 0:
            code = (np.int64(x - low[0]) * spans[1] + np.int64(y - low[1])) * spans[2] + np.int64(z - low[2])
            code = code * sources + other
            if number[code] == 0:
                images += 1
                number[code] = images
            other = sources + number[code] - 1
        row[following[i[pair]]] = other
        following[i[pair]] += 1
    return images


@regrouped
def _name(number: Array, known: tuple[Array, Array], source: Array, shift: Array) -> None:
    """Source and shift of every image."""
    low, spans = known
    sources = len(number) // (spans[0] * spans[1] * spans[2])
    for code in range(len(number)):
        if number[code] > 0:
            image, place = number[code] - 1, code // sources
            source[image] = code % sources
            shift[image, 0] = low[0] + place // (spans[1] * spans[2])
            shift[image, 1] = low[1] + place // spans[2] % spans[1]
            shift[image, 2] = low[2] + place % spans[2]
