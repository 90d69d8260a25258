"""A metal lets no field through."""

from farfield.probe.finding import Check, NotApplicable, Verdict
from farfield.probe.law import RESPONSE, Law
from farfield.probe.stage import Stage
from farfield.probe.structures.metal import surface
from farfield.probe.subject import given

EXPECTED, TOLERANCE = 0.25, 0.75
"""Å before the outermost atoms: mirrors of metals stand from half an Å behind them to one before them."""


def judge(stage: Stage) -> Verdict:
    """The charge that an ion induces in a slab: at the surface before the ion, so that no field is inside.

    The slab carries -q in all. Spread evenly, its centre would be in the middle, and the ion's field in the metal.
    """
    metal = surface(stage)
    frame = metal.with_ion(metal.top + 1.1 * stage.subject.cutoff)
    charges = given(stage.see([frame], "charges")[0].charges)
    above = float(charges[-1])
    if abs(above) < 0.02:
        raise NotApplicable(f"{metal.name}: the ion carries no charge there")
    centre = -float(charges[:-1] @ frame.positions[:-1, 2]) / above
    fault = (
        f"An ion's field gets into the metal: the charge it induces is centred {metal.top - centre:.2f} Å under the "
        "outermost atoms, for the metal's charges do not respond as a conductor's (too hard, or only to what is near)."
    )
    what = f"{metal.name}: induced charge over the outermost atoms"
    check = Check(what, EXPECTED, centre - metal.top, TOLERANCE, "Å", fault)
    return Verdict((check,), "No field comes through the metal.")


LAW = Law("screening", "A metal lets no field through", judge, RESPONSE)
