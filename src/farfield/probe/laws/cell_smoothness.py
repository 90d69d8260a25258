"""The energy has no steps while the cell breathes."""

import numpy as np

from farfield.probe.finding import Check, Curve, NotApplicable, Plot, Verdict
from farfield.probe.smooth import largest_step
from farfield.probe.stage import Stage

ENERGY = 2e-5
"""eV per atom that the energy may jump."""
STRAIN = 0.03


def judge(stage: Stage) -> Verdict:
    """A crystal from 3 % smaller to 3 % larger along each axis, finely."""
    crystal = next((atoms for word, atoms in stage.samples if word == "crystal"), None)
    if crystal is None:
        raise NotApplicable("the structures given hold no crystal")
    strains = np.linspace(-STRAIN, STRAIN, 101 if stage.fast else 301)
    frames = []
    for strain in strains:
        strained = crystal.copy()
        strained.set_cell((1 + strain) * crystal.cell.array, scale_atoms=True)
        frames.append(strained)
    energy = stage.energies(frames) / len(crystal)
    step, at = largest_step(energy)
    fault = (
        f"The energy jumps by {1e3 * step:.2g} meV/atom at a strain of {100 * strains[at]:.2f} %: waves of the reciprocal "
        "sum come and go as the cell changes (a hard cutoff in k), or neighbours do. At constant pressure energy drifts."
    )
    tolerance = ENERGY + 3 * stage.noise(crystal) / len(crystal)
    check = Check("crystal: largest step of the energy", 0.0, step, tolerance, "eV/atom", fault)
    curve = Curve("found", tuple((100 * strains).tolist()), tuple((energy - energy.min()).tolist()))
    return Verdict((check,), "The energy has no steps in the cell.", Plot("strain (%)", "energy (eV/atom)", (curve,)))
