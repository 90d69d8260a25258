"""The slope of the energy of two fragments far apart, as it is found and as the model's own charges imply it.

Energies, not forces, are judged, and their slope, not their values: no fragment needs to be predicted alone. At fixed
distance R the slope of every model whose energy holds ½Σqφ, equilibrated or not, is that of the Coulomb energy of its
charges kept as they are at R (Hellmann-Feynman); what of a fragment's own dipole they do not make counts besides.
Opposite orientations are subtracted to single out one multipole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from farfield.probe.finding import Check, Curve, NotApplicable, Plot, Verdict
from farfield.probe.measures.body import between, body, spare_dipole
from farfield.probe.stage import Stage
from farfield.probe.structures.fragments import Dimer
from farfield.probe.subject import Floats, given
from farfield.units import COULOMB

STEP = 0.02
"""Part of the distance over which slopes are taken."""
EXPONENT = 0.05
"""By which an exponent may be off."""
MANY_SIZES = 16
"""Of the larger fragment, its centre to its outermost atom, below which its octupole would be felt."""
PREFACTOR = 0.02
"""Part by which a prefactor may be off."""


FELT = 0.01
"""Part of what two whole charges make, more than dispersion leaves."""
CLEAR = 30
"""Times its rounding that a slope must be everywhere for its exponent to be told."""


@dataclass(frozen=True, eq=False)
class Tail:
    """Slopes along the distance."""

    distance: Floats  # (points,) Å
    found: Floats  # (points,) eV/Å
    implied: Floats  # (points,) eV/Å by the charges of the model, by formal charges where it has none
    own: bool  # whether they are the model's
    rounding: float  # eV/Å


def tail(stage: Stage, dimers: Sequence[tuple[float, Dimer]]) -> Tail:
    """Slope of Σ weight × energy of the dimers, from two reaches of the model's short-range part to twice that.

    Twice as far where charges respond: what they give way by falls off as one over the distance.
    """
    size = max(float(np.abs(f.atoms.positions).max()) for _, d in dimers for f in (d.first, d.second))
    start = max(2 * stage.subject.reach * (2 if stage.charges_respond else 1), MANY_SIZES * size)
    distance = np.geomspace(start, 2 * start, 4 if stage.fast else 7)
    found, implied = np.zeros(len(distance)), np.zeros(len(distance))
    for weight, dimer in dimers:
        ends = distance[:, None] * [1 - STEP, 1 + STEP]
        energy = stage.energies([dimer.at(float(r)) for r in ends.ravel()]).reshape(-1, 2)
        found += weight * (energy[:, 1] - energy[:, 0])
        implied += weight * _implied(stage, dimer, distance, ends)
    width = 2 * STEP * distance
    rounding = 2 * stage.noise(dimers[0][1].at(float(distance[0]))) / float(width[0])
    return Tail(distance, found / width, implied / width, "charges" in stage.subject.gives, rounding)


def _implied(stage: Stage, dimer: Dimer, distance: Floats, ends: Floats) -> Floats:
    """``(points,)`` eV, what the Coulomb energy of the charges at each distance changes by between its ends."""
    seen = _charges(stage, dimer, distance)
    carried = np.round([seen[-1][: dimer.split].sum(), seen[-1][dimer.split :].sum()], 9)
    spare = [spare_dipole(stage, part, float(q)) for part, q in zip((dimer.first, dimer.second), carried)]
    out = []
    for charges, (near, far) in zip(seen, ends):
        first = body(dimer.first, charges[: dimer.split], spare[0])
        second = body(dimer.second, charges[dimer.split :], spare[1])
        out.append(between(first, second, far) - between(first, second, near))
    return np.array(out)


def _charges(stage: Stage, dimer: Dimer, distance: Floats) -> list[Floats]:
    """``(atoms,)`` e, at every distance."""
    if "charges" not in stage.subject.gives:
        return [np.concatenate([dimer.first.formal, dimer.second.formal])] * len(distance)
    return [given(seen.charges) for seen in stage.see([dimer.at(float(r)) for r in distance], "charges")]


def judged(measured: Tail, name: str, *, exponent: int, opposite: bool = False) -> Verdict:
    """Exponent of the energy, and its size against the model's charges where it has any.

    Without them nobody knows the size; of two ions of ``opposite`` charge the sign is known.

    Raises:
        NotApplicable: no charges, or what there should be is below the rounding of the energies.
    """
    if measured.own and not measured.implied.any():
        return Verdict((_without_charges(measured, name),), "")
    if np.abs(measured.implied).min() < CLEAR * measured.rounding:  # all points are fitted, the farthest too
        raise NotApplicable(f"{name}: what its charges imply is below the rounding of its energies")
    plot = _plot(measured)
    if np.abs(measured.found).max() < max(10 * measured.rounding, 1e-12):
        return Verdict((_nothing(measured, name),), "", plot)
    checks = [_exponent(measured, name, exponent)]
    if measured.own:
        checks.append(_prefactor(measured, name))
    elif opposite:
        checks.append(_sign(measured, name))
    said = f"The energy falls as {_power(exponent)}" + (", as large as its charges imply." if measured.own else ".")
    return Verdict(tuple(checks), said, plot)


def _power(exponent: int) -> str:
    """1/R, 1/R², and so on."""
    return "1/R" + {1: "", 2: "²", 3: "³", 4: "⁴"}[exponent]


def _without_charges(measured: Tail, name: str) -> Check:
    """Check that where charges are zero nothing is felt.

    Raises:
        NotApplicable: nothing is.
    """
    start, found = float(measured.distance[0]), float(measured.found[0])
    tolerance = FELT * COULOMB / start**2
    if abs(found) < tolerance:
        raise NotApplicable(f"{name}: its charges are zero: nothing to judge")
    fault = f"Ions are felt at {start:.0f} Å although the charges it reports are zero: others enter its energy."
    return Check(f"{name}: slope at {start:.0f} Å", 0.0, found, tolerance, "eV/Å", fault)


def _nothing(measured: Tail, name: str) -> Check:
    start, should = measured.distance[0], float(np.abs(measured.implied[0]))
    fault = f"Nothing is felt at {start:.0f} Å, beyond the cutoff: the energy is short-ranged" + (
        ", although there are charges: their Coulomb energy is cut off." if measured.own else "."
    )
    return Check(f"{name}: slope at {start:.0f} Å", should, 0.0, PREFACTOR * should, "eV/Å", fault)


def _exponent(measured: Tail, name: str, exponent: int) -> Check:
    size = np.log(np.maximum(np.abs(measured.found), 1e-300))
    found = -float(np.polyfit(np.log(measured.distance), size, 1)[0]) - 1
    if found > exponent:
        why = "it falls too fast, as if screened or cut off"
    else:
        why = "it falls too slowly, as if charge had moved between the fragments"
    fault = f"The energy falls as 1/R^{found:.2f}, not {_power(exponent)}: {why}."
    return Check(f"{name}: exponent", float(exponent), found, EXPONENT, "", fault)


def _prefactor(measured: Tail, name: str) -> Check:
    ratio = float(np.median(measured.found / measured.implied))
    if abs(ratio + 1) < 0.05:
        why = "the sign is wrong, like charges attract"
    elif abs(ratio - 0.5) < 0.02:
        why = "a factor ½: half the potential was taken for the potential"
    elif abs(ratio - 2) < 0.05:
        why = "a factor 2: every pair is counted twice"
    else:
        why = "the charges it reports are not those that enter its energy"
    fault = f"The energy is {ratio:.3g} times what the model's charges imply: {why}."
    return Check(f"{name}: energy over that of its charges", 1.0, ratio, PREFACTOR, "", fault)


def _sign(measured: Tail, name: str) -> Check:
    sign = float(np.sign(np.median(measured.found / measured.implied)))
    fault = "Ions of opposite charge repel each other: the sign of the energy far away is wrong."
    return Check(f"{name}: sign of the slope, 1 where they attract", 1.0, sign, 0.5, "", fault)


def _plot(measured: Tail) -> Plot:
    x = tuple(measured.distance.tolist())
    whose = "its charges" if measured.own else "formal charges"
    return Plot(
        "distance (Å)", "|slope of the energy| (eV/Å)",
        (
            Curve(whose, x, tuple(np.abs(measured.implied).tolist()), "expected"),
            Curve("found", x, tuple(np.abs(measured.found).tolist())),
        ),
        logarithmic=True,
    )  # fmt: skip
