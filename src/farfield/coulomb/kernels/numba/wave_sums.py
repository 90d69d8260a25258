"""Structure factors and back without an array of all sources by all waves; row by row (wave_rows.py)."""

import numpy as np

from farfield.compiled import Array, regrouped, shares, together
from farfield.coulomb.kernels.numba.wave_rows import (
    BLOCK,
    Rows,
    add_row,
    middle_wave,
    new_powers,
    pair_up,
    raise_powers,
    row_value,
    rows_of,
)

LEAST = 1 << 20
"""Products of a source and a wave that are worth a thread."""


def all_rows(indices: Array) -> Rows:
    """Rows of waves ``(systems, waves, 3)`` none of which is padding."""
    return rows_of(indices, np.full(len(indices), indices.shape[1]))


def spread(
    phases: Array,  # (systems, sources, 3)
    rows: Rows,
    moments: Array,  # (systems, sources, columns)
    waves: int,
) -> tuple[Array, Array]:
    """Σ m cos(n·x) and Σ m sin(n·x) ``(systems, waves, columns)``."""
    found = np.zeros((len(phases), moments.shape[2], waves, 2))
    together(
        lambda first, last: _spread(phases, rows, moments, (first, last), found),
        ranges(len(phases), phases.shape[1], waves),
    )
    return found[..., 0].transpose(0, 2, 1), found[..., 1].transpose(0, 2, 1)


def gather(
    phases: Array,
    rows: Rows,
    cosine: Array,  # (systems, waves, columns)
    sine: Array,
) -> Array:
    """Σ C cos(n·x) + S sin(n·x) ``(systems, sources, columns)``."""
    values = np.zeros((*phases.shape[:2], cosine.shape[2]))
    amplitudes = np.stack([cosine.transpose(0, 2, 1), -sine.transpose(0, 2, 1)], -1)
    together(
        lambda first, last: _gather(phases, rows, amplitudes, (first, last), values),
        ranges(len(phases), phases.shape[1], cosine.shape[1]),
    )
    return values


def potentials(
    phases: Array,  # (systems, sources, 3)
    rows: Rows,
    vectors: Array,  # (systems, waves, 3), k
    weight: Array,  # (systems, waves)
    columns: Array,  # (systems, sources, 4 · channels), charges and dipoles
) -> Array:
    """Σ weight·|Σ (q + ik·μ) exp(ik·r)|²/2 differentiated by every charge and dipole, shaped as the columns."""
    systems, sources, count = columns.shape
    found = np.zeros((systems, count, weight.shape[1], 2))
    values = np.empty_like(columns)

    def task(first: int, last: int) -> None:
        some = (first, last)
        _spread(phases, rows, columns, some, found)
        _turn(vectors, weight, some, found)
        _gather(phases, rows, found, some, values)

    together(task, ranges(systems, sources, weight.shape[1]))
    return values


def table(phases: Array, rows: Rows, waves: int) -> tuple[Array, Array]:
    """cos(n·x) and sin(n·x) ``(systems, waves, sources)``."""
    shape = (len(phases), waves, phases.shape[1])
    cosine, sine = np.empty(shape), np.empty(shape)
    together(
        lambda first, last: _table(phases, rows, (first, last), (cosine, sine)),
        ranges(len(phases), phases.shape[1], waves),
    )
    return cosine, sine


