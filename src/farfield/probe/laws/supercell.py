"""A crystal described by a cell twice as large is the same crystal."""

import numpy as np

from farfield.probe.finding import Check, NotApplicable, Verdict
from farfield.probe.law import SMOOTHNESS, Law
from farfield.probe.measures.invariance import Transformed, unchanged
from farfield.probe.stage import Stage


def judge(stage: Stage) -> Verdict:
    """The cell doubled along each axis: twice the energy, the same forces and charges."""
    crystal = next((atoms for word, atoms in stage.samples if word == "crystal"), None)
    if crystal is None:
        raise NotApplicable("the structures given hold no crystal")
    changes = []
    for axis in range(1 if stage.fast else 3):
        doubled = crystal.repeat(np.where(np.arange(3) == axis, 2, 1))
        doubled.info = crystal.info | {name: 2 * float(crystal.info.get(name, 0.0)) for name in ("charge", "spin")}
        changes.append(Transformed(doubled, copies=2))
    fault = (
        "Doubling the cell changes the {what}: something counts per cell and not per volume, such as weights tied to "
        "whole k-vectors, a sum over k without 1/V, or a global average."
    )
    checks: list[Check] = unchanged(stage, "crystal", crystal, changes, fault, watched=("forces", "charges"))
    return Verdict(tuple(checks), "Twice the cell, twice the energy.")


LAW = Law("supercell", "Twice the cell, twice the energy", judge, SMOOTHNESS)
