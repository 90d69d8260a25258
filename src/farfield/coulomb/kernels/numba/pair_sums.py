"""Real-space sums over pairs, and their first and second derivatives, without an array as long as the list.

Sources and the images that anyone meets stand in one table, a row of four numbers each, so that a pair needs nothing
but the row of its other end. Eight pairs of a source at a time: rows are read and transposed in registers, radial
functions are polynomials (radial.py), what the other ends feel is added to theirs. With d = r_j + image - r_i and B_n,

    E = Σ q_i q_j B_0,    dE/dd = -q_i q_j B_1 d,    d(dE/dd) = q_i q_j (B_2 d (d·δd) - B_1 δd)

Images are folded onto their sources at the end; what they feel, times the lattice vectors they were moved by, is the
derivative by the cell.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from farfield.compiled import Array, inlined, regrouped, shares, together
from farfield.coulomb.kernels.numba.radial import ALL, Boys, boys, of_erf, of_points
from farfield.coulomb.kernels.numba.simd import (
    LANES,
    ROW,
    add_columns,
    columns,
    entries,
    fill,
    first_of,
    root,
    smaller,
    smallest,
    total,
    where_below,
)
from farfield.geometry.rows import NeighborRows

NARROWEST = 1e-8
"""Å², twice the variances of two charges: those narrower are points."""

FAR = 1e30
"""Å², the distance of lanes without a pair."""

LEAST = 1 << 18
"""Pairs that are worth a thread."""


class PairCharges(NamedTuple):
    """Charges that interact; double precision."""

    positions: Array  # (sources, 3), Å
    charges: Array  # (sources, channels), e
    variances: Array  # (sources,) σ² in Å², or empty: all are points
    owner: Array  # (sources,) int64, the system of each


class PairCells(NamedTuple):
    """Per system."""

    cell: Array  # (systems, 3, 3), Å
    splitting: Array  # (systems,), 1/Å
    cutoff: Array  # (systems,), Å


class Direction(NamedTuple):
    """Changes along which a derivative is taken."""

    positions: Array  # (sources, 3)
    charges: Array  # (sources, channels)
    cell: Array  # (systems, 3, 3)
    weight: Array  # (systems, channels), of each energy


class FirstOrder(NamedTuple):
    """Potentials and fields at sources, e/Å and e/Å², and derivatives of each channel's energy, e²/Å and e²/Å²."""

    potentials: Array  # (sources, channels, 4), the potential and the field
    grad_cell: Array  # (systems, channels, 3, 3), at fixed positions
    moment: Array  # (systems, channels, 3, 3), Σ r⊗qE
    closest: float  # Å², the least distance of two


def first_order(charges: PairCharges, cells: PairCells, listed: NeighborRows) -> FirstOrder:
    """One pass for each channel."""
    sources, channels = charges.charges.shape
    potentials, closest = np.empty((sources, channels, ROW)), np.inf
    grad_cell, moment = np.zeros((2, len(cells.cell), channels, 3, 3))
    form, variances = functions(charges, cells), with_images(charges.variances, listed)
    for channel in range(channels):
        table = table_of(charges.positions, charges.charges, channel, charges.owner, cells.cell, listed)

        def share(first: int, last: int, table: Array = table) -> tuple[Array, float]:
            out = np.zeros(len(table))
            return out, _first_order((table, variances, charges.owner), cells, listed, form, (first, last), out)

        shared, distances = zip(*together(share, rows(listed)))
        where = listed.source, listed.shift, charges.positions, charges.owner
        _fold(total_of(shared), table, *where, potentials[:, channel], grad_cell[:, channel], moment[:, channel])
        closest = min(closest, *distances)
    return FirstOrder(potentials, grad_cell, moment, closest)


