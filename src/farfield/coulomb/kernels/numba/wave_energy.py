"""Energy of charges by waves and its gradient, each in one pass over the rows; wave_hessian.py has what comes next.

With S_k = Σ q_i exp(i n_k·x_i), x = 2π r h⁻¹ the phases in the cell h,

    E = Σ_k w_k |S_k|² + c Σ q_i²
"""

from typing import Any, NamedTuple

import numpy as np

from farfield.compiled import Array, regrouped, together
from farfield.coulomb.kernels.numba.simd import load, store
from farfield.coulomb.kernels.numba.wave_rows import (
    BLOCK,
    REGISTER,
    Rows,
    add_row,
    middle_wave,
    new_block,
    new_powers,
    pair_up,
    raise_powers,
    row_gradient,
)
from farfield.coulomb.kernels.numba.wave_sums import ranges

TURN = 2 * np.pi


class WaveCharges(NamedTuple):
    """Charges that are summed, sorted by system; in the precision of the charges, all others in double precision."""

    positions: Array  # (sources, 3), Å
    charges: Array  # (sources, channels), e
    offsets: Array  # (systems + 1,) int64, the first source of each system
    inverse: Array  # (systems, 3, 3), of the cells, 1/Å
    own: Array  # (systems,), c in 1/Å


class Spectrum(NamedTuple):
    """The waves of each system."""

    rows: Rows
    weights: Array  # (systems, waves), w in 1/Å


class EnergyGradients(NamedTuple):
    """Gradient of each channel's energy."""

    grad_positions: Array  # (sources, channels, 3)
    grad_cell: Array  # (systems, channels, 3, 3)
    grad_charges: Array  # (sources, channels)
    grad_weights: Array  # (systems, channels, waves)


def zeroth_order(charges: WaveCharges, spectrum: Spectrum) -> tuple[Array, Array]:
    """Energies ``(systems, channels)`` and structure factors ``(systems, channels, waves, 2)``."""
    systems, channels = len(charges.offsets) - 1, charges.charges.shape[1]
    energies = np.zeros((systems, channels))
    factors = np.zeros((systems, channels, spectrum.weights.shape[1], 2))
    together(
        lambda first, last: _zeroth_order(charges, spectrum, (first, last), energies, factors),
        ranges_of(charges, spectrum),
    )
    return energies, factors


def first_order(charges: WaveCharges, spectrum: Spectrum, factors: Array) -> EnergyGradients:
    """Gradient of every E."""
    (sources, channels), systems = charges.charges.shape, len(charges.offsets) - 1
    out = EnergyGradients(
        np.zeros((sources, channels, 3)),
        np.zeros((systems, channels, 3, 3)),
        np.zeros((sources, channels)),
        np.empty(factors.shape[:3]),
    )
    together(
        lambda first, last: _first_order(charges, spectrum, factors, (first, last), out),
        ranges_of(charges, spectrum),
    )
    return out


