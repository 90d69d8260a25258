"""Σ_k w_k cos(k·(r_i - r_j)) of all pairs of sources, from cosines and sines that never leave the cache.

A few waves at a time their cosines and sines are written out and multiplied, weighed, by themselves: eight rows by two
registers of the product are summed at once, and only the half of it that its symmetry does not give.
"""

from typing import Any

import numpy as np

from farfield.compiled import Array, inlined, regrouped, together
from farfield.coulomb.kernels.numba.simd import LANES, fill, load, same, store
from farfield.coulomb.kernels.numba.wave_rows import BLOCK, Powers, Rows, middle_wave, new_powers, raise_powers
from farfield.coulomb.kernels.numba.wave_sums import ranges

CHUNK = 48
"""Waves at a time: of some hundred sources their cosines and sines fit into the second cache."""

TILE = 2 * LANES
"""Columns of the product at a time."""

HEIGHT = 8
"""Rows at a time."""

_HALF, _ONE, _TWO, _THREE, _FOUR = (np.uintp(k) for k in (LANES, 1, 2, 3, 4))


def products(phases: Array, rows: Rows, weights: Array) -> Array:
    """``(systems, sources, sources)`` of phases ``(systems, sources, 3)`` and weights ``(systems, waves)``."""
    systems, sources, _ = phases.shape
    out = np.empty((systems, sources, sources))
    together(
        lambda first, last: _products(phases, rows, weights, (first, last), out),
        ranges(systems, sources * sources, weights.shape[1]),
    )
    return out


@regrouped
def _products(phases: Array, rows: Rows, weights: Array, systems: tuple[int, int], out: Array) -> None:
    sources = phases.shape[1]
    width = (sources + TILE - 1) // TILE * TILE
    whole, panel = np.empty(width * width), np.empty(2 * CHUNK * HEIGHT)
    table, scale = np.zeros((width // TILE, 2 * CHUNK, TILE)), np.empty(2 * CHUNK)
    for s in range(systems[0], systems[1]):
        whole[:] = 0.0
        powers = [new_powers(rows.highest[s], phases) for _ in range(0, sources, BLOCK)]
        for b in range(len(powers)):
            raise_powers(phases[s], b * BLOCK, powers[b])
        filled = 0
        for row in range(rows.start[s], rows.start[s + 1]):
            middle, above, below = rows.place[row, 0], rows.place[row, 1], rows.place[row, 2]
            first = -below
            while first <= above:  # a row may be longer than what is left of the chunk
                last = min(above + 1, first + CHUNK - filled)
                _write(powers, rows.middle[row], (first, last), sources, table[:, 2 * filled :])
                for m in range(first, last):
                    scale[2 * filled] = scale[2 * filled + 1] = weights[s, middle + m]
                    filled += 1
                first = last
                if filled == CHUNK:
                    _add(table, scale, 2 * filled, panel, whole)
                    filled = 0
        _add(table, scale, 2 * filled, panel, whole)
        _unfold(whole, out[s])


@regrouped
def _unfold(whole: Array, out: Array) -> None:
    """Both halves of the product."""
    sources = len(out)
    width = (sources + TILE - 1) // TILE * TILE
    for i in range(sources):
        for j in range(i + 1):
            out[i, j] = out[j, i] = whole[i * width + j]


@regrouped
def _write(powers: list[Powers], middle: Array, run: tuple[int, int], sources: int, out: Array) -> None:
    """Cosines and sines of waves of a row, one under the other, into the first rows of the tiles ``out``."""
    wave = np.empty((2, BLOCK))
    for b in range(len(powers)):
        count = min(BLOCK, sources - b * BLOCK)
        tiles = (count + TILE - 1) // TILE
        middle_wave(powers[b], middle, min(tiles * TILE, BLOCK), wave)
        for m in range(run[0], run[1]):
            side = 1.0 if m >= 0 else -1.0
            cosine, sine, row = powers[b].third[0, abs(m)], powers[b].third[1, abs(m)], 2 * (m - run[0])
            for tile in range(tiles):
                to = out[b * BLOCK // TILE + tile]
                for column in range(TILE):
                    p = tile * TILE + column
                    u, v = cosine[p], side * sine[p]
                    to[row, column] = wave[0, p] * u - wave[1, p] * v
                    to[row + 1, column] = wave[0, p] * v + wave[1, p] * u


@regrouped
def _add(table: Array, scale: Array, count: int, panel: Array, whole: Array) -> None:
    """Add Σ_k scale_k T_ki T_kj, i ≥ j and some more, of the first ``count`` rows of every tile."""
    width, length = table.shape[0] * TILE, table.shape[1]
    flat = table.reshape(-1)
    for i in range(0, width, HEIGHT):
        for k in range(count):
            for h in range(HEIGHT):
                panel[HEIGHT * k + h] = scale[k] * table[i // TILE, k, i % TILE + h]
        for tile in range(i // TILE + 1):
            zero = fill(0.0)
            upper = (zero, zero, zero, zero, zero, zero, zero, zero)
            lower = upper
            for k in range(count):
                at, of = np.uintp(TILE * (tile * length + k)), np.uintp(HEIGHT * k)
                left, right = load(flat, at), load(flat, at + _HALF)
                upper = _four_rows(panel, of, left, right, upper)
                lower = _four_rows(panel, of + _FOUR, left, right, lower)
            at = i * width + tile * TILE
            _put(whole, at, width, upper)
            _put(whole, at + 4 * width, width, lower)


@inlined
def _four_rows(panel: Array, at: Any, left: Any, right: Any, sums: Any) -> Any:
    """Sums of four rows, two registers each, with one more product."""
    one, two, three, four = same(panel, at), same(panel, at + _ONE), same(panel, at + _TWO), same(panel, at + _THREE)
    a, b, c, d, e, f, g, h = sums
    a, b, c, d = a + one * left, b + two * left, c + three * left, d + four * left
    e, f, g, h = e + one * right, f + two * right, g + three * right, h + four * right
    return a, b, c, d, e, f, g, h


@inlined
def _put(whole: Array, at: int, width: int, sums: Any) -> None:
    """Add the sums of four rows to sixteen columns."""
    a, b, c, d, e, f, g, h = sums
    _put_row(whole, at, a, e)
    _put_row(whole, at + width, b, f)
    _put_row(whole, at + 2 * width, c, g)
    _put_row(whole, at + 3 * width, d, h)


@inlined
def _put_row(whole: Array, at: int, left: Any, right: Any) -> None:
    here, there = np.uintp(at), np.uintp(at + LANES)
    store(whole, here, load(whole, here) + left)
    store(whole, there, load(whole, there) + right)
