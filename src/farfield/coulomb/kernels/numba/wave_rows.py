"""Waves row by row: those that differ in their third index only share the factor of the other two.

With n = (a, b, c ± m), c the middle of a row, exp(i n·x) = exp(i (a, b, c)·x) exp(±imz). A pair of waves ±m needs the
real products of a complex number with cos mz and sin mz once: two multiplications a wave and a source, none of them
by a sine or cosine that is not at hand. A block of sources stays in the fastest cache while all rows pass over it.
Blocks are of the type the powers were made in; what adds up over blocks is in double precision.
"""

import math
from typing import NamedTuple

import numpy as np

from farfield.compiled import Array, regrouped
from farfield.coulomb.kernels.numba.simd import fill, load, store

BLOCK = 64
"""Sources at a time."""

REGISTER = 64
"""Bytes that loops go on by: blocks end on a multiple."""


class Rows(NamedTuple):
    """The rows of a batch of systems."""

    middle: Array  # (rows, 3) int64, index (a, b, c)
    place: Array  # (rows, 3) int64: which wave the middle is, waves above it, waves below it
    start: Array  # (systems + 1,) int64, the rows of system s are start[s] to start[s + 1]
    highest: Array  # (systems, 3) int64, multiples of each phase that occur


class Powers(NamedTuple):
    """cos and sin of multiples of the phases of a block of sources, each ``(2, multiples, BLOCK)``."""

    first: Array
    second: Array
    third: Array


def rows_of(
    indices: Array,  # (systems, waves, 3) int64
    counts: Array,  # (systems,) int64, waves that are looked at; the rest is padding
) -> Rows:
    """Runs of waves whose third index rises by one; one wave is a row too."""
    most = int(counts.sum())
    rows = Rows(
        np.empty((most, 3), np.int64),
        np.empty((most, 3), np.int64),
        np.zeros(len(indices) + 1, np.int64),
        np.ones((len(indices), 3), np.int64),
    )
    found = _find(indices, counts, rows)
    return Rows(rows.middle[:found].copy(), rows.place[:found].copy(), rows.start, rows.highest)


@regrouped
def _find(indices: Array, counts: Array, rows: Rows) -> int:
    found = 0
    for s in range(len(indices)):
        n, first, highest = indices[s], 0, rows.highest[s]
        while first < counts[s]:
            last = first
            while (
                last + 1 < counts[s]
                and n[last + 1, 0] == n[first, 0]
                and n[last + 1, 1] == n[first, 1]
                and n[last + 1, 2] == n[last, 2] + 1
            ):
                last += 1
            below = (last - first) // 2
            above = last - first - below
            for axis in range(3):
                rows.middle[found, axis] = n[first + below, axis]
                highest[axis] = max(highest[axis], abs(n[first + below, axis]))
            highest[2] = max(highest[2], above)
            rows.place[found, 0], rows.place[found, 1], rows.place[found, 2] = first + below, above, below
            found += 1
            first = last + 1
        rows.start[s + 1] = found
    return found


@regrouped
def new_powers(highest: Array, like: Array) -> Powers:
    """Room for the powers of a block, in the type of ``like``."""
    a, b, c = highest[0] + 1, highest[1] + 1, highest[2] + 1
    return Powers(
        np.empty((2, a, BLOCK), like.dtype), np.empty((2, b, BLOCK), like.dtype), np.empty((2, c, BLOCK), like.dtype)
    )


@regrouped
def new_block(rows: int, like: Array) -> Array:
    """``(rows, BLOCK)`` zeros in the type of ``like``."""
    return np.zeros((rows, BLOCK), like.dtype)


@regrouped
def raise_powers(phases: Array, first: int, powers: Powers) -> int:
    """exp(i n x) of a block of one system's sources ``phases`` (sources, 3); how many, rounded up to full registers."""
    count = min(BLOCK, len(phases) - first)
    lanes = REGISTER // powers.first.itemsize
    full = (count + lanes - 1) // lanes * lanes
    for axis, out in enumerate(powers):
        for p in range(full):
            angle = phases[first + p, axis] if p < count else 0.0
            out[0, 0, p], out[1, 0, p] = 1.0, 0.0
            out[0, 1, p], out[1, 1, p] = math.cos(angle), math.sin(angle)
        for n in range(2, out.shape[1]):
            half = n // 2  # few products each, so that rounding does not pile up
            for p in range(full):
                x, y = out[0, half, p], out[1, half, p]
                u, v = out[0, n - half, p], out[1, n - half, p]
                out[0, n, p], out[1, n, p] = x * u - y * v, x * v + y * u
    return full


@regrouped
def middle_wave(powers: Powers, n: Array, full: int, out: Array) -> None:
    """exp(i n·x) of one wave into ``out`` (2, BLOCK)."""
    a, b, c = abs(n[0]), abs(n[1]), abs(n[2])
    one = out.dtype.type(1)
    along, across, up = one if n[0] >= 0 else -one, one if n[1] >= 0 else -one, one if n[2] >= 0 else -one
    first, second, third = powers.first, powers.second, powers.third
    for p in range(full):
        x, y = first[0, a, p], along * first[1, a, p]
        u, v = second[0, b, p], across * second[1, b, p]
        out[0, p], out[1, p] = x * u - y * v, x * v + y * u
    if c != 0:
        for p in range(full):
            x, y = out[0, p], out[1, p]
            u, v = third[0, c, p], up * third[1, c, p]
            out[0, p], out[1, p] = x * u - y * v, x * v + y * u


