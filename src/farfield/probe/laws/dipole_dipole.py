"""Two polar molecules far apart: E = K (μ₁·μ₂ - 3 μ₁·R̂ μ₂·R̂)/R³."""

import numpy as np

from farfield.probe.finding import Verdict
from farfield.probe.law import RANGE, Law
from farfield.probe.measures.asymptotics import judged, tail
from farfield.probe.stage import Stage
from farfield.probe.structures.fragments import Dimer, polar
from farfield.probe.subject import Floats

_ONTO_Y = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
_KEEP = np.eye(3)
ARRANGEMENTS: tuple[tuple[str, Floats, Floats], ...] = (
    ("in a line", _KEEP, np.diag([-1.0, -1.0, 1.0])),
    ("side by side", _ONTO_Y, np.diag([1.0, -1.0, -1.0]) @ _ONTO_Y),
)
"""Name, how both molecules lie, and how one lies when its dipole has turned round."""


def judge(stage: Stage) -> Verdict:
    """In a line (-2μ²/R³) and side by side (+μ²/R³), parallel less antiparallel: exponent 3, size of the charges."""
    molecule = polar(stage)
    verdicts = []
    for word, there, back in ARRANGEMENTS:
        dimers = [
            (0.25 * sign * other, Dimer(molecule.turned(one), molecule.turned(two)))
            for sign, one in ((1, there), (-1, back))
            for other, two in ((1, there), (-1, back))
        ]
        name = f"{molecule.name} and {molecule.name} {word}"
        verdicts.append(judged(tail(stage, dimers), name, exponent=3))
    checks = tuple(check for verdict in verdicts for check in verdict.checks)
    return Verdict(checks, verdicts[0].said, verdicts[0].plot)


LAW = Law("dipole_dipole", "Dipole and dipole: 1/R³", judge, RANGE)
