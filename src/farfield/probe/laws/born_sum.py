"""Acoustic sum rule: Σᵢ Zᵢ = Q 1."""

import numpy as np

from farfield.probe.finding import Check, NotApplicable, Verdict
from farfield.probe.law import RESPONSE, Law
from farfield.probe.stage import Stage
from farfield.probe.subject import given

TOLERANCE = 1e-3
"""e, times the root of the number of atoms."""


def judge(stage: Stage) -> Verdict:
    """All nine sums of the Born charges of a rattled, sheared crystal: moving everything makes no dipole."""
    stage.needs("born_charges", "Born charges")
    crystal = next((atoms for word, atoms in stage.samples if word == "crystal"), None)
    if crystal is None:
        raise NotApplicable("the structures given hold no crystal")
    born = given(stage.see([crystal], "born_charges")[0].born_charges)
    total = float(crystal.info.get("charge", 0.0))
    sums = born.sum(0)
    a, b = np.unravel_index(np.abs(sums - total * np.eye(3)).argmax(), (3, 3))
    fault = (
        "The Born charges do not sum to the total charge: moving the whole crystal makes a dipole. "
        "Charges answer to a global sum (a shift that conserves charge), or dq/dR is missing."
    )
    axes = "xyz"[int(a)] + "xyz"[int(b)]
    check = Check(
        f"crystal: Σ Z_{axes}", total if a == b else 0.0, float(sums[a, b]), TOLERANCE * len(crystal) ** 0.5, "e", fault
    )
    return Verdict((check,), "Born charges sum to the total charge.")


LAW = Law("born_sum", "Born charges sum to the total", judge, RESPONSE)
