"""Energy of charges by waves, its first and its second derivatives, each in one pass over the rows.

With S_k = Σ q_i exp(i n_k·x_i), x = 2π r h⁻¹ the phases in the cell h,

    E = Σ_k w_k |S_k|² + c Σ q_i²

Along a change (r', h', q', w') the phases change by x' = 2π (r' - r h⁻¹ h') h⁻¹ and S by
S' = Σ (q' + i q n·x') exp(i n·x). The derivative of E is Σ_k 2 w Re(S* S') + w' |S|² + 2c Σ q q', and of that again the
gradient is taken: by x with F = 2w S* and H = 2w S'* + 2w' S*, then by positions and cell through x and x'.
"""

from typing import NamedTuple

import numpy as np

from farfield.compiled import Array, regrouped, together
from farfield.coulomb.compiled.wave_rows import (
    BLOCK,
    Rows,
    add_row,
    middle_wave,
    new_powers,
    pair_up,
    raise_powers,
    row_bend,
    row_slope,
)
from farfield.coulomb.compiled.wave_sums import ranges

TURN = 2 * np.pi


class Charges(NamedTuple):
    """What is summed; double precision, sources sorted by system."""

    positions: Array  # (sources, 3), Å
    charges: Array  # (sources, channels), e
    offsets: Array  # (systems + 1,) int64, the first source of each system
    inverse: Array  # (systems, 3, 3), of the cells, 1/Å
    own: Array  # (systems,), c in 1/Å


class Spectrum(NamedTuple):
    """The waves of each system."""

    rows: Rows
    weights: Array  # (systems, waves), w in 1/Å


class Change(NamedTuple):
    """A direction to go in."""

    positions: Array  # (sources, 3)
    charges: Array  # (sources, channels)
    cell: Array  # (systems, 3, 3)
    weights: Array  # (systems, waves)


def zeroth_order(charges: Charges, spectrum: Spectrum) -> tuple[Array, Array]:
    """Energies ``(systems, channels)`` and structure factors ``(systems, channels, waves, 2)``."""
    systems, channels = len(charges.offsets) - 1, charges.charges.shape[1]
    energies = np.zeros((systems, channels))
    factors = np.zeros((systems, channels, spectrum.weights.shape[1], 2))
    together(
        lambda first, last: _zeroth_order(charges, spectrum, (first, last), energies, factors),
        _ranges(charges, spectrum),
    )
    return energies, factors


def first_order(charges: Charges, spectrum: Spectrum, factors: Array, scale: Array) -> tuple[Array, ...]:
    """Gradient of Σ scale·E, ``scale`` (systems, channels), by positions, cell, charges and weights."""
    out = _like(charges, spectrum)
    together(
        lambda first, last: _first_order(charges, spectrum, factors, scale, (first, last), out),
        _ranges(charges, spectrum),
    )
    return out


def second_order(
    charges: Charges, spectrum: Spectrum, factors: Array, scale: Array, change: Change
) -> tuple[Array, ...]:
    """Gradient by positions, cell, charges, weights and ``scale`` of the derivative of Σ scale·E along a change."""
    out = (*_like(charges, spectrum), np.zeros_like(scale))
    together(
        lambda first, last: _second_order(charges, spectrum, factors, scale, change, (first, last), out),
        _ranges(charges, spectrum),
    )
    return out


def _like(charges: Charges, spectrum: Spectrum) -> tuple[Array, Array, Array, Array]:
    return (
        np.zeros_like(charges.positions),
        np.zeros_like(charges.inverse),
        np.zeros_like(charges.charges),
        np.zeros_like(spectrum.weights),
    )


def _ranges(charges: Charges, spectrum: Spectrum) -> list[tuple[int, int]]:
    systems = len(charges.offsets) - 1
    return ranges(systems, len(charges.positions) // max(systems, 1), spectrum.weights.shape[1])


@regrouped
def _fractions(positions: Array, inverse: Array) -> tuple[Array, Array]:
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
    charges: Charges, spectrum: Spectrum, systems: tuple[int, int], energies: Array, factors: Array
) -> None:
    rows, channels = spectrum.rows, charges.charges.shape[1]
    wave, amplitude = np.empty((2, BLOCK)), np.empty((2, BLOCK))
    for s in range(systems[0], systems[1]):
        here, until = charges.offsets[s], charges.offsets[s + 1]
        q = charges.charges[here:until]
        phases = _fractions(charges.positions[here:until], charges.inverse[s])[1]
        powers = new_powers(rows.highest[s])
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
                total += charges.own[s] * q[i, c] ** 2
            energies[s, c] = total


