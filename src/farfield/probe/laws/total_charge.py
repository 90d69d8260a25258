"""Atomic charges sum to the total charge."""

import ase

from farfield.probe.finding import Check, Verdict
from farfield.probe.law import CONSISTENCY, Law
from farfield.probe.measures.samples import each_sample
from farfield.probe.stage import Stage
from farfield.probe.subject import Refused, given

TOLERANCE = 1e-4
"""e."""


def judge(stage: Stage) -> Verdict:
    """Crystals and molecules with their total charge, molecules with one electron more and less where it takes any."""
    stage.needs("charges", "charges")

    def one(word: str, atoms: ase.Atoms) -> list[Check]:
        checks: list[Check] = []
        own = float(atoms.info.get("charge", 0.0))
        others = (own + 1, own - 1) if word == "molecule" and stage.subject.takes_charge else ()
        for total in (own, *others):
            frame = atoms.copy()
            frame.info["charge"] = total
            try:
                found = float(given(stage.see([frame], "charges")[0].charges).sum())
            except Refused:
                if total == own:
                    raise
                continue  # fixed charges take no other total
            fault = (
                f"The charges sum to {found:+.4f} e where the total is {total:+g} e: "
                "charge is not conserved, or the total charge is not read."
            )
            checks.append(Check(f"{word}: sum of the charges", total, found, TOLERANCE * len(atoms) ** 0.5, "e", fault))
        return checks

    checks, left_out = each_sample(stage, one)
    return Verdict(checks, "Charges sum to the total charge.", left_out=left_out)


LAW = Law("total_charge", "Charges sum to the total", judge, CONSISTENCY)
