"""Derivative along a change of the energy of charges by waves, and its gradient, in two passes over the rows.

Along a change (r', h', q', w') the phases change by x' = 2π (r' - r h⁻¹ h') h⁻¹ and S by
S' = Σ (q' + i q n·x') exp(i n·x). The derivative of E is Σ_k 2 w Re(S* S') + w' |S|² + 2c Σ q q', and of that again the
gradient is taken: by x with F = 2w S* and H = 2w S'* + 2w' S*, then by positions and cell through x and x'.
"""

from typing import NamedTuple

import numpy as np

from farfield.compiled import Array, regrouped, together
from farfield.coulomb.kernels.numba.simd import load, store
from farfield.coulomb.kernels.numba.wave_energy import (
    TURN,
    Spectrum,
    WaveCharges,
    amplitudes_of,
    complex_product,
    fractions_and_phases,
    ranges_of,
    to_space,
)
from farfield.coulomb.kernels.numba.wave_rows import (
    BLOCK,
    REGISTER,
    Rows,
    middle_wave,
    new_block,
    new_powers,
    pair_up,
    raise_powers,
    row_hessian,
)


class Change(NamedTuple):
    """A direction to go in."""

    positions: Array  # (sources, 3)
    charges: Array  # (sources, channels)
    cell: Array  # (systems, 3, 3)
    weights: Array  # (systems, waves)


def hessian_vector(
    charges: WaveCharges, spectrum: Spectrum, factors: Array, scale: Array, change: Change
) -> tuple[Array, ...]:
    """Gradient by positions, cell, charges, weights and ``scale`` of the derivative of Σ scale·E along a change."""
    out = (*_like(charges, spectrum), np.zeros_like(scale))
    together(
        lambda first, last: _second_order(charges, spectrum, factors, scale, change, (first, last), out),
        ranges_of(charges, spectrum),
    )
    return out


def _like(charges: WaveCharges, spectrum: Spectrum) -> tuple[Array, Array, Array, Array]:
    return (
        np.zeros_like(charges.positions),
        np.zeros_like(charges.inverse),
        np.zeros(charges.charges.shape),
        np.zeros_like(spectrum.weights),
    )


@regrouped
def _second_order(
    charges: WaveCharges,
    spectrum: Spectrum,
    factors: Array,
    scale: Array,
    change: Change,
    systems: tuple[int, int],
    out: tuple[Array, Array, Array, Array, Array],
) -> None:
    grad_positions, grad_cell, grad_charges, grad_weights, grad_scale = out
    for s in range(systems[0], systems[1]):
        here, until = charges.offsets[s], charges.offsets[s + 1]
        inverse, inverse_change = charges.inverse[s], _product(change.cell[s], charges.inverse[s])
        fractions, phases = fractions_and_phases(charges.positions[here:until], inverse)
        moved = _moved(change.positions[here:until], fractions, inverse, inverse_change)
        grad_phases, grad_change = np.zeros_like(phases), np.zeros_like(phases)
        for c in range(charges.charges.shape[1]):
            q, u = charges.charges[here:until, c], change.charges[here:until, c]
            factor, weights = factors[s, c], spectrum.weights[s]
            changed = _changed(phases, moved, (q, u), spectrum.rows, s, factor)
            f = amplitudes_of(weights, factor, scale[s, c])
            h = amplitudes_of(weights, changed, scale[s, c])
            for k in range(len(weights)):
                both = 2 * (factor[k, 0] * changed[k, 0] + factor[k, 1] * changed[k, 1])
                grad_weights[s, k] += scale[s, c] * both
                more = change.weights[s, k]
                grad_scale[s, c] += weights[k] * both + more * (factor[k, 0] ** 2 + factor[k, 1] ** 2)
                h[k, 0] += 2 * scale[s, c] * more * factor[k, 0]
                h[k, 1] -= 2 * scale[s, c] * more * factor[k, 1]
            for i in range(len(q)):
                grad_scale[s, c] += 2 * charges.own[s] * q[i] * u[i]
                grad_charges[here + i, c] += 2 * charges.own[s] * scale[s, c] * u[i]
            _add_gradient(
                (phases, moved),
                (q, u),
                (f, h),
                spectrum.rows,
                s,
                (grad_charges[here:until, c], grad_phases, grad_change),
            )
        to_space(grad_phases, fractions, inverse, grad_positions[here:until], grad_cell[s])
        _to_space_along(
            grad_change, (fractions, moved), (inverse, inverse_change), grad_positions[here:until], grad_cell[s]
        )


