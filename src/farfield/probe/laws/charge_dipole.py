"""An ion and a polar molecule far apart: E = -K q μ cos θ/R²."""

import numpy as np

from farfield.probe.finding import Verdict
from farfield.probe.law import RANGE, Law
from farfield.probe.measures.asymptotics import judged, tail
from farfield.probe.stage import Stage
from farfield.probe.structures.fragments import Dimer, ions, polar

ABOUT = np.diag([-1.0, -1.0, 1.0])
"""Half a turn: the dipole along x turns round."""


def judge(stage: Stage) -> Verdict:
    """The molecule facing the ion less the molecule turned away: exponent 2, size of the model's charges."""
    ion, molecule = ions(stage)[0], polar(stage)
    facing, away = Dimer(ion, molecule), Dimer(ion, molecule.turned(ABOUT))
    return judged(tail(stage, [(0.5, facing), (-0.5, away)]), facing.name, exponent=2)


LAW = Law("charge_dipole", "Ion and dipole: 1/R²", judge, RANGE)