@regrouped
def add_row(amplitude: Array, third: Array, place: Array, full: int, total: Array) -> None:
    """Add Σ amplitude · exp(±imz), amplitude (2, BLOCK) complex, to the waves of a row in ``total`` (waves, 2)."""
    middle, above, below = place[0], place[1], place[2]
    zero = amplitude.dtype.type(0)
    for m in range(above + 1):
        cc, ss, cs, sc = zero, zero, zero, zero
        for p in range(full):
            cc += amplitude[0, p] * third[0, m, p]
            ss += amplitude[1, p] * third[1, m, p]
            cs += amplitude[0, p] * third[1, m, p]
            sc += amplitude[1, p] * third[0, m, p]
        total[middle + m, 0] += cc - ss
        total[middle + m, 1] += cs + sc
        if 0 < m <= below:
            total[middle - m, 0] += cc + ss
            total[middle - m, 1] += sc - cs


@regrouped
def pair_up(values: Array, place: Array, powers: int, out: Array) -> None:
    """Factors of cos mz and sin mz in Σ m^n F_m exp(imz) of a row's F ``(waves, 2)``, n < ``powers``.

    Four numbers a power into ``out`` (multiples, 4·powers): real part, then imaginary part.
    """
    middle, above, below = place[0], place[1], place[2]
    for m in range(above + 1):
        x, y = values[middle + m, 0], values[middle + m, 1]
        u, v = 0.0, 0.0
        if 0 < m <= below:
            u, v = values[middle - m, 0], values[middle - m, 1]
        even_real, even, odd_real, odd = x + u, y + v, x - u, y - v
        for n in range(powers):
            out[m, 4 * n], out[m, 4 * n + 1], out[m, 4 * n + 2], out[m, 4 * n + 3] = even_real, -odd, even, odd_real
            even_real, even, odd_real, odd = m * odd_real, m * odd, m * even_real, m * even


@regrouped
def row_value(factors: Array, third: Array, above: int, full: int, out: Array) -> None:
    """Σ_m F_m exp(imz) over the waves of a row, into ``out`` (2, BLOCK)."""
    cosine, sine, zero = third[0].reshape(-1), third[1].reshape(-1), out.dtype.type(0)
    for v in range(0, full, REGISTER // out.itemsize):
        x, y = fill(zero), fill(zero)
        for m in range(above + 1):
            c, s, f = load(cosine, np.uintp(m * BLOCK + v)), load(sine, np.uintp(m * BLOCK + v)), factors[m]
            x = x + c * f[0] + s * f[1]
            y = y + c * f[2] + s * f[3]
        store(out[0], np.uintp(v), x)
        store(out[1], np.uintp(v), y)


@regrouped
def row_gradient(factors: Array, third: Array, above: int, full: int, out: Array) -> None:
    """Σ_m F_m exp(imz) and Σ_m m F_m exp(imz), into ``out`` (4, BLOCK)."""
    cosine, sine, zero = third[0].reshape(-1), third[1].reshape(-1), out.dtype.type(0)
    for v in range(0, full, REGISTER // out.itemsize):
        # eight sums, each waiting for itself only
        x, y, u, w = fill(zero), fill(zero), fill(zero), fill(zero)
        a, b, k, n = fill(zero), fill(zero), fill(zero), fill(zero)
        for m in range(above + 1):
            c, s, f = load(cosine, np.uintp(m * BLOCK + v)), load(sine, np.uintp(m * BLOCK + v)), factors[m]
            x, a = x + c * f[0], a + s * f[1]
            y, b = y + c * f[2], b + s * f[3]
            u, k = u + c * f[4], k + s * f[5]
            w, n = w + c * f[6], n + s * f[7]
        at = np.uintp(v)
        store(out[0], at, a + x)
        store(out[1], at, b + y)
        store(out[2], at, k + u)
        store(out[3], at, n + w)


@regrouped
def row_hessian(factors: Array, others: Array, third: Array, above: int, full: int, out: Array) -> None:
    """Σ_m F_m, m F_m and m² F_m exp(imz), and for others H Σ_m H_m and m H_m exp(imz), into ``out`` (10, BLOCK)."""
    cosine, sine, zero = third[0].reshape(-1), third[1].reshape(-1), out.dtype.type(0)
    for v in range(0, full, REGISTER // out.itemsize):
        x, y, u, w, g, h = fill(zero), fill(zero), fill(zero), fill(zero), fill(zero), fill(zero)
        a, b, k, n = fill(zero), fill(zero), fill(zero), fill(zero)
        for m in range(above + 1):
            c, s = load(cosine, np.uintp(m * BLOCK + v)), load(sine, np.uintp(m * BLOCK + v))
            f, o = factors[m], others[m]
            x = x + c * f[0] + s * f[1]
            y = y + c * f[2] + s * f[3]
            u = u + c * f[4] + s * f[5]
            w = w + c * f[6] + s * f[7]
            g = g + c * f[8] + s * f[9]
            h = h + c * f[10] + s * f[11]
            a = a + c * o[0] + s * o[1]
            b = b + c * o[2] + s * o[3]
            k = k + c * o[4] + s * o[5]
            n = n + c * o[6] + s * o[7]
        at = np.uintp(v)
        store(out[0], at, x)
        store(out[1], at, y)
        store(out[2], at, u)
        store(out[3], at, w)
        store(out[4], at, g)
        store(out[5], at, h)
        store(out[6], at, a)
        store(out[7], at, b)
        store(out[8], at, k)
        store(out[9], at, n)
