"""Real-space sums over pairs, and their first and second derivatives, without an array as long as the list.

A block of pairs inside the cutoff is gathered, its radial functions follow in vector registers, its contributions are
scattered. With d = r_j + image - r_i and B_n of the pair,

    E = Σ q_i q_j B_0,    dE/dd = -q_i q_j B_1 d,    d(dE/dd) = q_i q_j (B_2 d (d·δd) - B_1 δd)
"""

import math
from typing import NamedTuple

import numpy as np

from farfield.compiled import Array, regrouped, shares, together
from farfield.coulomb.compiled.radial import between, screened
from farfield.geometry.neighbors import CLOSEST

BLOCK = 256
"""Pairs at a time: their arrays stay in the fastest cache."""

CLOSEST_SQUARED = CLOSEST**2

NARROWEST = 1e-8
"""Å², twice the variances of two charges: those narrower are points."""

LEAST = 1 << 16
"""Pairs that are worth a thread."""


class Charges(NamedTuple):
    """What feels each other; double precision."""

    positions: Array  # (sources, 3), Å
    charges: Array  # (sources, channels), e
    variances: Array  # (sources,) σ² in Å², or empty: all are points
    owner: Array  # (sources,) int64, the system of each


class Cells(NamedTuple):
    """Per system."""

    cell: Array  # (systems, 3, 3), Å
    splitting: Array  # (systems,), 1/Å
    cutoff: Array  # (systems,), Å


class Listed(NamedTuple):
    """Every pair once, in as few bytes as it takes: reading them is a good part of the time."""

    i: Array  # (pairs,) int32
    j: Array  # (pairs,) int32
    shift: Array  # (pairs, 3) int16, or int32 where sources lie that far outside their cell; whole lattice vectors


class Direction(NamedTuple):
    """Changes along which a derivative is taken."""

    positions: Array  # (sources, 3)
    charges: Array  # (sources, channels)
    cell: Array  # (systems, 3, 3)
    weight: Array  # (systems, channels), of each energy


class Block(NamedTuple):
    """Pairs inside the cutoff."""

    place: Array  # (4, block) int64: i, j, system, row of the list
    vector: Array  # (3, block)
    squared: Array  # (block,)
    rates: Array  # (2, block)
    radial: Array  # (3, block)


def listed_once(i: Array, j: Array, shift: Array, *, twice: bool) -> Listed:
    """Of a list that has every pair ``twice`` those with i < j, and of a source's own images one half."""
    pairs = np.zeros(len(i) + 1, np.int64)
    if twice:
        _mark(i, j, shift, pairs)
    else:
        pairs[1:] = np.arange(1, len(i) + 1)
    count = int(pairs[-1])
    furthest = max(-shift.min(initial=0), shift.max(initial=0))
    whole = np.int16 if furthest < 1 << 15 else np.int32
    out = Listed(np.empty(count, np.int32), np.empty(count, np.int32), np.empty((count, 3), whole))
    _copy((i, j, shift), pairs, out)
    return out


def first_order(charges: Charges, cells: Cells, listed: Listed) -> tuple[Array, Array, int]:
    """Potential and field ``(sources, channels, 4)``, dE/dstrain ``(systems, channels, 3, 3)``, pairs too close.

    In e/Å, e/Å² and e²/Å.
    """

    def share(first: int, last: int) -> tuple[Array, Array, int]:
        sources, channels = charges.charges.shape
        felt = np.zeros((sources, channels, 4))
        virial = np.zeros((len(cells.cell), channels, 3, 3))
        too_close = _first_order(charges, cells, listed, (first, last), (felt, virial))
        return felt, virial, too_close

    felt, virial, too_close = zip(*together(share, shares(len(listed.i), LEAST)))
    return _total(felt), _total(virial), sum(too_close)


def second_order(
    charges: Charges, cells: Cells, listed: Listed, direction: Direction
) -> tuple[Array, Array, Array, Array]:
    """Gradient by positions, charges, cell and weight of the derivative of Σ weight·E along a direction."""

    def share(first: int, last: int) -> tuple[Array, Array, Array, Array]:
        out = (
            np.zeros_like(direction.positions),
            np.zeros_like(direction.charges),
            np.zeros_like(direction.cell),
            np.zeros_like(direction.weight),
        )
        _second_order(charges, cells, listed, direction, (first, last), out)
        return out

    shared = together(share, shares(len(listed.i), LEAST))
    by_positions, by_charges, by_cell, by_weight = (_total(arrays) for arrays in zip(*shared))
    return by_positions, by_charges, by_cell, by_weight


