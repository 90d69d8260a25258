"""Nothing depends on where the origin is, and momentum is conserved."""

import ase
import numpy as np

from farfield.probe.finding import Check, Verdict
from farfield.probe.law import CONSISTENCY, Law
from farfield.probe.measures.invariance import FORCE, Transformed, unchanged
from farfield.probe.measures.samples import each_sample
from farfield.probe.stage import Stage
from farfield.probe.subject import given


def judge(stage: Stage) -> Verdict:
    """Everything moved by two vectors; and forces that sum to zero."""

    def one(word: str, atoms: ase.Atoms) -> list[Check]:
        changes = []
        for move in ([0.37, -0.21, 0.53], [3.1, 4.7, -2.9]):
            moved = atoms.copy()
            moved.positions += move
            changes.append(Transformed(moved))
        fault = "Moving everything changes the {what}: something depends on the origin (a mesh too coarse, a position)."
        checks = unchanged(stage, word, atoms, changes, fault)
        forces = given(stage.see([atoms], "forces")[0].forces)
        net = float(np.abs(forces.sum(0)).max())
        tolerance = FORCE * max(1.0, float(np.abs(forces).max())) * np.sqrt(len(atoms))
        fault = "The forces do not sum to zero: the structure accelerates itself (momentum is not conserved)."
        return [*checks, Check(f"{word}: net force", 0.0, net, float(tolerance), "eV/Å", fault)]

    checks, left_out = each_sample(stage, one)
    return Verdict(checks, "Nothing depends on the origin; forces sum to zero.", left_out=left_out)


LAW = Law("translation", "Translation", judge, CONSISTENCY)
