"""An ion and a molecule that it polarises, far apart: E = -K α q²/2R⁴."""

from dataclasses import replace

import numpy as np

from farfield.probe.finding import NotApplicable, Verdict
from farfield.probe.law import RANGE, Law
from farfield.probe.measures.asymptotics import judged, tail
from farfield.probe.stage import Stage
from farfield.probe.structures.fragments import Dimer, ions, symmetric
from farfield.probe.subject import given
from farfield.units import COULOMB

QUARTER = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
"""A turn about z."""


def judge(stage: Stage) -> Verdict:
    """A cation in line with a molecule that has no dipole of its own: exponent 4, and a size.

    The size is that of the model's charges where they answer, of its own polarizability where only dipoles do.
    """
    stage.needs("charges", "charges")
    dimer = Dimer(ions(stage)[0], symmetric(stage))
    if stage.charges_respond:
        return judged(tail(stage, [(1.0, dimer)]), dimer.name, exponent=4)
    if "polarizability" not in stage.subject.gives:
        raise NotApplicable("neither its charges nor dipoles answer to an ion beyond the cutoff")
    mean = np.trace(given(stage.see([dimer.second.alone], "polarizability")[0].polarizability))  # three times
    across = Dimer(dimer.first, dimer.second.turned(QUARTER))
    measured = tail(stage, [(1.0, dimer), (2.0, across)])  # of an axial quadrupole nothing is left
    slope = 2 * mean * (COULOMB * dimer.first.charge) ** 2 / measured.distance**5
    return judged(replace(measured, implied=slope), dimer.name, exponent=4)


LAW = Law("induced_dipole", "Ion and induced dipole: 1/R⁴", judge, RANGE)