@regrouped
def _product(a: Array, b: Array) -> Array:
    out = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for k in range(3):
                out[i, j] += a[i, k] * b[k, j]
    return out


@regrouped
def _moved(change: Array, fractions: Array, inverse: Array, inverse_change: Array) -> Array:
    """Change of phases x' = 2π (r' h⁻¹ - r h⁻¹ h' h⁻¹) of the sources of one system."""
    out = np.empty_like(change)
    for i in range(len(change)):
        for axis in range(3):
            x = 0.0
            for k in range(3):
                x += change[i, k] * inverse[k, axis] - fractions[i, k] * inverse_change[k, axis]
            out[i, axis] = TURN * x
    return out


@regrouped
def _changed(phases: Array, moved: Array, charges: tuple[Array, Array], rows: Rows, s: int, like: Array) -> Array:
    """S' ``(waves, 2)`` of one system and channel."""
    q, u = charges
    out = np.zeros_like(like)
    powers = new_powers(rows.highest[s], q)
    wave, amplitude, by_m, local = new_block(2, q), new_block(2, q), new_block(2, q), new_block(5, q)
    for first in range(0, len(q), BLOCK):
        full = raise_powers(phases, first, powers)
        _localize(moved, q, u, first, local)
        for row in range(rows.start[s], rows.start[s + 1]):
            middle_wave(powers, rows.middle[row], full, wave)
            _shift(wave, rows.middle[row], full, local, amplitude, by_m)
            _add_changed(amplitude, by_m, powers.third, rows.place[row], full, out)
    return out


