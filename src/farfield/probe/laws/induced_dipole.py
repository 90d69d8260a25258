"""An ion and a molecule that it polarises, far apart: E = -K α q²/2R⁴."""

from farfield.probe.asymptotics import judged, tail
from farfield.probe.finding import NotApplicable, Verdict
from farfield.probe.fragments import Dimer, ions, symmetric
from farfield.probe.stage import Stage


def judge(stage: Stage) -> Verdict:
    """A cation in line with a molecule that has no dipole of its own: exponent 4, size of the model's charges."""
    stage.needs("charges", "charges")
    dimer = Dimer(ions(stage)[0], symmetric(stage))
    if not stage.charges_respond:
        raise NotApplicable("its charges do not answer to an ion beyond the cutoff: it has no induced dipoles")
    return judged(tail(stage, [(1.0, dimer)]), dimer.name, exponent=4)