@regrouped
def _mark(i: Array, j: Array, shift: Array, pairs: Array) -> None:
    """Running count of the pairs to keep."""
    for row in range(len(i)):
        kept = i[row] < j[row]
        if i[row] == j[row]:
            a, b, c = shift[row, 0], shift[row, 1], shift[row, 2]
            kept = a > 0 or (a == 0 and (b > 0 or (b == 0 and c > 0)))
        pairs[row + 1] = pairs[row] + kept


@regrouped
def _copy(given: tuple[Array, Array, Array], pairs: Array, out: Listed) -> None:
    i, j, shift = given
    for row in range(len(i)):
        to = pairs[row]
        if pairs[row + 1] > to:
            out.i[to], out.j[to] = i[row], j[row]
            for axis in range(3):
                out.shift[to, axis] = np.int64(shift[row, axis])


def _total(arrays: tuple[Array, ...]) -> Array:
    total = arrays[0]
    for array in arrays[1:]:
        total += array
    return total


@regrouped
def _new_block() -> Block:
    return Block(
        np.empty((4, BLOCK), np.uintp),
        np.empty((3, BLOCK)),
        np.empty(BLOCK),
        np.empty((2, BLOCK)),
        np.empty((3, BLOCK)),
    )


@regrouped
def _collect(charges: Charges, cells: Cells, listed: Listed, reach: tuple[int, int], block: Block) -> tuple[int, int]:
    """Fill a block from the list: how many pairs, and the row to go on from."""
    row, last = reach
    count = 0
    at_i, at_j, shift, owner, r, h = listed.i, listed.j, listed.shift, charges.owner, charges.positions, cells.cell
    place, vector, rates = block.place, block.vector, block.rates
    wide = len(charges.variances) > 0
    while row < last and count < BLOCK:
        i, j = np.uintp(at_i[row]), np.uintp(at_j[row])
        s = np.uintp(owner[i])
        x, y, z = r[j, 0] - r[i, 0], r[j, 1] - r[i, 1], r[j, 2] - r[i, 2]
        if shift[row, 0] != 0 or shift[row, 1] != 0 or shift[row, 2] != 0:
            a, b, c = np.float64(shift[row, 0]), np.float64(shift[row, 1]), np.float64(shift[row, 2])
            x += a * h[s, 0, 0] + b * h[s, 1, 0] + c * h[s, 2, 0]
            y += a * h[s, 0, 1] + b * h[s, 1, 1] + c * h[s, 2, 1]
            z += a * h[s, 0, 2] + b * h[s, 1, 2] + c * h[s, 2, 2]
        squared = x * x + y * y + z * z
        place[0, count], place[1, count], place[2, count], place[3, count] = i, j, s, np.uintp(row)
        vector[0, count], vector[1, count], vector[2, count] = x, y, z
        block.squared[count] = squared
        rates[0, count] = cells.splitting[s]
        if wide:
            rates[1, count] = 1 / math.sqrt(max(2 * (charges.variances[i] + charges.variances[j]), NARROWEST))
        count += squared < cells.cutoff[s] ** 2  # else overwritten by the next
        row += 1
    if wide:
        between(block.squared, rates, count, block.radial)
    else:
        screened(block.squared, rates[0], count, block.radial)
    return count, row


@regrouped
def _first_order(
    charges: Charges, cells: Cells, listed: Listed, reach: tuple[int, int], out: tuple[Array, Array]
) -> int:
    felt, virial = out
    block, too_close, row = _new_block(), 0, reach[0]
    while row < reach[1]:
        count, row = _collect(charges, cells, listed, (row, reach[1]), block)
        for p in range(count):
            too_close += block.squared[p] < CLOSEST_SQUARED
        for c in range(charges.charges.shape[1]):
            _scatter(block, count, charges.charges[:, c], felt[:, c])
            _add_virial(block, count, virial[:, c])
    return too_close


