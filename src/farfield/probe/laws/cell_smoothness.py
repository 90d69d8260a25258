"""The energy has no steps while the cell breathes."""

import numpy as np

from farfield.probe.finding import Check, Curve, NotApplicable, Plot, Verdict
from farfield.probe.law import SMOOTHNESS, Law
from farfield.probe.measures.smooth import largest_steps
from farfield.probe.stage import Stage
from farfield.probe.subject import Floats

ENERGY = 2e-5
"""eV per atom that the energy may jump."""
STRAIN = 0.03


def judge(stage: Stage) -> Verdict:
    """A crystal from 3 % smaller to 3 % larger along every axis at once, finely."""
    crystal = next((atoms for word, atoms in stage.samples if word == "crystal"), None)
    if crystal is None:
        raise NotApplicable("the structures given hold no crystal")

    def energies(strains: Floats) -> list[Floats]:
        frames = []
        for strain in strains:
            strained = crystal.copy()
            strained.set_cell((1 + strain) * crystal.cell.array, scale_atoms=True)
            frames.append(strained)
        return [stage.energies(frames) / len(crystal)]

    strains = np.linspace(-STRAIN, STRAIN, 101 if stage.fast else 301)
    (energy,), (step,) = largest_steps(energies, strains)
    fault = (
        f"The energy jumps by {1e3 * step.size:.2g} meV/atom at a strain of {100 * step.at:.2f} %: waves of the "
        "reciprocal sum come and go as the cell changes (a hard cutoff in k), or neighbours do. "
        "At constant pressure, energy drifts."
    )
    tolerance = ENERGY + 3 * stage.noise(crystal) / len(crystal)
    check = Check("crystal: largest step of the energy", 0.0, step.size, tolerance, "eV/atom", fault)
    curve = Curve("found", tuple((100 * strains).tolist()), tuple((energy - energy.min()).tolist()))
    return Verdict((check,), "The energy has no steps in the cell.", Plot("strain (%)", "energy (eV/atom)", (curve,)))


LAW = Law("cell_smoothness", "No steps in the cell", judge, SMOOTHNESS)
