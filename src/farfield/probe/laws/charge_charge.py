"""Two ions far apart: E = K q₁q₂/R."""

from farfield.probe.asymptotics import judged, tail
from farfield.probe.finding import Verdict
from farfield.probe.fragments import Dimer, ions
from farfield.probe.stage import Stage


def judge(stage: Stage) -> Verdict:
    """A cation and an anion from two to four reaches: exponent 1, and the size of the model's own charges."""
    dimer = Dimer(*ions(stage))
    return judged(tail(stage, [(1.0, dimer)]), dimer.name, exponent=1)
