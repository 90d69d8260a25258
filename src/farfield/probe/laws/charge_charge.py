"""Two ions far apart: E = K q₁q₂/R."""

import numpy as np

from farfield.probe.asymptotics import judged, tail
from farfield.probe.finding import Verdict
from farfield.probe.fragments import Dimer, ions
from farfield.probe.stage import Stage
from farfield.units import COULOMB


def judge(stage: Stage) -> Verdict:
    """A cation and an anion from two to four reaches: exponent 1, and the size of the model's own charges."""
    dimer = Dimer(*ions(stage))
    measured = tail(stage, [(1.0, dimer)])
    ideal = -COULOMB * dimer.first.charge * dimer.second.charge / np.square(measured.distance)
    return judged(measured, dimer.name, exponent=1, ideal=ideal)
