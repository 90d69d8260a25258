"""Nothing depends on how the laboratory is turned."""

import numpy as np

from farfield.probe.finding import Check, Verdict
from farfield.probe.invariance import Transformed, unchanged
from farfield.probe.stage import Stage
from farfield.probe.subject import Floats


def judge(stage: Stage) -> Verdict:
    """Crystals and molecules turned three ways: energies stay, forces, dipoles and Born charges turn along."""
    checks: list[Check] = []
    for word, atoms in stage.samples:
        changes = []
        for turn in turns(3):
            turned = atoms.copy()
            turned.set_cell(atoms.cell.array @ turn.T)
            turned.positions = atoms.positions @ turn.T
            changes.append(Transformed(turned, turn=turn))
        fault = (
            "Turning everything changes the {what}: some feature depends on the axes of the laboratory "
            "(not equivariant, or trained on turned copies in its stead)."
        )
        checks += unchanged(stage, word, atoms, changes, fault)
    return Verdict(tuple(checks), "Nothing depends on how the laboratory is turned.")


def turns(count: int) -> list[Floats]:
    """Proper rotations ``(3, 3)`` about no special axis."""
    generator, out = np.random.default_rng(3), []
    for _ in range(count):
        matrix, _ = np.linalg.qr(generator.normal(size=(3, 3)))
        out.append(matrix * np.sign(np.linalg.det(matrix)))
    return out