def hessian_vector(
    charges: PairCharges, cells: PairCells, listed: NeighborRows, direction: Direction
) -> tuple[Array, Array, Array, Array]:
    """Gradient by positions, charges, cell and weight of the derivative of Σ weight·E along a direction."""
    grad_positions, grad_charges = np.zeros_like(direction.positions), np.empty_like(direction.charges)
    grad_cell, grad_weight = np.zeros_like(direction.cell), np.zeros_like(direction.weight)
    form, variances = functions(charges, cells), with_images(charges.variances, listed)
    for channel in range(charges.charges.shape[1]):
        table = table_of(charges.positions, charges.charges, channel, charges.owner, cells.cell, listed)
        moves = table_of(direction.positions, direction.charges, channel, charges.owner, direction.cell, listed)
        weight = np.ascontiguousarray(direction.weight[:, channel])

        def share(
            first: int, last: int, tables: tuple[Array, Array] = (table, moves), weight: Array = weight
        ) -> tuple[Array, Array]:
            out, derivative = np.zeros(len(tables[0])), np.zeros(len(weight))
            given = (*tables, variances, charges.owner, weight)
            _second_order(given, cells, listed, form, (first, last), (out, derivative))
            return out, derivative

        gradients, derivatives = zip(*together(share, rows(listed)))
        grad_weight[:, channel] = total_of(derivatives)
        where = listed.source, listed.shift, charges.owner
        _fold_second(total_of(gradients), *where, grad_positions, grad_charges[:, channel], grad_cell)
    return grad_positions, grad_charges, grad_cell, grad_weight


def functions(charges: PairCharges, cells: PairCells) -> Boys:
    """Polynomials that reach as far as they are asked."""
    return boys(ALL if len(charges.variances) else math.ceil(np.square(cells.splitting * cells.cutoff).max()))


def with_images(values: Array, listed: NeighborRows) -> Array:
    """Values of sources (or none) as those of sources and images."""
    return values[listed.source] if len(values) else values


def rows(listed: NeighborRows) -> list[tuple[int, int]]:
    """Runs of sources with about equally many pairs, one per thread."""
    ends = np.searchsorted(listed.first, [end for _, end in shares(listed.pairs, LEAST)]).tolist()
    ends[-1] = len(listed.first) - 1
    return list(zip([0, *ends], ends))


def total_of(arrays: tuple[Array, ...]) -> Array:
    """Add arrays up in the place of the first."""
    whole = arrays[0]
    for array in arrays[1:]:
        whole += array
    return whole


def table_of(vectors: Array, values: Array, channel: int, owner: Array, cell: Array, listed: NeighborRows) -> Array:
    """Vector and value of every source and image, flat."""
    table = np.empty(len(listed.source) * ROW)
    _fill_table(vectors, values[:, channel], owner, cell, listed.source, listed.shift, table)
    return table


@regrouped
def _fill_table(
    vectors: Array, values: Array, owner: Array, cell: Array, source: Array, shift: Array, table: Array
) -> None:
    for row in range(len(source)):
        i = source[row]
        s, a, b, c = owner[i], shift[row, 0], shift[row, 1], shift[row, 2]
        for axis in range(3):
            moved = a * cell[s, 0, axis] + b * cell[s, 1, axis] + c * cell[s, 2, axis]
            table[ROW * row + axis] = vectors[i, axis] + moved
        table[ROW * row + 3] = values[i]


@inlined
def displacements(table: Array, row: Array, at: Any, count: int, origin: Any) -> tuple[Any, Any, Any, Any]:
    """Vectors from ``origin`` to the next eight other ends, and their values; zero in lanes without a pair."""
    x, y, z, value = columns(table, row, at)
    # such lanes read some other source's row, which may hold nan and must leave no trace
    return (
        first_of(x - origin[0], count, 0.0),
        first_of(y - origin[1], count, 0.0),
        first_of(z - origin[2], count, 0.0),
        first_of(value, count, 0.0),
    )


@inlined
def squares(x: Any, y: Any, z: Any, count: int) -> Any:
    """Squared lengths of vectors, very far in lanes without a pair."""
    return first_of(x * x + y * y + z * z, count, FAR)


@inlined
def kernels(squared: Any, widths: Any, reach: Any, top: float, terms: Array) -> tuple[Any, Any, Any]:
    """B_0, B_1 and B_2 of eight pairs, zero beyond the cutoff.

    ``widths`` are the variances of all (or none), that of this source, and where those of the others are listed;
    ``reach`` is the splitting and the square of the cutoff.
    """
    variances, own, row, at = widths
    if len(variances) > 0:
        return _gaussian_kernels(squared, entries(variances, row, at) + own, reach, top, terms)
    return _point_kernels(squared, reach, top, terms)


