"""LO-TO splitting of rock salt: ω_LO² - ω_TO² → 4πK |Z|²/(ε∞ μ v) as q → 0.

Phonons at q = 2π/na along [100] from forces in cells elongated n times; the splitting tends to its limit as 1/n². A
short-range energy has none: its longitudinal and transverse forces are analytic in q.
"""

import math
from dataclasses import dataclass

import ase
import numpy as np
from ase.data import atomic_masses

from farfield.probe.finding import Check, Curve, NotApplicable, Plot, Verdict
from farfield.probe.law import RANGE, Law
from farfield.probe.stage import Stage
from farfield.probe.structures.salt import Salt
from farfield.probe.subject import Floats, Refused, Seen, given
from farfield.units import COULOMB

AMPLITUDE = 4e-3
"""Å."""
TOLERANCE = 0.02
"""Part of the limit."""
NEGLIGIBLE = 1e-4
"""Part of what formal charges would make, below which there is no splitting."""
THZ2 = 1.602176634e-19 / 1e-20 / 1.66053906660e-27 * 1e-24 / (2 * np.pi) ** 2
"""THz² in a eV/(Å² u), CODATA 2018."""


@dataclass(frozen=True, eq=False)
class Waves:
    """At one wave vector; matrices are divided by the roots of both masses."""

    along: Floats  # (2, 2) eV/(Å² u), dynamical matrix of longitudinal waves of cations and anions
    across: Floats  # (2, 2) of transverse ones
    charges: Floats  # (2,) e, Z of cations and anions by the density of the model's charges; nan where it has none


@dataclass(frozen=True, eq=False)
class Effective:
    """The charges that should make the splitting."""

    charges: Floats | None  # (2,) e, of cations and anions; None for those of the waves
    permittivity: float  # ε∞
    whose: str
    tolerance: float  # part of the splitting


def judge(stage: Stage) -> Verdict:
    """Cells of three lengths, extrapolated; against the model's Born charges, or the charges its waves carry.

    What must be is the optical mode of the transverse matrix with the macroscopic field 4πK Z Zᵀ/(ε∞ v) on it, which is
    the formula above where the charges of cation and anion are opposite.
    """
    salt = stage.rock_salt()
    lengths = _lengths(stage, salt)
    waves = [_waves(stage, salt, n) for n in lengths]
    effective = _effective(stage, salt)
    splitting = [_optical(w.along, salt) - _optical(w.across, salt) for w in waves]
    implied = [_with_field(w, effective, salt) - _optical(w.across, salt) for w in waves]
    found, expected = _limit(lengths, splitting), _limit(lengths, implied)
    what = f"{salt.formula}: LO² - TO² as q → 0, by {effective.whose}"
    negligible = NEGLIGIBLE * _of_charge(salt.formal, salt)
    if max(abs(found), abs(expected)) < negligible:
        raise NotApplicable("its charges are zero, and so is the splitting: nothing to judge")
    tolerance = max(effective.tolerance * abs(expected), negligible)
    fault = _fault(found, expected, flow=stage.charges_respond)
    check = Check(what, expected, found, tolerance, "THz²", fault)
    points = tuple(n**-2.0 for n in lengths)
    curves = (
        Curve("implied", (0.0, *reversed(points)), (expected, *reversed(implied)), "expected"),
        Curve("found", (0.0, *reversed(points)), (found, *reversed(splitting))),
    )
    said = f"The splitting tends to {found:.2f} THz², as {effective.whose} imply."
    return Verdict((check,), said, Plot("1/n²", "LO² - TO² (THz²)", curves))


LAW = Law("lo_to", "LO-TO splitting", judge, RANGE)


def _lengths(stage: Stage, salt: Salt) -> tuple[int, ...]:
    """Cells along x: waves several times longer than the short-range part sees, for only then terms in 1/n² rule."""
    shortest = (6 if stage.fast else 9) * stage.subject.reach / salt.constant
    return tuple(math.ceil(part * shortest) for part in (1.0, 1.6, 2.5))


def _of_charge(charge: float, salt: Salt) -> float:
    """THz², the limit where ions carry this charge (e) and nothing else is polarised: 4πK Z²/(μ v)."""
    return float(THZ2 * 4 * np.pi * COULOMB * charge**2 / (salt.reduced_mass * salt.constant**3 / 4))


def _fault(found: float, expected: float, *, flow: bool) -> str:
    if expected == 0:
        return "The LO-TO splitting is not zero, although the model's charges are: others enter the energy."
    if abs(found) < 0.05 * abs(expected):
        why = "its charges flow from crest to trough, as a metal's" if flow else "the energy is short-ranged"
        return (
            f"There is no LO-TO splitting as q → 0: {why}. "
            "Longitudinal phonons, dielectric constants and infrared spectra are wrong."
        )
    ratio = found / expected
    if abs(ratio - 0.5) < 0.03:
        why = "the Coulomb energy is half of what they imply"
    else:
        why = "they flow from crest to trough of the wave" if flow else "others enter the energy"
    return f"The LO-TO splitting is {ratio:.3g} times what the model's charges make it: {why}."


