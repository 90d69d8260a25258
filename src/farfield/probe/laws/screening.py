"""A metal lets no field through."""

import numpy as np

from farfield.probe.finding import Check, NotApplicable, Verdict
from farfield.probe.metal import surface
from farfield.probe.stage import Stage
from farfield.probe.subject import given
from farfield.units import COULOMB

TOLERANCE = 0.05
"""Part of the field without the metal."""


def judge(stage: Stage) -> Verdict:
    """The field at an ion under a slab, with and without another ion above it, over the bare field 2πKq/A."""
    metal = surface(stage)
    height = metal.top + 1.2 * stage.subject.cutoff
    both, alone = stage.see([metal.with_ions(-height, height), metal.with_ions(-height)], "forces", "charges")
    below = [given(seen.charges)[len(metal.slab)] for seen in (both, alone)]
    above = float(given(both.charges)[-1])
    if min(map(abs, (*below, above))) < 0.02:
        raise NotApplicable(f"{metal.name}: the ions carry no charge there")
    field = [float(given(seen.forces)[len(metal.slab), 2]) / q for seen, q in zip((both, alone), below)]
    bare = 2 * np.pi * COULOMB * abs(above) / metal.area
    passed = float((field[0] - field[1]) / bare)
    fault = (
        f"{100 * abs(passed):.0f} % of an ion's field comes through four layers of metal: "
        "the metal's charges do not respond as a conductor's (too hard, or only to what is near)."
    )
    check = Check(f"{metal.name}: part of the field that comes through", 0.0, passed, TOLERANCE, "", fault)
    return Verdict((check,), "No field comes through the metal.")
