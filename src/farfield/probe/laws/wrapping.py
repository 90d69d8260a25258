"""Atoms moved by whole lattice vectors are the same crystal."""

import numpy as np

from farfield.probe.finding import NotApplicable, Verdict
from farfield.probe.law import CONSISTENCY, Law
from farfield.probe.measures.invariance import Transformed, unchanged
from farfield.probe.stage import Stage


def judge(stage: Stage) -> Verdict:
    """Every third atom of a crystal in another image of the cell; and the whole crystal in a cell of another origin."""
    crystal = next((atoms for word, atoms in stage.samples if word == "crystal"), None)
    if crystal is None:
        raise NotApplicable("the structures given hold no crystal")
    scattered, centred = crystal.copy(), crystal.copy()
    images = np.random.default_rng(7).integers(-2, 3, size=(len(crystal), 3))
    images[np.arange(len(crystal)) % 3 != 0] = 0
    scattered.positions += images @ crystal.cell.array
    centred.positions += 0.41 * crystal.cell.array.sum(0)
    centred.wrap()
    fault = (
        "Moving ions by lattice vectors changes the {what}: positions enter where minimum images must, "
        "for example in a dipole Σqr of a periodic system."
    )
    checks = unchanged(stage, "crystal", crystal, [Transformed(scattered), Transformed(centred)], fault)
    return Verdict(tuple(checks), "Wrapping ions and moving the origin change nothing.")


LAW = Law("wrapping", "Wrapping and origin", judge, CONSISTENCY)
