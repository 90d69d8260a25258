"""Lattices as the search wants them: a vector along every axis, and as little skew as can be.

Kernels write into arrays they are given, number by number: numba compiles that several times faster than slices.
"""

import math

import numpy as np

from farfield.compiled import Array, compiled


@compiled
def complete(rows: Array, cell: Array, periodic: Array) -> None:
    """``rows`` become the periodic ones of ``cell``; along open axes unit vectors normal to all the others."""
    known = -1
    for axis in range(3):
        if periodic[axis]:
            known = axis
        for component in range(3):
            rows[axis, component] = cell[axis, component] if periodic[axis] else 0.0
    least = 0
    if known >= 0:
        for component in range(3):
            least = component if abs(cell[known, component]) < abs(cell[known, least]) else least
    for axis in range(3):  # of several open axes, first any that is not parallel to the others
        if not periodic[axis]:
            rows[axis, least if known >= 0 else axis] = 1.0
    for axis in range(3):
        if not periodic[axis] and known >= 0:
            _make_normal(rows, axis)


@compiled
def _make_normal(rows: Array, axis: int) -> None:
    """Row ``axis`` becomes a unit vector across the other two."""
    for component in range(3):
        rows[axis, component] = _cross(rows, axis, component)
    length = math.sqrt(product(rows, axis, axis))
    for component in range(3):
        rows[axis, component] /= length


@compiled
def reduce(rows: Array, integers: Array, periodic: Array) -> None:
    """``rows`` become shorter vectors of the same lattice, ``integers`` (as floats) what makes them of the old ones.

    Lagrange's and Gauss' reduction of every pair of periodic vectors until none gets shorter.
    """
    for a in range(3):
        for b in range(3):
            integers[a, b] = 1.0 if a == b else 0.0
    changed = True
    while changed:
        changed = False
        for a in range(3):
            for b in range(3):
                if a != b and periodic[a] and periodic[b]:
                    changed |= _shorten(rows, integers, a, b)


@compiled
def _shorten(rows: Array, integers: Array, a: int, b: int) -> bool:
    """Take multiples of row ``b`` off row ``a`` if that shortens it."""
    overlap, own, other = product(rows, a, b), product(rows, a, a), product(rows, b, b)
    steps = np.rint(overlap / other)
    if not own - 2 * steps * overlap + steps * steps * other < (1 - 1e-9) * own:
        return False
    for component in range(3):
        rows[a, component] -= steps * rows[b, component]
        integers[a, component] -= steps * integers[b, component]
    return True


@compiled
def product(rows: Array, a: int, b: int) -> float:
    """Compute the scalar product of two rows."""
    return float(rows[a, 0] * rows[b, 0] + rows[a, 1] * rows[b, 1] + rows[a, 2] * rows[b, 2])


@compiled
def inverse(rows: Array) -> tuple[Array, float]:
    """The matrix whose columns are the reciprocal vectors, and the determinant of ``rows``."""
    columns, determinant = np.empty((3, 3)), 0.0
    for component in range(3):
        determinant += rows[0, component] * _cross(rows, 0, component)
    for axis in range(3):
        for component in range(3):
            columns[component, axis] = _cross(rows, axis, component) / determinant
    return columns, determinant


@compiled
def _cross(rows: Array, axis: int, component: int) -> float:
    """A component of the cross product of the two rows other than ``axis``."""
    a, b, u, v = (axis + 1) % 3, (axis + 2) % 3, (component + 1) % 3, (component + 2) % 3
    return float(rows[a, u] * rows[b, v] - rows[a, v] * rows[b, u])
