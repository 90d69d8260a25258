"""The order of the atoms does not matter."""

import ase
import numpy as np

from farfield.probe.finding import Check, Verdict
from farfield.probe.law import CONSISTENCY, Law
from farfield.probe.measures.invariance import Transformed, unchanged
from farfield.probe.measures.samples import each_sample
from farfield.probe.stage import Stage


def judge(stage: Stage) -> Verdict:
    """The atoms shuffled twice."""

    def one(word: str, atoms: ase.Atoms) -> list[Check]:
        changes = []
        for seed in (4, 5):
            order = np.random.default_rng(seed).permutation(len(atoms))
            shuffled = atoms[order]
            shuffled.info = atoms.info
            changes.append(Transformed(shuffled, order=order))
        fault = "The order of the atoms changes the {what}: something depends on an atom's index, not on the atom."
        return unchanged(stage, word, atoms, changes, fault)

    checks, left_out = each_sample(stage, one)
    return Verdict(checks, "The order of the atoms does not matter.", left_out=left_out)


LAW = Law("permutation", "Permutation", judge, CONSISTENCY)
