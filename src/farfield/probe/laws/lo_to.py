"""LO-TO splitting of rock salt: ω_LO² - ω_TO² → 4πK |Z|²/(ε∞ μ v) as q → 0.

Phonons at q = 2π/na along [100] from forces in cells elongated n times; the splitting tends to its limit as 1/n². A
short-range energy has none: its longitudinal and transverse forces are analytic in q.
"""

from dataclasses import dataclass

import ase
import numpy as np
from ase.data import atomic_masses

from farfield.probe.finding import Check, Curve, Plot, Verdict
from farfield.probe.salt import Salt
from farfield.probe.stage import Stage
from farfield.probe.subject import Floats, Seen, given
from farfield.units import COULOMB

AMPLITUDE = 0.01
"""Å."""
TOLERANCE = 0.02
"""Part of the limit."""
THZ2 = 1.602176634e-19 / 1e-20 / 1.66053906660e-27 * 1e-24 / (2 * np.pi) ** 2
"""THz² in a eV/(Å² u), CODATA 2018."""


@dataclass(frozen=True)
class Modes:
    """At one wave vector."""

    splitting: float  # THz²
    charge: float  # e, effective charge √(μ) Σ Z e/√m of the optical mode by the model's charges; nan where it has none


def judge(stage: Stage) -> Verdict:
    """Cells of three lengths, extrapolated; against the model's Born charges, or the charges its waves carry."""
    salt = stage.rock_salt()
    lengths = (4, 6, 10) if stage.fast else (6, 10, 16)
    modes = [_modes(stage, salt, n) for n in lengths]
    found = _limit(lengths, [m.splitting for m in modes])
    charge, whose, tolerance = _charge(stage, salt, lengths, modes)
    scale = THZ2 * 4 * np.pi * COULOMB / (salt.reduced_mass * salt.constant**3 / 4)
    expected = float(scale * charge**2)
    fault = _fault(found, expected, scale)
    what = f"{salt.formula}: LO² - TO² as q → 0, by {whose}"
    check = Check(what, expected, found, tolerance * expected, "THz²", fault)
    x = np.linspace(0, lengths[0] ** -2.0, 30)
    points = tuple(n**-2.0 for n in lengths)
    plot = Plot(
        "1/n²", "LO² - TO² (THz²)",
        (
            Curve("limit", (0.0, float(x[-1])), (expected, expected), "expected"),
            Curve("found", (0.0, *points), (found, *(m.splitting for m in modes))),
        ),
    )  # fmt: skip
    return Verdict((check,), f"The splitting is that of a charge of {charge:.2f} e ({whose}).", plot)


def _fault(found: float, expected: float, scale: float) -> str:
    if abs(found) < 0.05 * expected:
        return (
            "There is no LO-TO splitting as q → 0: the energy is short-ranged, or its charges flow like a metal's. "
            "Longitudinal phonons, dielectric constants and infrared spectra are wrong."
        )
    ratio = found / expected
    seems = f"the splitting is that of a charge of {np.sqrt(max(found, 0) / scale):.2f} e"
    why = "half the Coulomb energy its charges imply" if abs(ratio - 0.5) < 0.03 else "not the one it states"
    return f"The LO-TO splitting is {ratio:.3g} times what it must be: {seems}, {why}."


def _charge(stage: Stage, salt: Salt, lengths: tuple[int, ...], modes: list[Modes]) -> tuple[float, str, float]:
    """Effective charge over √ε∞, whose it is, and the part of the limit that is tolerated."""
    if "born_charges" in stage.subject.gives:
        crystal = salt.conventional()
        seen = stage.see([crystal], "born_charges", *stage.wants("polarizability"))[0]
        born = given(seen.born_charges)[crystal.numbers == salt.cation].mean(0).trace() / 3
        if seen.polarizability is None:
            return float(born), "Born charges", TOLERANCE
        screening = 1 + 4 * np.pi * COULOMB * seen.polarizability.trace() / 3 / crystal.get_volume()
        return float(born / np.sqrt(screening)), "Born charges and ε∞", TOLERANCE
    if "charges" not in stage.subject.gives:
        return salt.formal, "formal charges, ε∞ from 1 to 10", 0.9
    if stage.charges_respond:
        crystal = salt.conventional()
        charges = given(stage.see([crystal], "charges")[0].charges)
        return float(charges[crystal.numbers == salt.cation].mean()), "the charges at rest", TOLERANCE
    return _limit(lengths, [m.charge for m in modes]), "the charges its waves carry", TOLERANCE


def _limit(lengths: tuple[int, ...], values: list[float]) -> float:
    """At n → ∞, through terms in 1/n² and 1/n⁴."""
    x = np.array(lengths, dtype=np.float64) ** -2
    return float(np.linalg.solve(np.vander(x, increasing=True), np.array(values))[0])


def _modes(stage: Stage, salt: Salt, length: int) -> Modes:
    crystal = salt.along(length)
    wave = 2 * np.pi / (length * salt.constant)
    cosine = np.cos(wave * crystal.positions[:, 0])
    sites = [crystal.numbers == salt.cation, crystal.numbers == salt.anion]
    frames = [_waved(crystal, site * cosine * sign, axis) for axis in (0, 1) for site in sites for sign in (1, -1)]
    seen = stage.see(frames, "forces", *stage.wants("charges"))
    forces = np.array([given(s.forces) for s in seen]).reshape(2, 2, 2, len(crystal), 3)
    squares = [_optical(forces[axis, ..., axis], sites, cosine, salt) for axis in (0, 1)]
    return Modes(squares[0] - squares[1], _wave_charge(seen[:4], frames[:4], sites, wave, salt))


def _waved(crystal: ase.Atoms, pattern: Floats, axis: int) -> ase.Atoms:
    moved = crystal.copy()
    moved.positions[:, axis] += AMPLITUDE * pattern
    return moved


def _masses(salt: Salt) -> Floats:
    masses: Floats = np.asarray(atomic_masses[[salt.cation, salt.anion]], dtype=np.float64)
    return masses


def _optical(forces: Floats, sites: list[Floats], cosine: Floats, salt: Salt) -> float:
    """ω²/4π² in THz² of the optical mode, from forces (moved site, sign, atoms) along the displacement."""
    slopes = -(forces[:, 0] - forces[:, 1]) / (2 * AMPLITUDE)
    dynamical = np.array([[(f * cosine)[site].sum() / (cosine[site] ** 2).sum() for site in sites] for f in slopes])
    masses = _masses(salt)
    dynamical /= np.sqrt(np.outer(masses, masses))
    values, vectors = np.linalg.eigh((dynamical + dynamical.T) / 2)
    opposite = np.array([1, -1]) / np.sqrt(masses)
    return float(THZ2 * values[np.abs(opposite @ vectors).argmax()])


def _wave_charge(seen: list[Seen], frames: list[ase.Atoms], sites: list[Floats], wave: float, salt: Salt) -> float:
    """What the charge density of a longitudinal wave says: Z = (i/q) dρ(q)/du, dq/dR included."""
    if seen[0].charges is None:
        return float("nan")
    density = [
        (given(s.charges) * np.exp(-1j * wave * frame.positions[:, 0])).sum() for s, frame in zip(seen, frames)
    ]
    per_site = [float((1j / wave * (density[2 * k] - density[2 * k + 1]) / (2 * AMPLITUDE)).real) for k in (0, 1)]
    moved = np.array(per_site) / (sites[0].sum() / 2)
    opposite = np.array([1, -1]) / _masses(salt)
    return float(salt.reduced_mass * (moved * opposite).sum())
