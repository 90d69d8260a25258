"""Mirror images have the same energy."""

import ase
import numpy as np

from farfield.probe.finding import Check, Verdict
from farfield.probe.law import CONSISTENCY, Law
from farfield.probe.measures.invariance import Transformed, unchanged
from farfield.probe.measures.samples import each_sample
from farfield.probe.stage import Stage


def judge(stage: Stage) -> Verdict:
    """Everything inverted through a point, r → -r: what is left of a mirror once rotations are taken out of it."""

    def one(word: str, atoms: ase.Atoms) -> list[Check]:
        inverted = atoms.copy()
        inverted.set_cell(-atoms.cell.array)
        inverted.positions = 2 * atoms.positions.mean(0) - atoms.positions  # the centre stays, as in rotation
        fault = (
            "A mirror image has another {what}: a pseudoscalar (a triple product) enters the energy, "
            "so that left and right hands differ."
        )
        return unchanged(stage, word, atoms, [Transformed(inverted, turn=-np.eye(3))], fault)

    checks, left_out = each_sample(stage, one)
    return Verdict(checks, "Mirror images are alike.", left_out=left_out)


LAW = Law("reflection", "Reflection", judge, CONSISTENCY)
