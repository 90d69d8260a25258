"""Lattices as the search wants them: a vector along every axis, and as little skew as can be."""

import math
from typing import Any

import numpy as np

from farfield.geometry.compiled import compiled

Array = np.ndarray[Any, np.dtype[Any]]


@compiled
def completed(cell: Array, periodic: Array) -> Array:
    """The periodic rows of ``cell`` as they are; along open axes unit vectors normal to all the others."""
    rows, normal = np.zeros((3, 3)), np.zeros((3, 3))  # the normal ones are orthonormal and span what is done so far
    for axis in range(3):
        if periodic[axis]:
            rows[axis] = cell[axis]
            normal[axis] = _unit(_normal_part(rows[axis], normal))
    for axis in range(3):
        if not periodic[axis]:
            best = np.zeros(3)
            for component in range(3):
                trial = np.zeros(3)
                trial[component] = 1.0
                trial = _normal_part(trial, normal)
                if product(trial, trial) > product(best, best):
                    best = trial
            normal[axis] = _unit(_normal_part(_unit(best), normal))
            rows[axis] = normal[axis]
    return rows


@compiled
def _normal_part(vector: Array, normal: Array) -> Array:
    rest = vector.copy()
    for axis in range(3):
        overlap = product(rest, normal[axis])
        for component in range(3):
            rest[component] -= overlap * normal[axis, component]
    return rest


@compiled
def _unit(vector: Array) -> Array:
    length = math.sqrt(product(vector, vector))
    return vector / length if length > 0 else vector


@compiled
def first_flat(cells: Array, periodic: Array) -> int:
    """The first system whose periodic lattice vectors may span nothing, or are not finite; -1 if there is none."""
    for k in range(len(cells)):
        if not (periodic[k, 0] or periodic[k, 1] or periodic[k, 2]):
            continue
        rows = completed(cells[k], periodic[k])
        scale = 1.0
        for axis in range(3):
            length = math.sqrt(product(rows[axis], rows[axis]))
            scale = scale * length if length > 1e-6 else 0.0
        if not abs(determinant(rows)) > 1e-5 * scale or not 0 < scale < np.inf:
            return k
    return -1


@compiled
def reduced(rows: Array, periodic: Array) -> tuple[Array, Array]:
    """Shorter vectors of the same lattice, and the integers (as floats) that make them of ``rows``.

    Lagrange's and Gauss' reduction of every pair of periodic vectors until none gets shorter.
    """
    short, integers = rows.copy(), np.eye(3)
    changed = True
    while changed:
        changed = False
        for a in range(3):
            for b in range(3):
                if a == b or not (periodic[a] and periodic[b]):
                    continue
                steps = np.rint(product(short[a], short[b]) / product(short[b], short[b]))
                trial = short[a] - steps * short[b]
                if product(trial, trial) < (1 - 1e-9) * product(short[a], short[a]):
                    short[a] = trial
                    integers[a] -= steps * integers[b]
                    changed = True
    return short, integers


@compiled
def product(a: Array, b: Array) -> float:
    """Of two vectors, to a number."""
    return float(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


@compiled
def determinant(rows: Array) -> float:
    """Triple product of the rows."""
    columns, total = _cross_products(rows), 0.0
    for component in range(3):
        total += rows[0, component] * columns[component, 0]
    return total


@compiled
def inverse(rows: Array) -> Array:
    """Columns are the reciprocal vectors."""
    return _cross_products(rows) / determinant(rows)


@compiled
def _cross_products(rows: Array) -> Array:
    """Of the other two rows, in columns."""
    columns = np.empty((3, 3))
    for axis in range(3):
        a, b = rows[(axis + 1) % 3], rows[(axis + 2) % 3]
        for component in range(3):
            u, v = (component + 1) % 3, (component + 2) % 3
            columns[component, axis] = a[u] * b[v] - a[v] * b[u]
    return columns