@regrouped
def _scatter(block: Block, count: int, q: Array, felt: Array) -> None:
    """Add potential and field ``(sources, 4)`` of one channel; leaves q_i q_j B_1 in the block's rates."""
    place, vector, radial, weight = block.place, block.vector, block.radial, block.rates
    p = 0
    while p < count:
        i, here = place[0, p], q[place[0, p]]
        value, x, y, z = 0.0, 0.0, 0.0, 0.0
        while p < count and place[0, p] == i:
            j = place[1, p]
            there = q[j]
            zeroth, first = radial[0, p], radial[1, p]
            pull = first * there
            weight[0, p] = here * pull
            value += there * zeroth
            x += pull * vector[0, p]
            y += pull * vector[1, p]
            z += pull * vector[2, p]
            push = first * here
            felt[j, 0] += here * zeroth
            felt[j, 1] += push * vector[0, p]
            felt[j, 2] += push * vector[1, p]
            felt[j, 3] += push * vector[2, p]
            p += 1
        felt[i, 0] += value
        felt[i, 1] -= x
        felt[i, 2] -= y
        felt[i, 3] -= z


@regrouped
def _add_virial(block: Block, count: int, virial: Array) -> None:
    """Subtract Σ q_i q_j B_1 d⊗d, one run of pairs of the same system after the other."""
    owner, first = block.place[2], 0
    while first < count:
        last = first + 1
        while last < count and owner[last] == owner[first]:
            last += 1
        xx, xy, xz, yy, yz, zz = _moment(block.rates[0, first:last], block.vector[:, first:last])
        for k, n, value in ((0, 0, xx), (1, 1, yy), (2, 2, zz)):
            virial[owner[first], k, n] -= value
        for k, n, value in ((0, 1, xy), (0, 2, xz), (1, 2, yz)):
            virial[owner[first], k, n] -= value
            virial[owner[first], n, k] -= value
        first = last


@regrouped
def _moment(weight: Array, d: Array) -> tuple[float, float, float, float, float, float]:
    xx, xy, xz, yy, yz, zz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for p in range(len(weight)):
        x, y, z = weight[p] * d[0, p], weight[p] * d[1, p], weight[p] * d[2, p]
        xx += x * d[0, p]
        xy += x * d[1, p]
        xz += x * d[2, p]
        yy += y * d[1, p]
        yz += y * d[2, p]
        zz += z * d[2, p]
    return xx, xy, xz, yy, yz, zz


@regrouped
def _second_order(
    charges: Charges,
    cells: Cells,
    listed: Listed,
    along: Direction,
    reach: tuple[int, int],
    out: tuple[Array, Array, Array, Array],
) -> None:
    by_positions, by_charges, by_cell, by_weight = out
    q, channels = charges.charges, charges.charges.shape[1]
    shift, v, u, h = listed.shift, along.positions, along.charges, along.cell
    block, row = _new_block(), reach[0]
    place, vector, radial = block.place, block.vector, block.radial
    while row < reach[1]:
        count, row = _collect(charges, cells, listed, (row, reach[1]), block)
        for p in range(count):
            i, j, s, listing = place[0, p], place[1, p], place[2, p], place[3, p]
            zeroth, first, second = radial[0, p], radial[1, p], radial[2, p]
            d = (vector[0, p], vector[1, p], vector[2, p])
            a, b, c = np.float64(shift[listing, 0]), np.float64(shift[listing, 1]), np.float64(shift[listing, 2])
            x = v[j, 0] - v[i, 0] + a * h[s, 0, 0] + b * h[s, 1, 0] + c * h[s, 2, 0]
            y = v[j, 1] - v[i, 1] + a * h[s, 0, 1] + b * h[s, 1, 1] + c * h[s, 2, 1]
            z = v[j, 2] - v[i, 2] + a * h[s, 0, 2] + b * h[s, 1, 2] + c * h[s, 2, 2]
            stretch = d[0] * x + d[1] * y + d[2] * z
            product, change = 0.0, 0.0
            for n in range(channels):
                here, there, w = q[i, n], q[j, n], along.weight[s, n]
                cross = u[i, n] * there + u[j, n] * here
                product += w * here * there
                change += w * cross
                by_weight[s, n] += cross * zeroth - here * there * first * stretch
                by_charges[i, n] += w * (u[j, n] * zeroth - there * first * stretch)
                by_charges[j, n] += w * (u[i, n] * zeroth - here * first * stretch)
            along_d, along_x = product * second * stretch - change * first, product * first
            g = (along_d * d[0] - along_x * x, along_d * d[1] - along_x * y, along_d * d[2] - along_x * z)
            for k in range(3):
                by_positions[i, k] -= g[k]
                by_positions[j, k] += g[k]
            if a != 0 or b != 0 or c != 0:
                for k in range(3):
                    by_cell[s, 0, k] += a * g[k]
                    by_cell[s, 1, k] += b * g[k]
                    by_cell[s, 2, k] += c * g[k]
