"""σ = (1/V) dE/dε: the stress is the slope of the energy with strain, tension positive."""

from collections.abc import Callable

import ase
import numpy as np

from farfield.probe.finding import Check, NotApplicable, Verdict
from farfield.probe.law import CONSISTENCY, Law
from farfield.probe.measures.slopes import nearest_slopes
from farfield.probe.stage import Stage
from farfield.probe.subject import Floats, given

STEPS = (3e-4, 2e-3)
"""Strains, fine and coarse."""

PER_TEN = 1e-3
"""eV of volume × stress per ten atoms."""
RELATIVE = 2e-4
"""Part of the largest volume × stress, where that is more: as for forces."""

_WAYS = {
    "volume": np.eye(3) / np.sqrt(3),
    "stretch along x": np.diag([1.0, 0, 0]),
    "shear yz": np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0]]) / np.sqrt(2),
    "shear xy": np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]]) / np.sqrt(2),
}


def judge(stage: Stage) -> Verdict:
    """Volume × stress against fourth-order differences of the energy under four strains of a crystal."""
    stage.needs("stress", "stress")
    crystal = next((atoms for word, atoms in stage.samples if word == "crystal"), None)
    if crystal is None:
        raise NotApplicable("the structures given hold no crystal")
    stress = given(stage.see([crystal], "stress")[0].stress)
    found = np.array([crystal.get_volume() * float((stress * way).sum()) for way in _WAYS.values()])
    strains = [_strained(crystal, way) for way in _WAYS.values()]
    slopes, rounding = nearest_slopes(stage, strains, found, STEPS, stage.noise(crystal))
    tolerance = max(PER_TEN * max(1.0, 0.1 * len(crystal)), RELATIVE * float(np.abs(slopes).max())) + rounding
    fault = _fault(slopes, found)
    checks = [
        Check(f"{word}: volume × stress", float(slope), float(here), tolerance, "eV", fault)
        for word, slope, here in zip(_WAYS, slopes, found)
    ]
    return Verdict(tuple(checks), "Stress is the slope of the energy with strain.")


LAW = Law("stress", "Stress is the slope with strain", judge, CONSISTENCY)


def _strained(crystal: ase.Atoms, way: Floats) -> Callable[[float], ase.Atoms]:
    def at(size: float) -> ase.Atoms:
        strained = crystal.copy()
        strained.set_cell(crystal.cell.array @ (np.eye(3) + size * way), scale_atoms=True)
        return strained

    return at


def _fault(slopes: Floats, found: Floats) -> str:
    ratio = float(found @ slopes) / max(float(slopes @ slopes), 1e-300)
    if abs(ratio + 1) < 0.02:
        return "The stress has the wrong sign: it must be (1/V) dE/dε, positive under tension."
    if np.abs(found - ratio * slopes).max() < 0.02 * np.abs(slopes).max() and abs(ratio - 1) > 0.02:
        return f"The stress is {ratio:.3g} times what it must be: a wrong unit or volume."
    return "The stress is not the slope of the energy with strain: a term of the virial is missing, often dq/dε."