@regrouped
def _columns(values: Array, first: int) -> Array:
    """A block of ``values`` (sources, columns) as (columns, BLOCK), zero where it ends."""
    local = np.zeros((values.shape[1], BLOCK))
    for p in range(min(BLOCK, len(values) - first)):
        for c in range(values.shape[1]):
            local[c, p] = values[first + p, c]
    return local


@regrouped
def _amplitudes(weights: Array, factors: Array, scale: float) -> Array:
    """F = 2 scale w S* ``(waves, 2)``."""
    out = np.empty_like(factors)
    for k in range(len(weights)):
        out[k, 0], out[k, 1] = 2 * scale * weights[k] * factors[k, 0], -2 * scale * weights[k] * factors[k, 1]
    return out


@regrouped
def _first_order(
    charges: Charges,
    spectrum: Spectrum,
    factors: Array,
    scale: Array,
    systems: tuple[int, int],
    out: tuple[Array, Array, Array, Array],
) -> None:
    by_positions, by_cell, by_charges, by_weights = out
    rows = spectrum.rows
    wave, value, felt = np.empty((2, BLOCK)), np.empty((4, BLOCK)), np.empty((4, BLOCK))
    for s in range(systems[0], systems[1]):
        here, until = charges.offsets[s], charges.offsets[s + 1]
        q = charges.charges[here:until]
        fractions, phases = _fractions(charges.positions[here:until], charges.inverse[s])
        powers, pairs = new_powers(rows.highest[s]), np.empty((rows.highest[s, 2] + 1, 4))
        slope = np.zeros((len(q), 3))
        for c in range(q.shape[1]):
            amplitudes = _amplitudes(spectrum.weights[s], factors[s, c], scale[s, c])
            for k in range(len(amplitudes)):
                by_weights[s, k] += scale[s, c] * (factors[s, c, k, 0] ** 2 + factors[s, c, k, 1] ** 2)
            for first in range(0, len(q), BLOCK):
                full = raise_powers(phases, first, powers)
                felt[:] = 0.0
                for row in range(rows.start[s], rows.start[s + 1]):
                    middle_wave(powers, rows.middle[row], full, wave)
                    pair_up(amplitudes, rows.place[row], pairs)
                    row_slope(pairs, powers.third, rows.place[row, 1], full, value)
                    _feel(wave, value, rows.middle[row], full, felt)
                for p in range(min(BLOCK, len(q) - first)):
                    i = first + p
                    by_charges[here + i, c] += felt[0, p] + 2 * charges.own[s] * scale[s, c] * q[i, c]
                    for axis in range(3):
                        slope[i, axis] -= q[i, c] * felt[1 + axis, p]
        _to_space(slope, fractions, charges.inverse[s], by_positions[here:until], by_cell[s])


@regrouped
def _feel(wave: Array, value: Array, n: Array, full: int, felt: Array) -> None:
    """Add Re Σ F exp(i n·x) and Im Σ n F exp(i n·x) of a row to ``felt`` (4, BLOCK)."""
    a, b, c = float(n[0]), float(n[1]), float(n[2])
    for p in range(full):
        x, y = wave[0, p], wave[1, p]
        imaginary = x * value[1, p] + y * value[0, p]
        felt[0, p] += x * value[0, p] - y * value[1, p]
        felt[1, p] += a * imaginary
        felt[2, p] += b * imaginary
        felt[3, p] += c * imaginary + x * value[3, p] + y * value[2, p]


@regrouped
def _to_space(slope: Array, fractions: Array, inverse: Array, by_positions: Array, by_cell: Array) -> None:
    """Add a gradient by the phases, taken through x = 2π r h⁻¹, to those by positions and cell."""
    for i in range(len(slope)):
        for k in range(3):
            g = 0.0
            for axis in range(3):
                g += TURN * inverse[k, axis] * slope[i, axis]
            by_positions[i, k] += g
            for axis in range(3):
                by_cell[axis, k] -= fractions[i, axis] * g


