"""The slope of the energy of two fragments far apart, as it is found and as the model's own charges imply it.

Energies, not forces, are judged, and their slope, not their values: no fragment needs to be predicted alone. At fixed
distance R the slope of every model whose energy holds ½Σqφ, equilibrated or not, is that of the Coulomb energy of its
charges kept as they are at R (Hellmann-Feynman). Opposite orientations are subtracted to single out one multipole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np

from farfield.probe.finding import Check, Curve, NotApplicable, Plot, Verdict
from farfield.probe.fragments import Dimer
from farfield.probe.stage import Stage
from farfield.probe.subject import Floats, given
from farfield.units import COULOMB

STEP = 0.02
"""Part of the distance over which slopes are taken."""
EXPONENT = 0.05
"""By which an exponent may be off."""
PREFACTOR = 0.02
"""Part by which a prefactor may be off."""


@dataclass(frozen=True, eq=False)
class Tail:
    """Slopes along the distance."""

    distance: Floats  # (points,) Å
    found: Floats  # (points,) eV/Å
    implied: Floats | None  # (points,) eV/Å by the charges of the model; None where it has none
    rounding: float  # eV/Å


def tail(stage: Stage, dimers: Sequence[tuple[float, Dimer]]) -> Tail:
    """Slope of Σ weight × energy of the dimers from two to four reaches of the model's short-range part."""
    size = max(float(np.abs(f.atoms.positions).max()) for _, d in dimers for f in (d.first, d.second))
    distance = np.geomspace(2 * stage.subject.reach, 4 * stage.subject.reach, 4 if stage.fast else 7) + 2 * size
    has_charges = "charges" in stage.subject.gives
    found, implied = np.zeros(len(distance)), np.zeros(len(distance))
    for weight, dimer in dimers:
        ends = [dimer.at(float(r * side)) for r in distance for side in (1 - STEP, 1 + STEP)]
        energy = stage.energies(ends).reshape(-1, 2)
        found += weight * (energy[:, 1] - energy[:, 0])
        if has_charges:
            seen = stage.see([dimer.at(float(r)) for r in distance], "charges")
            charges = [given(one.charges) for one in seen]
            pairs = [_coulomb(atoms, charges[k // 2], dimer.split) for k, atoms in enumerate(ends)]
            implied += weight * np.subtract(pairs[1::2], pairs[::2])
    width = 2 * STEP * distance
    rounding = stage.noise(dimers[0][1].at(float(distance[0])))
    return Tail(distance, found / width, implied / width if has_charges else None, 2 * rounding / float(width[0]))


def _coulomb(atoms: ase.Atoms, charges: Floats, split: int) -> float:
    """Between the two fragments, eV."""
    apart = atoms.positions[:split, None] - atoms.positions[None, split:]
    return float(COULOMB * (np.outer(charges[:split], charges[split:]) / np.linalg.norm(apart, axis=2)).sum())


def judged(measured: Tail, name: str, *, exponent: int, ideal: Floats | None = None) -> Verdict:
    """Exponent of the energy, and its size against the model's charges.

    ``ideal`` are slopes that any model should about have, for those that have no charges and feel nothing.

    Raises:
        NotApplicable: what there should be is below the rounding of the energies.
    """
    expected = measured.implied if measured.implied is not None else ideal
    if expected is not None and np.abs(expected).max() < 30 * measured.rounding:
        raise NotApplicable(f"{name}: what the model's charges imply is below the rounding of its energies")
    if np.abs(measured.found).max() < max(10 * measured.rounding, 1e-12):
        return Verdict((_nothing(measured, name, expected),), "", _plot(measured, expected))
    checks = [_exponent(measured, name, exponent)]
    if measured.implied is not None:
        checks.append(_prefactor(measured, name))
    said = f"The energy falls as 1/R^{exponent}"
    said += ", as large as the model's charges imply." if measured.implied is not None else "."
    return Verdict(tuple(checks), said, _plot(measured, expected))


def _nothing(measured: Tail, name: str, expected: Floats | None) -> Check:
    start = measured.distance[0]
    should = abs(float(expected[0])) if expected is not None else float("nan")
    fault = (
        f"Nothing is felt at {start:.0f} Å, beyond the cutoff: the energy is short-ranged"
        + ("." if measured.implied is None else ", although there are charges: their Coulomb energy is cut off.")
    )
    return Check(f"{name}: slope at {start:.0f} Å", should, 0.0, PREFACTOR * should, "eV/Å", fault)


def _exponent(measured: Tail, name: str, exponent: int) -> Check:
    size = np.log(np.maximum(np.abs(measured.found), 1e-300))
    found = -float(np.polyfit(np.log(measured.distance), size, 1)[0]) - 1
    if found > exponent:
        why = "it falls too fast, as if screened or cut off"
    else:
        why = "it falls too slowly, as if charge had moved between the fragments"
    fault = f"The energy falls as 1/R^{found:.2f}, not 1/R^{exponent}: {why}."
    return Check(f"{name}: exponent", float(exponent), found, EXPONENT, "", fault)


def _prefactor(measured: Tail, name: str) -> Check:
    implied = measured.implied if measured.implied is not None else np.ones(1)
    ratio = float(np.median(measured.found / np.where(implied == 0, np.nan, implied)))
    if abs(ratio - 0.5) < 0.02:
        why = "a factor ½: half the potential was taken for the potential"
    elif abs(ratio - 2) < 0.05:
        why = "a factor 2: every pair is counted twice"
    else:
        why = "the charges it reports are not those that enter its energy"
    fault = f"The energy is {ratio:.3g} times what the model's charges imply: {why}."
    return Check(f"{name}: energy over that of its charges", 1.0, ratio, PREFACTOR, "", fault)


def _plot(measured: Tail, expected: Floats | None) -> Plot:
    x = tuple(measured.distance.tolist())
    curves = [Curve("found", x, tuple(np.abs(measured.found).tolist()))]
    if expected is not None:
        curves.insert(0, Curve("expected", x, tuple(np.abs(expected).tolist()), "expected"))
    return Plot("distance (Å)", "|slope of the energy| (eV/Å)", tuple(curves), logarithmic=True)