def _effective(stage: Stage, salt: Salt) -> Effective:
    """Born charges; or charges, as long waves have them, or the crystal at rest where they respond.

    Charges that are conserved by a global shift have Born charges at q = 0 that are not those of any wave: only where
    a polarization is defined do they count before those of the waves.
    """
    crystal, gives = salt.conventional(), stage.subject.gives
    local = "charges" in gives and not stage.dipole_is_single_valued and not stage.charges_respond
    if "born_charges" in gives and not local:
        born = np.trace(given(stage.see([crystal], "born_charges")[0].born_charges), axis1=1, axis2=2) / 3
        permittivity = _permittivity(stage, crystal)
        whose = "Born charges" if permittivity == 1 else f"Born charges and ε∞ = {permittivity:.2f}"
        return Effective(_by_site(born, crystal, salt), permittivity, whose, TOLERANCE)
    if "charges" not in gives:
        return Effective(salt.formal * np.array([1.0, -1.0]), 1.0, "formal charges (ε∞ from 1 to 10)", 0.9)
    if stage.charges_respond:
        rest = given(stage.see([crystal], "charges")[0].charges)
        return Effective(_by_site(rest, crystal, salt), 1.0, "charges at rest", TOLERANCE)
    return Effective(None, 1.0, "charges of its waves", TOLERANCE)


def _by_site(values: Floats, crystal: ase.Atoms, salt: Salt) -> Floats:
    """``(2,)``, the mean over cations and over anions."""
    return np.array([values[crystal.numbers == z].mean() for z in (salt.cation, salt.anion)])


def _permittivity(stage: Stage, crystal: ase.Atoms) -> float:
    """ε∞ = 1 + 4πK α/V; 1 where the model has no polarizability of a crystal."""
    if "polarizability" not in stage.subject.gives:
        return 1.0
    try:
        found = stage.see([crystal], "polarizability")[0].polarizability
    except Refused:
        return 1.0
    mean = float("nan") if found is None else float(np.trace(found)) / 3
    return 1 + 4 * np.pi * COULOMB * mean / crystal.get_volume() if np.isfinite(mean) else 1.0


def _limit(lengths: tuple[int, ...], values: list[float]) -> float:
    """At n → ∞, through terms in 1/n² and 1/n⁴."""
    x = np.array(lengths, dtype=np.float64) ** -2
    return float(np.linalg.solve(np.vander(x, increasing=True), np.array(values))[0])


def _with_field(waves: Waves, effective: Effective, salt: Salt) -> float:
    """THz², of the optical mode of transverse waves with the macroscopic field of a longitudinal one."""
    charges = waves.charges if effective.charges is None else effective.charges
    weighted = charges / np.sqrt(_masses(salt))
    field = 4 * np.pi * COULOMB / (effective.permittivity * salt.constant**3 / 4)
    return _optical(waves.across + field * np.outer(weighted, weighted), salt)


def _optical(dynamical: Floats, salt: Salt) -> float:
    """ω²/4π² in THz² of the mode in which cations and anions move against one another."""
    values, vectors = np.linalg.eigh((dynamical + dynamical.T) / 2)
    opposite = np.array([1, -1]) / np.sqrt(_masses(salt))
    return float(THZ2 * values[np.abs(opposite @ vectors).argmax()])


def _masses(salt: Salt) -> Floats:
    masses: Floats = np.asarray(atomic_masses[[salt.cation, salt.anion]], dtype=np.float64)
    return masses


def _waves(stage: Stage, salt: Salt, length: int) -> Waves:
    """Standing waves of cations, then of anions, along and across, forwards and backwards."""
    crystal = salt.along(length)
    wave = 2 * np.pi / (length * salt.constant)
    cosine = np.cos(wave * crystal.positions[:, 0])
    sites = [crystal.numbers == salt.cation, crystal.numbers == salt.anion]
    frames = [_waved(crystal, site * cosine * sign, axis) for axis in (0, 1) for site in sites for sign in (1, -1)]
    seen = stage.see(frames, "forces", *stage.wants("charges"))
    forces = np.array([given(s.forces) for s in seen]).reshape(2, 2, 2, len(crystal), 3)
    root = np.sqrt(np.outer(_masses(salt), _masses(salt)))
    along, across = (_stiffness(forces[axis, ..., axis], sites, cosine) / root for axis in (0, 1))
    return Waves(along, across, _wave_charges(seen[:4], frames[:4], sites, wave))


def _waved(crystal: ase.Atoms, pattern: Floats, axis: int) -> ase.Atoms:
    moved = crystal.copy()
    moved.positions[:, axis] += AMPLITUDE * pattern
    return moved


def _stiffness(forces: Floats, sites: list[Floats], cosine: Floats) -> Floats:
    """``(2, 2)`` eV/Å² from forces (moved site, sign, atoms) along the displacement."""
    slopes = -(forces[:, 0] - forces[:, 1]) / (2 * AMPLITUDE)
    return np.array([[(f * cosine)[site].sum() / (cosine[site] ** 2).sum() for site in sites] for f in slopes])


def _wave_charges(seen: list[Seen], frames: list[ase.Atoms], sites: list[Floats], wave: float) -> Floats:
    """Read Z = (i/q) dρ(q)/du off the charge density of longitudinal waves, dq/dR included."""
    if seen[0].charges is None:
        return np.full(2, np.nan)
    density = [(given(s.charges) * np.exp(-1j * wave * f.positions[:, 0])).sum() for s, f in zip(seen, frames)]
    slopes = np.array([density[0] - density[1], density[2] - density[3]]) / (2 * AMPLITUDE)
    charges: Floats = (1j / wave * slopes).real / (sites[0].sum() / 2)
    return charges