@regrouped
def _second_order(
    charges: Charges,
    spectrum: Spectrum,
    factors: Array,
    scale: Array,
    change: Change,
    systems: tuple[int, int],
    out: tuple[Array, Array, Array, Array, Array],
) -> None:
    by_positions, by_cell, by_charges, by_weights, by_scale = out
    for s in range(systems[0], systems[1]):
        here, until = charges.offsets[s], charges.offsets[s + 1]
        inverse, turned = charges.inverse[s], _product(change.cell[s], charges.inverse[s])
        fractions, phases = _fractions(charges.positions[here:until], inverse)
        moved = _moved(change.positions[here:until], fractions, inverse, turned)
        slope, bent = np.zeros_like(phases), np.zeros_like(phases)
        for c in range(charges.charges.shape[1]):
            q, u = charges.charges[here:until, c], change.charges[here:until, c]
            factor, weights = factors[s, c], spectrum.weights[s]
            changed = _changed(phases, moved, (q, u), spectrum.rows, s, factor)
            f = _amplitudes(weights, factor, scale[s, c])
            h = _amplitudes(weights, changed, scale[s, c])
            for k in range(len(weights)):
                both = 2 * (factor[k, 0] * changed[k, 0] + factor[k, 1] * changed[k, 1])
                by_weights[s, k] += scale[s, c] * both
                more = change.weights[s, k]
                by_scale[s, c] += weights[k] * both + more * (factor[k, 0] ** 2 + factor[k, 1] ** 2)
                h[k, 0] += 2 * scale[s, c] * more * factor[k, 0]
                h[k, 1] -= 2 * scale[s, c] * more * factor[k, 1]
            for i in range(len(q)):
                by_scale[s, c] += 2 * charges.own[s] * q[i] * u[i]
                by_charges[here + i, c] += 2 * charges.own[s] * scale[s, c] * u[i]
            _bend((phases, moved), (q, u), (f, h), spectrum.rows, s, (by_charges[here:until, c], slope, bent))
        _to_space(slope, fractions, inverse, by_positions[here:until], by_cell[s])
        _through_change(bent, (fractions, moved), (inverse, turned), by_positions[here:until], by_cell[s])


@regrouped
def _product(a: Array, b: Array) -> Array:
    out = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for k in range(3):
                out[i, j] += a[i, k] * b[k, j]
    return out


@regrouped
def _moved(change: Array, fractions: Array, inverse: Array, turned: Array) -> Array:
    """x' = 2π (r' h⁻¹ - r h⁻¹ h' h⁻¹) of the sources of one system."""
    out = np.empty_like(change)
    for i in range(len(change)):
        for axis in range(3):
            x = 0.0
            for k in range(3):
                x += change[i, k] * inverse[k, axis] - fractions[i, k] * turned[k, axis]
            out[i, axis] = TURN * x
    return out


@regrouped
def _changed(
    phases: Array, moved: Array, charges: tuple[Array, Array], rows: Rows, s: int, like: Array
) -> Array:
    """S' ``(waves, 2)`` of one system and channel."""
    q, u = charges
    out = np.zeros_like(like)
    powers = new_powers(rows.highest[s])
    wave, still, steep = np.empty((2, BLOCK)), np.empty((2, BLOCK)), np.empty((2, BLOCK))
    local = np.zeros((5, BLOCK))
    for first in range(0, len(q), BLOCK):
        full = raise_powers(phases, first, powers)
        _localize(moved, q, u, first, local)
        for row in range(rows.start[s], rows.start[s + 1]):
            middle_wave(powers, rows.middle[row], full, wave)
            a, b, c = float(rows.middle[row, 0]), float(rows.middle[row, 1]), float(rows.middle[row, 2])
            for p in range(full):
                x, y = wave[0, p], wave[1, p]
                turn = local[3, p] * (a * local[0, p] + b * local[1, p] + c * local[2, p])
                still[0, p], still[1, p] = local[4, p] * x - turn * y, local[4, p] * y + turn * x
                along = local[3, p] * local[2, p]
                steep[0, p], steep[1, p] = -along * y, along * x
            _add_changed(still, steep, powers.third, rows.place[row], full, out)
    return out


@regrouped
def _localize(moved: Array, q: Array, u: Array, first: int, local: Array) -> None:
    """x', q and q' of a block into ``local`` (5, BLOCK), zero where it ends."""
    local[:] = 0.0
    for p in range(min(BLOCK, len(q) - first)):
        local[0, p], local[1, p], local[2, p] = moved[first + p, 0], moved[first + p, 1], moved[first + p, 2]
        local[3, p], local[4, p] = q[first + p], u[first + p]


@regrouped
def _add_changed(still: Array, steep: Array, third: Array, place: Array, full: int, total: Array) -> None:
    """Add Σ (still ± m steep) exp(±imz) to the waves of a row."""
    middle, above, below = place[0], place[1], place[2]
    for m in range(above + 1):
        n = float(m)
        xc, ys, xs, yc, uc, vs, us, vc = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for p in range(full):
            c, s = third[0, m, p], third[1, m, p]
            xc += still[0, p] * c
            ys += still[1, p] * s
            xs += still[0, p] * s
            yc += still[1, p] * c
            uc += steep[0, p] * c
            vs += steep[1, p] * s
            us += steep[0, p] * s
            vc += steep[1, p] * c
        total[middle + m, 0] += xc - ys + n * (uc - vs)
        total[middle + m, 1] += xs + yc + n * (us + vc)
        if 0 < m <= below:
            total[middle - m, 0] += xc + ys - n * (uc + vs)
            total[middle - m, 1] += yc - xs - n * (vc - us)