@regrouped
def _shift(wave: Array, n: Array, full: int, local: Array, amplitude: Array, by_m: Array) -> None:
    """(q' + i q n·x') exp(i n·x) of the middle wave, and what m adds to it, i q z' exp(i n·x)."""
    kind = wave.dtype.type
    a, b, c = kind(n[0]), kind(n[1]), kind(n[2])
    for p in range(0, full, REGISTER // wave.itemsize):
        at = np.uintp(p)
        x, y, along, q, u = (
            load(wave[0], at), load(wave[1], at), load(local[2], at), load(local[3], at), load(local[4], at)
        )  # fmt: skip
        turn = load(local[0], at) * a + load(local[1], at) * b + along * c
        turn, along = q * turn, q * along
        store(amplitude[0], at, u * x - turn * y)
        store(amplitude[1], at, u * y + turn * x)
        store(by_m[0], at, along * y * kind(-1))
        store(by_m[1], at, along * x)


@regrouped
def _localize(moved: Array, q: Array, u: Array, first: int, local: Array) -> None:
    """x', q and q' of a block into ``local`` (5, BLOCK), zero where it ends."""
    local[:] = 0.0
    for p in range(min(BLOCK, len(q) - first)):
        local[0, p], local[1, p], local[2, p] = moved[first + p, 0], moved[first + p, 1], moved[first + p, 2]
        local[3, p], local[4, p] = q[first + p], u[first + p]


@regrouped
def _add_changed(amplitude: Array, by_m: Array, third: Array, place: Array, full: int, total: Array) -> None:
    """Add Σ (amplitude ± m by_m) exp(±imz) to the waves of a row."""
    middle, above, below = place[0], place[1], place[2]
    zero = amplitude.dtype.type(0)
    for m in range(above + 1):
        n = float(m)
        xc, ys, xs, yc, uc, vs, us, vc = zero, zero, zero, zero, zero, zero, zero, zero
        for p in range(full):
            c, s = third[0, m, p], third[1, m, p]
            xc += amplitude[0, p] * c
            ys += amplitude[1, p] * s
            xs += amplitude[0, p] * s
            yc += amplitude[1, p] * c
            uc += by_m[0, p] * c
            vs += by_m[1, p] * s
            us += by_m[0, p] * s
            vc += by_m[1, p] * c
        total[middle + m, 0] += xc - ys + n * (uc - vs)
        total[middle + m, 1] += xs + yc + n * (us + vc)
        if 0 < m <= below:
            total[middle - m, 0] += xc + ys - n * (uc + vs)
            total[middle - m, 1] += yc - xs - n * (vc - us)


@regrouped
def _add_gradient(
    places: tuple[Array, Array],
    charges: tuple[Array, Array],
    amplitudes: tuple[Array, Array],
    rows: Rows,
    s: int,
    out: tuple[Array, Array, Array],
) -> None:
    """Add the gradient by charges, by phases x and by their change x' of one system and channel."""
    (phases, moved), (q, u), (f, h), (grad_charges, grad_phases, grad_change) = places, charges, amplitudes, out
    powers, multiples = new_powers(rows.highest[s], q), rows.highest[s, 2] + 1
    of_f, of_h = np.empty((multiples, 12), q.dtype), np.empty((multiples, 8), q.dtype)
    wave, local, potentials, values = new_block(2, q), new_block(5, q), new_block(7, q), new_block(10, q)
    for first in range(0, len(q), BLOCK):
        full = raise_powers(phases, first, powers)
        _localize(moved, q, u, first, local)
        potentials[:] = 0.0
        for row in range(rows.start[s], rows.start[s + 1]):
            middle_wave(powers, rows.middle[row], full, wave)
            above = rows.place[row, 1]
            pair_up(f, rows.place[row], 3, of_f)
            pair_up(h, rows.place[row], 2, of_h)
            row_hessian(of_f, of_h, powers.third, above, full, values)
            _add_potentials_along(wave, values, rows.middle[row], full, local, potentials)
        for p in range(min(BLOCK, len(q) - first)):
            grad_charges[first + p] += potentials[0, p]
            for axis in range(3):
                grad_phases[first + p, axis] -= potentials[1 + axis, p]
                grad_change[first + p, axis] -= q[first + p] * potentials[4 + axis, p]


@regrouped
def _add_potentials_along(wave: Array, values: Array, n: Array, full: int, local: Array, potentials: Array) -> None:
    """Sum a row into ``potentials``: of the charge, and the gradient by x (less its sign), Im Σ n F exp(i n·x)."""
    kind = wave.dtype.type
    a, b, c = kind(n[0]), kind(n[1]), kind(n[2])
    for p in range(0, full, REGISTER // wave.itemsize):
        at = np.uintp(p)
        x, y = load(wave[0], at), load(wave[1], at)
        along, q, u = load(local[2], at), load(local[3], at), load(local[4], at)
        # of the middle wave
        turn = load(local[0], at) * a + load(local[1], at) * b + along * c
        real, imaginary = complex_product(x, y, load(values[0], at), load(values[1], at))
        real_m, imaginary_m = complex_product(x, y, load(values[2], at), load(values[3], at))
        real_mm, _ = complex_product(x, y, load(values[4], at), load(values[5], at))
        potential, changed = complex_product(x, y, load(values[6], at), load(values[7], at))
        _, changed_m = complex_product(x, y, load(values[8], at), load(values[9], at))
        potential = potential - turn * imaginary - along * imaginary_m
        gradient = changed + turn * real + along * real_m
        gradient_m = changed_m + turn * real_m + along * real_mm
        gradient = q * gradient + u * imaginary
        gradient_m = q * gradient_m + u * imaginary_m
        store(potentials[0], at, load(potentials[0], at) + potential)
        store(potentials[1], at, load(potentials[1], at) + gradient * a)
        store(potentials[2], at, load(potentials[2], at) + gradient * b)
        store(potentials[3], at, load(potentials[3], at) + gradient_m + gradient * c)
        store(potentials[4], at, load(potentials[4], at) + imaginary * a)
        store(potentials[5], at, load(potentials[5], at) + imaginary * b)
        store(potentials[6], at, load(potentials[6], at) + imaginary_m + imaginary * c)


@regrouped
def _to_space_along(
    grad_change: Array, places: tuple[Array, Array], cells: tuple[Array, Array], grad_positions: Array, grad_cell: Array
) -> None:
    """Add a gradient by x', taken through x' = 2π (r' - r h⁻¹ h') h⁻¹, to those by positions and cell."""
    (fractions, moved), (inverse, inverse_change) = places, cells
    for i in range(len(grad_change)):
        for k in range(3):
            g, t = 0.0, 0.0  # h⁻¹ and h⁻¹ h' h⁻¹ times the gradient
            for axis in range(3):
                g += TURN * inverse[k, axis] * grad_change[i, axis]
                for n in range(3):
                    t += TURN * inverse[k, n] * inverse_change[n, axis] * grad_change[i, axis]
            grad_positions[i, k] -= t
            for axis in range(3):
                grad_cell[axis, k] += fractions[i, axis] * t - moved[i, axis] / TURN * g