def ranges(systems: int, sources: int, waves: int) -> list[tuple[int, int]]:
    """Systems each thread takes; one system is left to one thread, so that sums keep their order."""
    return shares(systems, -(-LEAST // max(sources * waves, 1)))


@regrouped
def _spread(phases: Array, rows: Rows, moments: Array, systems: tuple[int, int], found: Array) -> None:
    sources, columns = moments.shape[1], moments.shape[2]
    wave, amplitude = np.empty((2, BLOCK)), np.empty((2, BLOCK))
    local = np.empty((columns, BLOCK))
    for s in range(systems[0], systems[1]):
        powers = new_powers(rows.highest[s], phases)
        for first in range(0, sources, BLOCK):
            full = raise_powers(phases[s], first, powers)
            local[:] = 0.0
            for p in range(min(BLOCK, sources - first)):
                for c in range(columns):
                    local[c, p] = moments[s, first + p, c]
            for row in range(rows.start[s], rows.start[s + 1]):
                middle_wave(powers, rows.middle[row], full, wave)
                for c in range(columns):
                    for p in range(full):
                        amplitude[0, p] = local[c, p] * wave[0, p]
                        amplitude[1, p] = local[c, p] * wave[1, p]
                    add_row(amplitude, powers.third, rows.place[row], full, found[s, c])


@regrouped
def _turn(vectors: Array, weight: Array, systems: tuple[int, int], factors: Array) -> None:
    """Structure factors of charges and dipoles to the amplitudes that ``_gather`` takes, in their place."""
    channels = factors.shape[1] // 4
    for s in range(systems[0], systems[1]):
        for c in range(channels):
            one, two, three = c + channels, c + 2 * channels, c + 3 * channels
            for k in range(len(weight[s])):
                x, y, z = vectors[s, k, 0], vectors[s, k, 1], vectors[s, k, 2]
                along = x * factors[s, one, k, 0] + y * factors[s, two, k, 0] + z * factors[s, three, k, 0]
                across = x * factors[s, one, k, 1] + y * factors[s, two, k, 1] + z * factors[s, three, k, 1]
                real = weight[s, k] * (factors[s, c, k, 0] - across)
                imaginary = weight[s, k] * (factors[s, c, k, 1] + along)
                factors[s, c, k, 0], factors[s, c, k, 1] = real, -imaginary
                factors[s, one, k, 0], factors[s, one, k, 1] = imaginary * x, real * x
                factors[s, two, k, 0], factors[s, two, k, 1] = imaginary * y, real * y
                factors[s, three, k, 0], factors[s, three, k, 1] = imaginary * z, real * z


@regrouped
def _gather(phases: Array, rows: Rows, amplitudes: Array, systems: tuple[int, int], values: Array) -> None:
    sources, columns = phases.shape[1], values.shape[2]
    wave, value = np.empty((2, BLOCK)), np.empty((2, BLOCK))
    local = np.empty((columns, BLOCK))
    for s in range(systems[0], systems[1]):
        powers, factors = new_powers(rows.highest[s], phases), np.empty((rows.highest[s, 2] + 1, 4))
        for first in range(0, sources, BLOCK):
            full = raise_powers(phases[s], first, powers)
            local[:] = 0.0
            for row in range(rows.start[s], rows.start[s + 1]):
                middle_wave(powers, rows.middle[row], full, wave)
                for c in range(columns):
                    pair_up(amplitudes[s, c], rows.place[row], 1, factors)
                    row_value(factors, powers.third, rows.place[row, 1], full, value)
                    for p in range(full):
                        local[c, p] += wave[0, p] * value[0, p] - wave[1, p] * value[1, p]
            for p in range(min(BLOCK, sources - first)):
                for c in range(columns):
                    values[s, first + p, c] = local[c, p]


@regrouped
def _table(phases: Array, rows: Rows, systems: tuple[int, int], out: tuple[Array, Array]) -> None:
    wave = np.empty((2, BLOCK))
    for s in range(systems[0], systems[1]):
        powers = new_powers(rows.highest[s], phases)
        for first in range(0, phases.shape[1], BLOCK):
            full = raise_powers(phases[s], first, powers)
            count = min(BLOCK, phases.shape[1] - first)
            for row in range(rows.start[s], rows.start[s + 1]):
                middle_wave(powers, rows.middle[row], full, wave)
                k, above, below = rows.place[row, 0], rows.place[row, 1], rows.place[row, 2]
                for m in range(-below, above + 1):
                    side = 1.0 if m >= 0 else -1.0
                    for p in range(count):
                        u, v = powers.third[0, abs(m), p], side * powers.third[1, abs(m), p]
                        out[0][s, k + m, first + p] = wave[0, p] * u - wave[1, p] * v
                        out[1][s, k + m, first + p] = wave[0, p] * v + wave[1, p] * u