@inlined
def _point_kernels(squared: Any, reach: Any, top: float, terms: Array) -> tuple[Any, Any, Any]:
    split, limit = reach
    zeroth, first, second = of_points(squared)
    far, far_first, far_second = of_erf(squared, split, top, terms)
    return (
        where_below(squared, limit, zeroth - far, fill(0.0)),
        where_below(squared, limit, first - far_first, fill(0.0)),
        where_below(squared, limit, second - far_second, fill(0.0)),
    )


@inlined
def _gaussian_kernels(squared: Any, variance: Any, reach: Any, top: float, terms: Array) -> tuple[Any, Any, Any]:
    """Evaluate the kernels of Gaussians, ``variance`` the sum of both."""
    split, limit = reach
    zeroth, first, second = of_points(squared)
    variance = 2.0 * variance
    rate = fill(1.0) / root(where_below(variance, NARROWEST, fill(NARROWEST), variance))
    z = rate * rate * squared
    own, own_first, own_second = of_erf(squared, rate, top, terms)
    far, far_first, far_second = of_erf(squared, split, top, terms)
    zeroth, first, second = (
        where_below(z, ALL, own, zeroth) - far,
        where_below(z, ALL, own_first, first) - far_first,
        where_below(z, ALL, own_second, second) - far_second,
    )
    nothing = fill(0.0)
    return (
        where_below(squared, limit, zeroth, nothing),
        where_below(squared, limit, first, nothing),
        where_below(squared, limit, second, nothing),
    )


@regrouped
def _first_order(
    given: tuple[Array, Array, Array],
    cells: PairCells,
    listed: NeighborRows,
    form: Boys,
    reach: tuple[int, int],
    out: Array,
) -> float:
    table, variances, owner = given
    row, begin, nothing = listed.other, listed.first, fill(0.0)
    closest = fill(FAR)
    for run in range(reach[0], reach[1]):
        i = listed.atom[run]
        origin, q_i = (table[ROW * i], table[ROW * i + 1], table[ROW * i + 2]), table[ROW * i + 3]
        cutoff = cells.splitting[owner[i]], cells.cutoff[owner[i]] ** 2
        own = variances[i] if len(variances) > 0 else 0.0
        potential, x_sum, y_sum, z_sum = nothing, nothing, nothing, nothing
        for pair in range(begin[run], begin[run + 1], LANES):
            at, count = np.uintp(pair), begin[run + 1] - pair
            x, y, z, q = displacements(table, row, at, count, origin)
            squared = squares(x, y, z, count)
            closest = smaller(closest, squared)
            zeroth, first, _ = kernels(squared, (variances, own, row, at), cutoff, form.top, form.terms)
            pull, push = first * q, first_of(first * q_i, count, 0.0)
            potential = potential + zeroth * q
            x_sum, y_sum, z_sum = x_sum + pull * x, y_sum + pull * y, z_sum + pull * z
            add_columns(out, row, at, push * x, push * y, push * z, first_of(zeroth * q_i, count, 0.0))
        out[ROW * i] -= total(x_sum)
        out[ROW * i + 1] -= total(y_sum)
        out[ROW * i + 2] -= total(z_sum)
        out[ROW * i + 3] += total(potential)
    return float(smallest(closest))


@regrouped
def _fold(
    found: Array,
    table: Array,
    source: Array,
    shift: Array,
    positions: Array,
    owner: Array,
    potentials: Array,
    grad_cell: Array,
    moment: Array,
) -> None:
    """Potential and field of the sources with those of their images; dE/dcell and Σ r⊗qE."""
    _sum_images(found, source, potentials)
    _by_cell(found, table, source, shift, owner, grad_cell)
    i, sources = 0, len(potentials)
    while i < sources:  # one system after the other, its sums in registers
        system, last = owner[i], i
        while last < sources and owner[last] == system:
            last += 1
        moment[system] = _moment(positions[i:last], table[ROW * i : ROW * last], potentials[i:last])
        i = last


@regrouped
def _sum_images(found: Array, source: Array, potentials: Array) -> None:
    for row in range(len(source)):
        i, home = source[row], row < len(potentials)
        potentials[i, 0] = found[ROW * row + 3] + (0.0 if home else potentials[i, 0])
        for axis in range(3):
            potentials[i, axis + 1] = found[ROW * row + axis] + (0.0 if home else potentials[i, axis + 1])


