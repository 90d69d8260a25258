"""Energy of charges by waves, its first and its second derivatives, each in one pass over the rows.

With S_k = Σ q_i exp(i n_k·x_i), x = 2π r h⁻¹ the phases in the cell h,

    E = Σ_k w_k |S_k|² + c Σ q_i²

Along a change (r', h', q', w') the phases change by x' = 2π (r' - r h⁻¹ h') h⁻¹ and S by
S' = Σ (q' + i q n·x') exp(i n·x). The derivative of E is Σ_k 2 w Re(S* S') + w' |S|² + 2c Σ q q', and of that again the
gradient is taken: by x with F = 2w S* and H = 2w S'* + 2w' S*, then by positions and cell through x and x'.
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
    row_bend,
    row_slope,
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


class Change(NamedTuple):
    """A direction to go in."""

    positions: Array  # (sources, 3)
    charges: Array  # (sources, channels)
    cell: Array  # (systems, 3, 3)
    weights: Array  # (systems, waves)


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
        _ranges(charges, spectrum),
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
        _ranges(charges, spectrum),
    )
    return out


def hessian_vector(
    charges: WaveCharges, spectrum: Spectrum, factors: Array, scale: Array, change: Change
) -> tuple[Array, ...]:
    """Gradient by positions, cell, charges, weights and ``scale`` of the derivative of Σ scale·E along a change."""
    out = (*_like(charges, spectrum), np.zeros_like(scale))
    together(
        lambda first, last: _second_order(charges, spectrum, factors, scale, change, (first, last), out),
        _ranges(charges, spectrum),
    )
    return out


def _like(charges: WaveCharges, spectrum: Spectrum) -> tuple[Array, Array, Array, Array]:
    return (
        np.zeros_like(charges.positions),
        np.zeros_like(charges.inverse),
        np.zeros(charges.charges.shape),
        np.zeros_like(spectrum.weights),
    )


def _ranges(charges: WaveCharges, spectrum: Spectrum) -> list[tuple[int, int]]:
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
    charges: WaveCharges, spectrum: Spectrum, systems: tuple[int, int], energies: Array, factors: Array
) -> None:
    rows, channels = spectrum.rows, charges.charges.shape[1]
    wave, amplitude = new_block(2, charges.charges), new_block(2, charges.charges)
    for s in range(systems[0], systems[1]):
        here, until = charges.offsets[s], charges.offsets[s + 1]
        q = charges.charges[here:until]
        phases = _fractions(charges.positions[here:until], charges.inverse[s])[1]
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
def _amplitudes(weights: Array, factors: Array, scale: float) -> Array:
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
        fractions, phases = _fractions(charges.positions[here:until], charges.inverse[s])
        powers, pairs = new_powers(rows.highest[s], q), np.empty((rows.highest[s, 2] + 1, 8), q.dtype)
        slope = np.empty((len(q), 3))
        for c in range(q.shape[1]):
            amplitudes = _amplitudes(spectrum.weights[s], factors[s, c], 1.0)
            for k in range(len(amplitudes)):
                out.grad_weights[s, c, k] = factors[s, c, k, 0] ** 2 + factors[s, c, k, 1] ** 2
            for first in range(0, len(q), BLOCK):
                full = raise_powers(phases, first, powers)
                potentials[:] = 0.0
                for row in range(rows.start[s], rows.start[s + 1]):
                    middle_wave(powers, rows.middle[row], full, wave)
                    pair_up(amplitudes, rows.place[row], 2, pairs)
                    row_slope(pairs, powers.third, rows.place[row, 1], full, value)
                    _feel(wave, value, rows.middle[row], full, potentials)
                for p in range(min(BLOCK, len(q) - first)):
                    i = first + p
                    out.grad_charges[here + i, c] = potentials[0, p] + 2 * charges.own[s] * q[i, c]
                    for axis in range(3):
                        slope[i, axis] = -q[i, c] * potentials[1 + axis, p]
            _to_space(slope, fractions, charges.inverse[s], out.grad_positions[here:until, c], out.grad_cell[s, c])


@regrouped
def _feel(wave: Array, value: Array, n: Array, full: int, potentials: Array) -> None:
    """Add Re Σ F exp(i n·x) and Im Σ n F exp(i n·x) of a row to ``potentials`` (4, BLOCK)."""
    kind = wave.dtype.type
    a, b, c = kind(n[0]), kind(n[1]), kind(n[2])
    for p in range(0, full, REGISTER // wave.itemsize):
        at = np.uintp(p)
        x, y = load(wave[0], at), load(wave[1], at)
        real, imaginary = _turned(x, y, load(value[0], at), load(value[1], at))
        _, imaginary_m = _turned(x, y, load(value[2], at), load(value[3], at))
        store(potentials[0], at, load(potentials[0], at) + real)
        store(potentials[1], at, load(potentials[1], at) + imaginary * a)
        store(potentials[2], at, load(potentials[2], at) + imaginary * b)
        store(potentials[3], at, load(potentials[3], at) + imaginary_m + imaginary * c)


@regrouped
def _to_space(slope: Array, fractions: Array, inverse: Array, grad_positions: Array, grad_cell: Array) -> None:
    """Add a gradient by the phases, taken through x = 2π r h⁻¹, to those by positions and cell."""
    for i in range(len(slope)):
        for k in range(3):
            g = 0.0
            for axis in range(3):
                g += TURN * inverse[k, axis] * slope[i, axis]
            grad_positions[i, k] += g
            for axis in range(3):
                grad_cell[axis, k] -= fractions[i, axis] * g


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
                grad_weights[s, k] += scale[s, c] * both
                more = change.weights[s, k]
                grad_scale[s, c] += weights[k] * both + more * (factor[k, 0] ** 2 + factor[k, 1] ** 2)
                h[k, 0] += 2 * scale[s, c] * more * factor[k, 0]
                h[k, 1] -= 2 * scale[s, c] * more * factor[k, 1]
            for i in range(len(q)):
                grad_scale[s, c] += 2 * charges.own[s] * q[i] * u[i]
                grad_charges[here + i, c] += 2 * charges.own[s] * scale[s, c] * u[i]
            _bend((phases, moved), (q, u), (f, h), spectrum.rows, s, (grad_charges[here:until, c], slope, bent))
        _to_space(slope, fractions, inverse, grad_positions[here:until], grad_cell[s])
        _through_change(bent, (fractions, moved), (inverse, turned), grad_positions[here:until], grad_cell[s])


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
    """Change of phases x' = 2π (r' h⁻¹ - r h⁻¹ h' h⁻¹) of the sources of one system."""
    out = np.empty_like(change)
    for i in range(len(change)):
        for axis in range(3):
            x = 0.0
            for k in range(3):
                x += change[i, k] * inverse[k, axis] - fractions[i, k] * turned[k, axis]
            out[i, axis] = TURN * x
    return out


