"""Nothing depends on how the laboratory is turned."""

import ase
import numpy as np

from farfield.probe.finding import Check, Verdict
from farfield.probe.law import CONSISTENCY, Law
from farfield.probe.measures.invariance import Transformed, unchanged
from farfield.probe.measures.samples import each_sample
from farfield.probe.stage import Stage
from farfield.probe.subject import Floats


def judge(stage: Stage) -> Verdict:
    """Crystals and molecules turned three ways: energies stay, forces, dipoles and Born charges turn along."""

    def one(word: str, atoms: ase.Atoms) -> list[Check]:
        changes = []
        for turn in turns(3):
            turned = atoms.copy()
            turned.set_cell(atoms.cell.array @ turn.T)
            centre = atoms.positions.mean(0)  # which stays: where things are is for the law of translation to judge
            turned.positions = (atoms.positions - centre) @ turn.T + centre
            changes.append(Transformed(turned, turn=turn))
        fault = (
            "Turning everything changes the {what}: some feature depends on the axes of the laboratory "
            "(not equivariant, or trained on turned copies in its stead)."
        )
        return unchanged(stage, word, atoms, changes, fault)

    checks, left_out = each_sample(stage, one)
    return Verdict(checks, "Nothing depends on how the laboratory is turned.", left_out=left_out)


LAW = Law("rotation", "Rotation", judge, CONSISTENCY)


def turns(count: int) -> list[Floats]:
    """Proper rotations ``(3, 3)`` about no special axis."""
    generator, out = np.random.default_rng(3), []
    for _ in range(count):
        matrix, _ = np.linalg.qr(generator.normal(size=(3, 3)))
        out.append(matrix * np.sign(np.linalg.det(matrix)))
    return out
