"""σ = (1/V) dE/dε: the stress is the slope of the energy with strain, tension positive."""

import numpy as np

from farfield.probe.finding import Check, NotApplicable, Verdict
from farfield.probe.stage import EXACT, Stage
from farfield.probe.subject import Floats, given

FINE, COARSE = 3e-4, 2e-3
"""Strains, in double precision and where energies are rounded."""

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
    volume = crystal.get_volume()
    noise = stage.noise(crystal)
    step = FINE if noise < EXACT else COARSE
    tolerance = 1e-3 * max(1.0, 0.1 * len(crystal)) + 3 * noise / step
    slopes, found = [], []
    for way in _WAYS.values():
        frames = []
        for steps in (-2, -1, 1, 2):
            strained = crystal.copy()
            strained.set_cell(crystal.cell.array @ (np.eye(3) + steps * step * way), scale_atoms=True)
            frames.append(strained)
        slopes.append(float(stage.energies(frames) @ np.array([1, -8, 8, -1]) / (12 * step)))
        found.append(float(volume * (stress * way).sum()))
    fault = _fault(np.array(slopes), np.array(found))
    checks = [
        Check(f"{word}: volume × stress", slope, here, tolerance, "eV", fault)
        for word, slope, here in zip(_WAYS, slopes, found)
    ]
    return Verdict(tuple(checks), "Stress is the slope of the energy with strain.")


def _fault(slopes: Floats, found: Floats) -> str:
    ratio = float(found @ slopes) / max(float(slopes @ slopes), 1e-300)
    if abs(ratio + 1) < 0.02:
        return "The stress has the wrong sign: it must be (1/V) dE/dε, positive under tension."
    if np.abs(found - ratio * slopes).max() < 0.02 * np.abs(slopes).max() and abs(ratio - 1) > 0.02:
        return f"The stress is {ratio:.3g} times what it must be: a wrong unit or volume."
    return "The stress is not the slope of the energy with strain: a term of the virial is missing, often dq/dε."