@regrouped
def _bend(
    places: tuple[Array, Array],
    charges: tuple[Array, Array],
    amplitudes: tuple[Array, Array],
    rows: Rows,
    s: int,
    out: tuple[Array, Array, Array],
) -> None:
    """Add the gradient by charges, by phases x and by their change x' of one system and channel."""
    (phases, moved), (q, u), (f, h), (by_charges, slope, bent) = places, charges, amplitudes, out
    powers, pairs = new_powers(rows.highest[s]), np.empty((rows.highest[s, 2] + 1, 4))
    wave, local = np.empty((2, BLOCK)), np.zeros((5, BLOCK))
    of_f, of_h, second, felt = np.empty((4, BLOCK)), np.empty((4, BLOCK)), np.empty((2, BLOCK)), np.empty((7, BLOCK))
    for first in range(0, len(q), BLOCK):
        full = raise_powers(phases, first, powers)
        _localize(moved, q, u, first, local)
        felt[:] = 0.0
        for row in range(rows.start[s], rows.start[s + 1]):
            middle_wave(powers, rows.middle[row], full, wave)
            above = rows.place[row, 1]
            pair_up(h, rows.place[row], pairs)
            row_slope(pairs, powers.third, above, full, of_h)
            pair_up(f, rows.place[row], pairs)
            row_slope(pairs, powers.third, above, full, of_f)
            row_bend(pairs, powers.third, above, full, second)
            _feel_change(wave, (of_f, of_h, second), rows.middle[row], full, local, felt)
        for p in range(min(BLOCK, len(q) - first)):
            by_charges[first + p] += felt[0, p]
            for axis in range(3):
                slope[first + p, axis] -= felt[1 + axis, p]
                bent[first + p, axis] -= q[first + p] * felt[4 + axis, p]


@regrouped
def _feel_change(
    wave: Array, values: tuple[Array, Array, Array], n: Array, full: int, local: Array, felt: Array
) -> None:
    """Of a row into ``felt``: what the charge feels, the gradient by x (less its sign), Im Σ n F exp(i n·x)."""
    of_f, of_h, second = values
    a, b, c = float(n[0]), float(n[1]), float(n[2])
    for p in range(full):
        x, y = wave[0, p], wave[1, p]
        along, q, u = local[2, p], local[3, p], local[4, p]
        turn = a * local[0, p] + b * local[1, p] + c * along  # of the middle wave
        real, imaginary = x * of_f[0, p] - y * of_f[1, p], x * of_f[1, p] + y * of_f[0, p]
        real_m, imaginary_m = x * of_f[2, p] - y * of_f[3, p], x * of_f[3, p] + y * of_f[2, p]
        real_mm = x * second[0, p] - y * second[1, p]
        changed, changed_m = x * of_h[1, p] + y * of_h[0, p], x * of_h[3, p] + y * of_h[2, p]
        felt[0, p] += x * of_h[0, p] - y * of_h[1, p] - turn * imaginary - along * imaginary_m
        level = q * changed + u * imaginary + q * (turn * real + along * real_m)
        felt[1, p] += a * level
        felt[2, p] += b * level
        felt[3, p] += c * level + q * changed_m + u * imaginary_m + q * (turn * real_m + along * real_mm)
        felt[4, p] += a * imaginary
        felt[5, p] += b * imaginary
        felt[6, p] += c * imaginary + imaginary_m


@regrouped
def _through_change(
    bent: Array, places: tuple[Array, Array], cells: tuple[Array, Array], by_positions: Array, by_cell: Array
) -> None:
    """Add a gradient by x', taken through x' = 2π (r' - r h⁻¹ h') h⁻¹, to those by positions and cell."""
    (fractions, moved), (inverse, turned) = places, cells
    for i in range(len(bent)):
        for k in range(3):
            g, t = 0.0, 0.0  # h⁻¹ and h⁻¹ h' h⁻¹ times the gradient
            for axis in range(3):
                g += TURN * inverse[k, axis] * bent[i, axis]
                for n in range(3):
                    t += TURN * inverse[k, n] * turned[n, axis] * bent[i, axis]
            by_positions[i, k] -= t
            for axis in range(3):
                by_cell[axis, k] += fractions[i, axis] * t - moved[i, axis] / TURN * g