def ranges_of(charges: WaveCharges, spectrum: Spectrum) -> list[tuple[int, int]]:
    """Runs of systems, one per thread."""
    systems = len(charges.offsets) - 1
    return ranges(systems, len(charges.positions) // max(systems, 1), spectrum.weights.shape[1])


@regrouped
def fractions_and_phases(positions: Array, inverse: Array) -> tuple[Array, Array]:
    """Fractional coordinates of one system, and phases less whole turns: small angles keep their digits."""
    fractions, phases = np.empty_like(positions), np.empty_like(positions)
    for i in range(len(positions)):
        for axis in range(3):
            f = 0.0
            for k in range(3):
                f += positions[i, k] * inverse[k, axis]
            fractions[i, axis], phases[i, axis] = f, TURN * (f - np.rint(f))
    return fractions, phases


@regrouped
def _zeroth_order(
    charges: WaveCharges, spectrum: Spectrum, systems: tuple[int, int], energies: Array, factors: Array
) -> None:
    rows, channels = spectrum.rows, charges.charges.shape[1]
    wave, amplitude = new_block(2, charges.charges), new_block(2, charges.charges)
    for s in range(systems[0], systems[1]):
        here, until = charges.offsets[s], charges.offsets[s + 1]
        q = charges.charges[here:until]
        phases = fractions_and_phases(charges.positions[here:until], charges.inverse[s])[1]
        powers = new_powers(rows.highest[s], q)
        for first in range(0, len(q), BLOCK):
            full, local = raise_powers(phases, first, powers), _columns(q, first)
            for row in range(rows.start[s], rows.start[s + 1]):
                middle_wave(powers, rows.middle[row], full, wave)
                for c in range(channels):
                    for p in range(full):
                        amplitude[0, p], amplitude[1, p] = local[c, p] * wave[0, p], local[c, p] * wave[1, p]
                    add_row(amplitude, powers.third, rows.place[row], full, factors[s, c])
        for c in range(channels):
            total = 0.0
            for k in range(spectrum.weights.shape[1]):
                total += spectrum.weights[s, k] * (factors[s, c, k, 0] ** 2 + factors[s, c, k, 1] ** 2)
            for i in range(len(q)):
                total += charges.own[s] * np.float64(q[i, c]) ** 2
            energies[s, c] = total


@regrouped
def _columns(values: Array, first: int) -> Array:
    """A block of ``values`` (sources, columns) as (columns, BLOCK), zero where it ends."""
    local = new_block(values.shape[1], values)
    for p in range(min(BLOCK, len(values) - first)):
        for c in range(values.shape[1]):
            local[c, p] = values[first + p, c]
    return local


@regrouped
def amplitudes_of(weights: Array, factors: Array, scale: float) -> Array:
    """F = 2 scale w S* ``(waves, 2)``."""
    out = np.empty_like(factors)
    for k in range(len(weights)):
        out[k, 0], out[k, 1] = 2 * scale * weights[k] * factors[k, 0], -2 * scale * weights[k] * factors[k, 1]
    return out


@regrouped
def _first_order(
    charges: WaveCharges, spectrum: Spectrum, factors: Array, systems: tuple[int, int], out: EnergyGradients
) -> None:
    rows = spectrum.rows
    wave, value, potentials = (
        new_block(2, charges.charges),
        new_block(4, charges.charges),
        new_block(4, charges.charges),
    )
    for s in range(systems[0], systems[1]):
        here, until = charges.offsets[s], charges.offsets[s + 1]
        q = charges.charges[here:until]
        fractions, phases = fractions_and_phases(charges.positions[here:until], charges.inverse[s])
        powers, pairs = new_powers(rows.highest[s], q), np.empty((rows.highest[s, 2] + 1, 8), q.dtype)
        grad_phases = np.empty((len(q), 3))
        for c in range(q.shape[1]):
            amplitudes = amplitudes_of(spectrum.weights[s], factors[s, c], 1.0)
            for k in range(len(amplitudes)):
                out.grad_weights[s, c, k] = factors[s, c, k, 0] ** 2 + factors[s, c, k, 1] ** 2
            for first in range(0, len(q), BLOCK):
                full = raise_powers(phases, first, powers)
                potentials[:] = 0.0
                for row in range(rows.start[s], rows.start[s + 1]):
                    middle_wave(powers, rows.middle[row], full, wave)
                    pair_up(amplitudes, rows.place[row], 2, pairs)
                    row_gradient(pairs, powers.third, rows.place[row, 1], full, value)
                    _add_potentials(wave, value, rows.middle[row], full, potentials)
                for p in range(min(BLOCK, len(q) - first)):
                    i = first + p
                    out.grad_charges[here + i, c] = potentials[0, p] + 2 * charges.own[s] * q[i, c]
                    for axis in range(3):
                        grad_phases[i, axis] = -q[i, c] * potentials[1 + axis, p]
            to_space(grad_phases, fractions, charges.inverse[s], out.grad_positions[here:until, c], out.grad_cell[s, c])


@regrouped
def _add_potentials(wave: Array, value: Array, n: Array, full: int, potentials: Array) -> None:
    """Add Re Σ F exp(i n·x) and Im Σ n F exp(i n·x) of a row to ``potentials`` (4, BLOCK)."""
    kind = wave.dtype.type
    a, b, c = kind(n[0]), kind(n[1]), kind(n[2])
    for p in range(0, full, REGISTER // wave.itemsize):
        at = np.uintp(p)
        x, y = load(wave[0], at), load(wave[1], at)
        real, imaginary = complex_product(x, y, load(value[0], at), load(value[1], at))
        _, imaginary_m = complex_product(x, y, load(value[2], at), load(value[3], at))
        store(potentials[0], at, load(potentials[0], at) + real)
        store(potentials[1], at, load(potentials[1], at) + imaginary * a)
        store(potentials[2], at, load(potentials[2], at) + imaginary * b)
        store(potentials[3], at, load(potentials[3], at) + imaginary_m + imaginary * c)


@regrouped
def complex_product(x: Any, y: Any, real: Any, imaginary: Any) -> tuple[Any, Any]:
    """(x + iy)(real + i imaginary)."""
    return x * real - y * imaginary, x * imaginary + y * real


@regrouped
def to_space(grad_phases: Array, fractions: Array, inverse: Array, grad_positions: Array, grad_cell: Array) -> None:
    """Add a gradient by the phases, taken through x = 2π r h⁻¹, to those by positions and cell."""
    for i in range(len(grad_phases)):
        for k in range(3):
            g = 0.0
            for axis in range(3):
                g += TURN * inverse[k, axis] * grad_phases[i, axis]
            grad_positions[i, k] += g
            for axis in range(3):
                grad_cell[axis, k] -= fractions[i, axis] * g
