"""Charges to a mesh and back by B-splines, any derivative of theirs; the plain-torch reference is in splines.py.

Sources are taken in the order of the mesh's columns, so that neighbours find their part of it in the cache, and in
slabs along the first axis, so that threads never write to the same plane.
"""

from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from farfield.compiled import Array, inlined, regrouped, shares, together
from farfield.coulomb.kernels.numba.simd import LANES, dot, fill, load, store

LEAST = 1 << 13
"""Sources that are worth a thread."""


class Spline(NamedTuple):
    """Weights of the mesh points beside a source, as polynomials of where it stands between two of them."""

    pieces: Array  # (derivatives · order · width,): highest power first, of the offset less ½
    order: tuple[int, ...]  # as many entries as the order, which the compiler thus knows
    derivatives: tuple[int, ...]  # and as the derivatives, the value among them


class SplineTerms(NamedTuple):
    """Derivatives of the splines that are taken."""

    orders: Array  # (terms, 3) int64
    highest: int
    gradient: bool  # the value and its three first derivatives in their order, nothing else


@lru_cache(maxsize=64)
def spline(order: int, highest: int) -> Spline:
    """Pieces of the cardinal B-spline M_p and of its derivatives by the place of the source.

    A source at u (in mesh spacings) touches the points ⌊u - p/2⌋ + 1 + j with M_p(j + 1 - t), t being what ⌊⌋ drops.
    """
    lanes = overhang(order)
    pieces = np.zeros((highest + 1, order, lanes))
    shape = np.zeros((1, 1))
    shape[0, 0] = 1.0  # M_1 on its only piece, powers of s = t - ½ rising
    for n in range(2, order + 1):
        longer = np.zeros((n, n))
        for j in range(n):  # M_n(x) = (x M_{n-1}(x) + (n - x) M_{n-1}(x - 1))/(n - 1) at x = j + ½ - s
            for piece, constant, slope in ((j, j + 0.5, -1.0), (j - 1, n - j - 0.5, 1.0)):
                if 0 <= piece < n - 1:
                    longer[j, :-1] += constant / (n - 1) * shape[piece]
                    longer[j, 1:] += slope / (n - 1) * shape[piece]
        shape = longer
    for d in range(highest + 1):
        pieces[d, order - shape.shape[1] :, :order] = shape[:, ::-1].T
        shape = shape[:, 1:] * np.arange(1, shape.shape[1])
        if shape.shape[1] == 0:
            break
    return Spline(pieces.reshape(-1), (0,) * order, (0,) * (highest + 1))