@regrouped
def _by_cell(found: Array, table: Array, source: Array, shift: Array, owner: Array, grad_cell: Array) -> None:
    for row in range(len(source)):
        system, value = owner[source[row]], table[ROW * row + 3]
        for k in range(3):
            if shift[row, k] != 0:
                for axis in range(3):
                    grad_cell[system, k, axis] -= shift[row, k] * value * found[ROW * row + axis]


@regrouped
def _moment(positions: Array, table: Array, potentials: Array) -> Array:
    xx, xy, xz, yx, yy, yz, zx, zy, zz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(positions)):
        value = table[ROW * i + 3]
        x, y, z = value * positions[i, 0], value * positions[i, 1], value * positions[i, 2]
        a, b, c = potentials[i, 1], potentials[i, 2], potentials[i, 3]
        xx, xy, xz = xx + x * a, xy + x * b, xz + x * c
        yx, yy, yz = yx + y * a, yy + y * b, yz + y * c
        zx, zy, zz = zx + z * a, zy + z * b, zz + z * c
    return np.array([[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]])


@regrouped
def _second_order(
    given: tuple[Array, Array, Array, Array, Array],
    cells: PairCells,
    listed: NeighborRows,
    form: Boys,
    reach: tuple[int, int],
    out: tuple[Array, Array],
) -> None:
    """Gradients by position and charge of every source and image, and Σ over a system's pairs for its weight."""
    table, moves, variances, owner, weights = given
    gradients, derivatives = out
    row, begin, nothing = listed.other, listed.first, fill(0.0)
    for run in range(reach[0], reach[1]):
        i = listed.atom[run]
        origin, q_i = (table[ROW * i], table[ROW * i + 1], table[ROW * i + 2]), table[ROW * i + 3]
        move, p_i = (moves[ROW * i], moves[ROW * i + 1], moves[ROW * i + 2]), moves[ROW * i + 3]
        cutoff, weight = (cells.splitting[owner[i]], cells.cutoff[owner[i]] ** 2), weights[owner[i]]
        own = variances[i] if len(variances) > 0 else 0.0
        x_sum, y_sum, z_sum, q_sum, derivative = nothing, nothing, nothing, nothing, nothing
        for pair in range(begin[run], begin[run + 1], LANES):
            at, count = np.uintp(pair), begin[run + 1] - pair
            x, y, z, q = displacements(table, row, at, count, origin)
            u, v, w, p = displacements(moves, row, at, count, move)
            squared = squares(x, y, z, count)
            zeroth, first, second = kernels(squared, (variances, own, row, at), cutoff, form.top, form.terms)
            stretch = first * (x * u + y * v + z * w)
            change, product = p * q_i + q * p_i, q * q_i
            derivative = derivative + change * zeroth - product * stretch
            along_d = (product * (x * u + y * v + z * w) * second - change * first) * weight
            along_u = product * first * weight
            x, y, z = along_d * x - along_u * u, along_d * y - along_u * v, along_d * z - along_u * w
            x_sum, y_sum, z_sum = x_sum + x, y_sum + y, z_sum + z
            q_sum = q_sum + (p * zeroth - q * stretch)
            x, y, z = first_of(x, count, 0.0), first_of(y, count, 0.0), first_of(z, count, 0.0)
            add_columns(gradients, row, at, x, y, z, first_of((zeroth * p_i - stretch * q_i) * weight, count, 0.0))
        gradients[ROW * i] -= total(x_sum)
        gradients[ROW * i + 1] -= total(y_sum)
        gradients[ROW * i + 2] -= total(z_sum)
        gradients[ROW * i + 3] += total(q_sum) * weight
        derivatives[owner[i]] += total(derivative)


@regrouped
def _fold_second(
    found: Array,
    source: Array,
    shift: Array,
    owner: Array,
    grad_positions: Array,
    grad_charges: Array,
    grad_cell: Array,
) -> None:
    """Gradients of the sources with those of their images, and by the cell."""
    for row in range(len(source)):
        i = source[row]
        if row < len(grad_positions):
            grad_charges[i] = found[ROW * row + 3]
        else:
            grad_charges[i] += found[ROW * row + 3]
        for axis in range(3):
            gradient = found[ROW * row + axis]
            grad_positions[i, axis] += gradient
            for k in range(3):
                grad_cell[owner[i], k, axis] += shift[row, k] * gradient
