"""Two ions far apart: E = K q₁q₂/R."""

from farfield.probe.finding import Verdict
from farfield.probe.law import RANGE, Law
from farfield.probe.measures.asymptotics import judged, tail
from farfield.probe.stage import Stage
from farfield.probe.structures.fragments import Dimer, ions


def judge(stage: Stage) -> Verdict:
    """Cation and anion, two to four reaches apart: exponent 1, and the size its own charges imply, or attraction."""
    dimer = Dimer(*ions(stage))
    return judged(tail(stage, [(1.0, dimer)]), dimer.name, exponent=1, opposite=True)


LAW = Law("charge_charge", "Ion and ion: 1/R", judge, RANGE)