def overhang(order: int) -> int:
    """Points by which a row of weights, whole registers, may reach beyond the mesh: room that meshes keep there."""
    return -(-order // LANES) * LANES


class MeshBins(NamedTuple):
    """Sources in the order of the mesh, and where each slab of them ends."""

    order: Array  # (sources,) int64
    planes: Array  # (first axis + 1,) int64, first source of each plane


def spread(
    fractional: Array,  # (sources, 3)
    moments: Array,  # (sources, terms, channels)
    terms: SplineTerms,
    shape: tuple[int, int, int],
    order: int,
) -> Array:
    """Mesh ``(channels, *shape)``."""
    form, bins = spline(order, terms.highest), _bins(fractional, np.array(shape), order)
    lanes = overhang(order)
    padded = np.zeros((moments.shape[2], shape[0], shape[1], shape[2] + lanes))
    size = np.array(shape)
    for ranges in _slabs(bins.planes, order):
        together(
            lambda first, last: _spread(
                fractional, moments, terms, form, (bins.order[first:last], padded.reshape(-1), size)
            ),
            ranges,
        )
    mesh = padded[..., : shape[2]]
    for start in range(0, lanes, shape[2]):
        beyond = padded[..., shape[2] + start : min(2 * shape[2] + start, shape[2] + lanes)]
        mesh[..., : beyond.shape[-1]] += beyond
    return mesh  # a view: transforms take it as it lies


def gather(
    fractional: Array,  # (sources, 3)
    mesh: Array,  # (channels, *shape)
    terms: SplineTerms,
    order: int,
) -> Array:
    """Values ``(sources, terms, channels)``."""
    size = np.array(mesh.shape[1:])
    form, bins = spline(order, terms.highest), _bins(fractional, size, order)
    lanes = overhang(order)
    padded = np.empty((*mesh.shape[:3], mesh.shape[3] + lanes))
    together(lambda first, last: _pad(mesh[:, first:last], padded[:, first:last]), shares(len(padded[0]), lanes))
    values = np.empty((len(fractional), len(terms.orders), len(mesh)))
    together(
        lambda first, last: _gather(
            fractional, values, terms, form, (bins.order[first:last], padded.reshape(-1), size)
        ),
        shares(len(fractional), LEAST),
    )
    return values


def _pad(mesh: Array, padded: Array) -> None:
    """Copy planes and go on where they begin again."""
    points = mesh.shape[3]
    padded[..., :points] = mesh
    for start in range(points, padded.shape[3], points):
        padded[..., start : start + points] = mesh[..., : padded.shape[3] - start]


def _slabs(planes: Array, order: int) -> list[list[tuple[int, int]]]:
    """Ranges of binned sources that may be spread at the same time: every second of the slabs along the mesh."""
    sources, thickness = int(planes[-1]), len(planes) - 1
    count = min(2 * len(shares(sources, LEAST)), thickness // order // 2 * 2)
    if count < 4:
        return [[(0, sources)]]
    ends = [int(planes[thickness * k // count]) for k in range(count + 1)]
    ranges = list(pairwise(ends))
    return [ranges[::2], ranges[1::2]]


def _bins(fractional: Array, size: Array, order: int) -> MeshBins:
    sources = len(fractional)
    out = MeshBins(np.empty(sources, np.int64), np.empty(size[0] + 1, np.int64))
    _sort(fractional, size, order, out)
    return out


@inlined
def _first_point(fraction: float, points: int, half: float) -> tuple[int, float]:
    """The first mesh point that a source touches, and its offset less ½."""
    place = (fraction - np.floor(fraction)) * points - half
    if place != place:  # nan, which has no place
        return 0, place
    floor = np.floor(place)
    first = int(floor) + 1
    while first < 0:
        first += points
    return (first if first < points else first - points), float(place - floor - 0.5)


@regrouped
def _sort(fractional: Array, size: Array, order: int, out: MeshBins) -> None:
    """Counting sort by column of the mesh."""
    sources, columns, half = len(fractional), size[0] * size[1], 0.5 * order
    key = np.empty(sources, np.int64)
    start = np.zeros(columns + 1, np.int64)
    for i in range(sources):
        x, _ = _first_point(fractional[i, 0], size[0], half)
        y, _ = _first_point(fractional[i, 1], size[1], half)
        key[i] = x * size[1] + y
        start[key[i] + 1] += 1
    for k in range(columns):
        start[k + 1] += start[k]
    for x in range(size[0] + 1):
        out.planes[x] = start[x * size[1]]
    for i in range(sources):
        out.order[start[key[i]]] = i
        start[key[i]] += 1


@inlined
def _locate(fractional: Array, i: int, size: Array, pieces: Array, p: int, n: int, weights: Array, rows: Array) -> None:
    """Weights along all axes ``(3 · derivatives · lanes,)``, and where the planes and columns start in the mesh.

    The first point along the last axis is part of where a plane starts.
    """
    width = -(-p // LANES) * LANES
    column, half = size[2] + width, 0.5 * p
    x, x_offset = _first_point(fractional[i, 0], size[0], half)
    y, y_offset = _first_point(fractional[i, 1], size[1], half)
    z, z_offset = _first_point(fractional[i, 2], size[2], half)
    for d in range(n):
        for lane in range(0, width, LANES):  # three chains of products at a time
            at = d * p * width + lane
            highest = load(pieces, at)
            along_x, along_y, along_z = highest, highest, highest
            for k in range(1, p):
                piece = load(pieces, at + k * width)
                along_x = along_x * x_offset + piece
                along_y = along_y * y_offset + piece
                along_z = along_z * z_offset + piece
            store(weights, d * width + lane, along_x)
            store(weights, (n + d) * width + lane, along_y)
            store(weights, (2 * n + d) * width + lane, along_z)
    for k in range(p):
        rows[0, k] = x * column * size[1] + z
        rows[1, k] = y * column
        x = x + 1 if x + 1 < size[0] else 0
        y = y + 1 if y + 1 < size[1] else 0


@regrouped
def _spread(
    fractional: Array, moments: Array, terms: SplineTerms, form: Spline, where: tuple[Array, Array, Array]
) -> None:
    chosen, mesh, size = where
    p, n, pieces = len(form.order), len(form.derivatives), form.pieces
    width = -(-p // LANES) * LANES
    weights, rows = np.empty(3 * n * width), np.empty((2, p), np.uintp)
    columns, cube = np.empty(n * width), np.empty((n, n, n))
    channel = mesh.size // moments.shape[2]
    for i in chosen:
        _locate(fractional, i, size, pieces, p, n, weights, rows)
        for c in range(moments.shape[2]):
            if n == 1:
                _spread_value(mesh, weights, rows, moments[i, 0, c], p, np.uintp(c * channel))
                continue
            cube[:] = 0.0
            for t in range(len(terms.orders)):
                cube[terms.orders[t, 0], terms.orders[t, 1], terms.orders[t, 2]] += moments[i, t, c]
            for x in range(p):
                start = rows[0, x] + np.uintp(c * channel)
                _columns(cube, weights, x, width, columns)
                for y in range(p):
                    for lane in range(0, width, LANES):
                        at = start + rows[1, y] + np.uintp(lane)
                        value = load(mesh, at)
                        for b in range(n):
                            value = value + load(columns, b * width + lane) * weights[(n + b) * width + y]
                        store(mesh, at, value)


@inlined
def _spread_value(mesh: Array, weights: Array, rows: Array, value: float, p: int, start: Any) -> None:
    """Add value · weights; nothing differentiated."""
    width = -(-p // LANES) * LANES
    for lane in range(0, width, LANES):
        along = load(weights, 2 * width + lane) * value
        for x in range(p):
            plane = start + rows[0, x] + np.uintp(lane)
            column = along * weights[x]
            for y in range(p):
                at = plane + rows[1, y]
                store(mesh, at, load(mesh, at) + column * weights[width + y])


@regrouped
def _columns(cube: Array, weights: Array, x: int, width: int, columns: Array) -> None:
    """Contract what is spread in plane x with the weights of the first and of the last axis."""
    n = len(cube)
    for b in range(n):
        for lane in range(0, width, LANES):
            value = fill(0.0)
            for d in range(n - b):
                factor = 0.0
                for a in range(n - b - d):
                    factor += cube[a, b, d] * weights[a * width + x]
                value = value + load(weights, (2 * n + d) * width + lane) * factor
            store(columns, b * width + lane, value)


@regrouped
def _gather(
    fractional: Array, values: Array, terms: SplineTerms, form: Spline, where: tuple[Array, Array, Array]
) -> None:
    chosen, mesh, size = where
    p, n, pieces = len(form.order), len(form.derivatives), form.pieces
    width = -(-p // LANES) * LANES
    weights, rows = np.empty(3 * n * width), np.empty((2, p), np.uintp)
    planes, found = np.empty(n * p * LANES), np.empty((n, n, n))
    channel = mesh.size // values.shape[2]
    for i in chosen:
        _locate(fractional, i, size, pieces, p, n, weights, rows)
        for c in range(values.shape[2]):
            if n == 2 and terms.gradient:
                four = _value_and_slopes(mesh, weights, rows, p, np.uintp(c * channel))
                values[i, 0, c], values[i, 1, c], values[i, 2, c], values[i, 3, c] = four
                continue
            found[:] = 0.0
            for lane in range(0, width, LANES):
                for x in range(p):
                    start = rows[0, x] + np.uintp(c * channel + lane)
                    _lines(mesh, weights, (start, p * LANES, x * LANES), form, (rows, planes))
                _contract(planes, weights, (p, width, lane), found)
            for t in range(len(terms.orders)):
                values[i, t, c] = found[terms.orders[t, 0], terms.orders[t, 1], terms.orders[t, 2]]


@inlined
def _value_and_slopes(
    mesh: Array, weights: Array, rows: Array, p: int, start: Any
) -> tuple[float, float, float, float]:
    """The value and its three first derivatives in one reading of the mesh."""
    width = -(-p // LANES) * LANES
    value, slope_x, slope_y, slope_z = 0.0, 0.0, 0.0, 0.0
    for lane in range(0, width, LANES):
        summed, sloped_x, sloped_y = fill(0.0), fill(0.0), fill(0.0)
        for x in range(p):
            plane = start + rows[0, x] + np.uintp(lane)
            line, sloped = fill(0.0), fill(0.0)
            for y in range(p):
                row = load(mesh, plane + rows[1, y])
                line = line + row * weights[2 * width + y]
                sloped = sloped + row * weights[3 * width + y]
            summed = summed + line * weights[x]
            sloped_x = sloped_x + line * weights[width + x]
            sloped_y = sloped_y + sloped * weights[x]
        along, along_sloped = load(weights, 4 * width + lane), load(weights, 5 * width + lane)
        value += dot(summed, along)
        slope_x += dot(sloped_x, along)
        slope_y += dot(sloped_y, along)
        slope_z += dot(summed, along_sloped)
    return value, slope_x, slope_y, slope_z


@regrouped
def _lines(mesh: Array, weights: Array, at: tuple[int, int, int], form: Spline, out: tuple[Array, Array]) -> None:
    """Contract a plane with the weights of the middle axis; with the value and first derivatives in one reading."""
    rows, planes = out
    start, stride, here = at
    p, n = len(form.order), len(form.derivatives)
    width = -(-p // LANES) * LANES
    if n == 2:
        value, slope = fill(0.0), fill(0.0)
        for y in range(p):
            row = load(mesh, start + rows[1, y])
            value = value + row * weights[2 * width + y]
            slope = slope + row * weights[3 * width + y]
        store(planes, here, value)
        store(planes, stride + here, slope)
    else:
        for b in range(n):
            value = fill(0.0)
            for y in range(p):
                value = value + load(mesh, start + rows[1, y]) * weights[(n + b) * width + y]
            store(planes, b * stride + here, value)


@regrouped
def _contract(planes: Array, weights: Array, sizes: tuple[int, int, int], found: Array) -> None:
    """Contract the planes with the weights of the first and of the last axis."""
    p, width, lane = sizes
    n = len(found)
    for b in range(n):
        for a in range(n - b):
            value = fill(0.0)
            for x in range(p):
                value = value + load(planes, (b * p + x) * LANES) * weights[a * width + x]
            for d in range(n - a - b):
                found[a, b, d] += dot(value, load(weights, (2 * n + d) * width + lane))
