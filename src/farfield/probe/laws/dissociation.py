"""Fragments far apart carry whole charges."""

from contextlib import suppress

import numpy as np

from farfield.probe.finding import Check, Curve, NotApplicable, Plot, Verdict
from farfield.probe.law import RANGE, Law
from farfield.probe.stage import Stage
from farfield.probe.structures.fragments import Dimer, ions, polar
from farfield.probe.subject import given

TOLERANCE = 0.05
"""e."""


def judge(stage: Stage) -> Verdict:
    """The charge of the first fragment from contact to four reaches, of two ions, and of an ion and a molecule."""
    stage.needs("charges", "charges")
    positive, negative = ions(stage)
    dimers = [Dimer(positive, negative)]
    with suppress(NotApplicable):  # the pair of ions says enough
        dimers.append(Dimer(positive, polar(stage)))
    reach = stage.subject.reach
    distance = np.geomspace(3.0, 4 * reach, 8 if stage.fast else 16)
    checks, curves = [], []
    for dimer in dimers:
        size = float(np.abs(dimer.second.atoms.positions).max())
        seen = stage.see([dimer.at(float(r) + size) for r in distance], "charges")
        charge = [float(given(one.charges)[: dimer.split].sum()) for one in seen]
        curves.append(Curve(f"{dimer.first.name} with {dimer.second.name}", tuple(distance.tolist()), tuple(charge)))
        whole = dimer.first.charge if dimer.second.charge == 0 else float(round(charge[-1]))
        fault = (
            f"{dimer.name}, {distance[-1]:.0f} Å apart, do not carry whole charges ({charge[-1]:+.2f} e on the first): "
            "equilibration lets charge flow at any distance, or what local charges miss of the total is spread."
        )
        checks.append(Check(f"{dimer.name}: charge of the first", whole, charge[-1], TOLERANCE, "e", fault))
    plot = Plot("distance (Å)", "charge of the first fragment (e)", tuple(curves))
    return Verdict(tuple(checks), "Separated fragments carry whole charges.", plot)


LAW = Law("dissociation", "Whole charges on dissociation", judge, RANGE)