@regrouped
def _changed(phases: Array, moved: Array, charges: tuple[Array, Array], rows: Rows, s: int, like: Array) -> Array:
    """S' ``(waves, 2)`` of one system and channel."""
    q, u = charges
    out = np.zeros_like(like)
    powers = new_powers(rows.highest[s], q)
    wave, still, steep, local = new_block(2, q), new_block(2, q), new_block(2, q), new_block(5, q)
    for first in range(0, len(q), BLOCK):
        full = raise_powers(phases, first, powers)
        _localize(moved, q, u, first, local)
        for row in range(rows.start[s], rows.start[s + 1]):
            middle_wave(powers, rows.middle[row], full, wave)
            _shift(wave, rows.middle[row], full, local, still, steep)
            _add_changed(still, steep, powers.third, rows.place[row], full, out)
    return out


@regrouped
def _shift(wave: Array, n: Array, full: int, local: Array, still: Array, steep: Array) -> None:
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
        store(still[0], at, u * x - turn * y)
        store(still[1], at, u * y + turn * x)
        store(steep[0], at, along * y * kind(-1))
        store(steep[1], at, along * x)


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
    zero = still.dtype.type(0)
    for m in range(above + 1):
        n = float(m)
        xc, ys, xs, yc, uc, vs, us, vc = zero, zero, zero, zero, zero, zero, zero, zero
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
    (phases, moved), (q, u), (f, h), (grad_charges, slope, bent) = places, charges, amplitudes, out
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
            row_bend(of_f, of_h, powers.third, above, full, values)
            _feel_change(wave, values, rows.middle[row], full, local, potentials)
        for p in range(min(BLOCK, len(q) - first)):
            grad_charges[first + p] += potentials[0, p]
            for axis in range(3):
                slope[first + p, axis] -= potentials[1 + axis, p]
                bent[first + p, axis] -= q[first + p] * potentials[4 + axis, p]


@regrouped
def _feel_change(wave: Array, values: Array, n: Array, full: int, local: Array, potentials: Array) -> None:
    """Sum a row into ``potentials``: of the charge, and the gradient by x (less its sign), Im Σ n F exp(i n·x)."""
    kind = wave.dtype.type
    a, b, c = kind(n[0]), kind(n[1]), kind(n[2])
    for p in range(0, full, REGISTER // wave.itemsize):
        at = np.uintp(p)
        x, y = load(wave[0], at), load(wave[1], at)
        along, q, u = load(local[2], at), load(local[3], at), load(local[4], at)
        # of the middle wave
        turn = load(local[0], at) * a + load(local[1], at) * b + along * c
        real, imaginary = _turned(x, y, load(values[0], at), load(values[1], at))
        real_m, imaginary_m = _turned(x, y, load(values[2], at), load(values[3], at))
        real_mm, _ = _turned(x, y, load(values[4], at), load(values[5], at))
        felt_q, changed = _turned(x, y, load(values[6], at), load(values[7], at))
        _, changed_m = _turned(x, y, load(values[8], at), load(values[9], at))
        felt_q = felt_q - turn * imaginary - along * imaginary_m
        level = changed + turn * real + along * real_m
        level_m = changed_m + turn * real_m + along * real_mm
        level = q * level + u * imaginary
        level_m = q * level_m + u * imaginary_m
        store(potentials[0], at, load(potentials[0], at) + felt_q)
        store(potentials[1], at, load(potentials[1], at) + level * a)
        store(potentials[2], at, load(potentials[2], at) + level * b)
        store(potentials[3], at, load(potentials[3], at) + level_m + level * c)
        store(potentials[4], at, load(potentials[4], at) + imaginary * a)
        store(potentials[5], at, load(potentials[5], at) + imaginary * b)
        store(potentials[6], at, load(potentials[6], at) + imaginary_m + imaginary * c)


@regrouped
def _turned(x: Any, y: Any, real: Any, imaginary: Any) -> tuple[Any, Any]:
    """(x + iy)(real + i imaginary)."""
    return x * real - y * imaginary, x * imaginary + y * real


@regrouped
def _through_change(
    bent: Array, places: tuple[Array, Array], cells: tuple[Array, Array], grad_positions: Array, grad_cell: Array
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
            grad_positions[i, k] -= t
            for axis in range(3):
                grad_cell[axis, k] += fractions[i, axis] * t - moved[i, axis] / TURN * g
