"""Structure factors and back without an array of all sources by all waves.

exp(i n·x) follows from powers of exp(i x), axis by axis; a wave costs a complex product per source and no sine. A
block of sources stays in the fastest cache while all waves pass over it.
"""

import math

import numpy as np

from farfield.compiled import Array, regrouped, shares, together

BLOCK = 64
"""Sources at a time."""

LEAST = 1 << 18
"""Products of a source and a wave that are worth a thread."""


def spread(
    phases: Array,  # (systems, sources, 3)
    indices: Array,  # (systems, waves, 3) int64, sorted by the first two columns
    moments: Array,  # (systems, sources, columns)
) -> tuple[Array, Array]:
    """Σ m cos(n·x) and Σ m sin(n·x) ``(systems, waves, columns)``."""
    shape = (*indices.shape[:2], moments.shape[2])
    cosine, sine = np.zeros(shape), np.zeros(shape)
    together(
        lambda first, last: _spread(phases, indices, moments, (first, last), (cosine, sine)),
        _ranges(phases, indices),
    )
    return cosine, sine


def gather(
    phases: Array,
    indices: Array,
    cosine: Array,  # (systems, waves, columns)
    sine: Array,
) -> Array:
    """Σ C cos(n·x) + S sin(n·x) ``(systems, sources, columns)``."""
    values = np.zeros((*phases.shape[:2], cosine.shape[2]))
    together(
        lambda first, last: _gather(phases, indices, (cosine, sine), (first, last), values),
        _ranges(phases, indices),
    )
    return values


def table(phases: Array, indices: Array) -> tuple[Array, Array]:
    """cos(n·x) and sin(n·x) ``(systems, waves, sources)``."""
    shape = (*indices.shape[:2], phases.shape[1])
    cosine, sine = np.empty(shape), np.empty(shape)
    together(
        lambda first, last: _table(phases, indices, (first, last), (cosine, sine)),
        _ranges(phases, indices),
    )
    return cosine, sine


def _ranges(phases: Array, indices: Array) -> list[tuple[int, int]]:
    """Systems each thread takes; one system is left to one thread, so that sums keep their order."""
    per_system = phases.shape[1] * indices.shape[1]
    return shares(len(phases), -(-LEAST // max(per_system, 1)))


@regrouped
def _powers(phases: Array, highest: int, first: int, out: Array) -> int:
    """exp(i n x) of a block of one system's sources, into ``out`` (axes, 2, highest + 1, BLOCK); how many sources."""
    count = min(BLOCK, len(phases) - first)
    for axis in range(3):
        for p in range(count):
            angle = phases[first + p, axis]
            out[axis, 0, 0, p], out[axis, 1, 0, p] = 1.0, 0.0
            out[axis, 0, 1, p], out[axis, 1, 1, p] = math.cos(angle), math.sin(angle)
        for n in range(2, highest + 1):
            half = n // 2  # few products each, so that rounding does not pile up
            for p in range(count):
                x, y = out[axis, 0, half, p], out[axis, 1, half, p]
                u, v = out[axis, 0, n - half, p], out[axis, 1, n - half, p]
                out[axis, 0, n, p], out[axis, 1, n, p] = x * u - y * v, x * v + y * u
    return count


@regrouped
def _wave(powers: Array, n: Array, k: int, count: int, rows: Array) -> None:
    """exp(i n·x) of wave k into ``rows[1]``; ``rows[0]`` keeps the factor of the first two axes."""
    if k == 0 or n[k, 0] != n[k - 1, 0] or n[k, 1] != n[k - 1, 1]:
        a, b = abs(n[k, 0]), abs(n[k, 1])
        up, across = 1.0 if n[k, 0] >= 0 else -1.0, 1.0 if n[k, 1] >= 0 else -1.0
        for p in range(count):
            x, y = powers[0, 0, a, p], up * powers[0, 1, a, p]
            u, v = powers[1, 0, b, p], across * powers[1, 1, b, p]
            rows[0, 0, p], rows[0, 1, p] = x * u - y * v, x * v + y * u
    c, along = abs(n[k, 2]), 1.0 if n[k, 2] >= 0 else -1.0
    for p in range(count):
        x, y = rows[0, 0, p], rows[0, 1, p]
        u, v = powers[2, 0, c, p], along * powers[2, 1, c, p]
        rows[1, 0, p], rows[1, 1, p] = x * u - y * v, x * v + y * u


@regrouped
def _highest(indices: Array) -> int:
    highest = 1
    for k in range(len(indices)):
        for axis in range(3):
            highest = max(highest, abs(indices[k, axis]))
    return highest


@regrouped
def _spread(phases: Array, indices: Array, moments: Array, systems: tuple[int, int], out: tuple[Array, Array]) -> None:
    cosine, sine = out
    columns = moments.shape[2]
    rows, local = np.empty((2, 2, BLOCK)), np.empty((columns, BLOCK))
    for s in range(systems[0], systems[1]):
        n, highest = indices[s], _highest(indices[s])
        powers = np.empty((3, 2, highest + 1, BLOCK))
        for first in range(0, phases.shape[1], BLOCK):
            count = _powers(phases[s], highest, first, powers)
            for c in range(columns):
                for p in range(count):
                    local[c, p] = moments[s, first + p, c]
            for k in range(len(n)):
                _wave(powers, n, k, count, rows)
                for c in range(columns):
                    even, odd = 0.0, 0.0
                    for p in range(count):
                        even += rows[1, 0, p] * local[c, p]
                        odd += rows[1, 1, p] * local[c, p]
                    cosine[s, k, c] += even
                    sine[s, k, c] += odd


@regrouped
def _gather(
    phases: Array, indices: Array, amplitudes: tuple[Array, Array], systems: tuple[int, int], values: Array
) -> None:
    cosine, sine = amplitudes
    columns = cosine.shape[2]
    rows, local = np.empty((2, 2, BLOCK)), np.empty((columns, BLOCK))
    for s in range(systems[0], systems[1]):
        n, highest = indices[s], _highest(indices[s])
        powers = np.empty((3, 2, highest + 1, BLOCK))
        for first in range(0, phases.shape[1], BLOCK):
            count = _powers(phases[s], highest, first, powers)
            local[:] = 0.0
            for k in range(len(n)):
                _wave(powers, n, k, count, rows)
                for c in range(columns):
                    even, odd = cosine[s, k, c], sine[s, k, c]
                    for p in range(count):
                        local[c, p] += even * rows[1, 0, p] + odd * rows[1, 1, p]
            for c in range(columns):
                for p in range(count):
                    values[s, first + p, c] = local[c, p]


@regrouped
def _table(phases: Array, indices: Array, systems: tuple[int, int], out: tuple[Array, Array]) -> None:
    rows = np.empty((2, 2, BLOCK))
    for s in range(systems[0], systems[1]):
        n, highest = indices[s], _highest(indices[s])
        powers = np.empty((3, 2, highest + 1, BLOCK))
        for first in range(0, phases.shape[1], BLOCK):
            count = _powers(phases[s], highest, first, powers)
            for k in range(len(n)):
                _wave(powers, n, k, count, rows)
                for p in range(count):
                    out[0][s, k, first + p] = rows[1, 0, p]
                    out[1][s, k, first + p] = rows[1, 1, p]
