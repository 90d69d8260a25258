"""Charges that are all zero: a model that has them in name only."""

import ase
import numpy as np

from farfield.probe.stage import Stage
from farfield.probe.subject import Floats, Refused, Unphysical, given

NOTHING = 1e-3
"""e; charges below this make no electrostatics."""


def uncharged(stage: Stage) -> tuple[str, ...]:
    """Warn of a subject that gives charges, all of them zero, on everything it is judged on and on its salt."""
    if "charges" not in stage.subject.gives:
        return ()
    frames = [atoms for _, atoms in stage.samples]
    if stage.salt is not None:
        frames.append(stage.salt.conventional(stage.salt.constant))
    seen = [charges for frame in frames if (charges := _charges(stage, frame)) is not None]
    if not seen or max(np.abs(charges).max() for charges in seen) > NOTHING:
        return ()
    return (f"Every charge of {stage.subject.name} is 0: it has no electrostatics.",)


def _charges(stage: Stage, frame: ase.Atoms) -> Floats | None:
    """Ask for the charges of one structure ``(atoms,)``, e; None where the subject does not take it."""
    try:
        return given(stage.see([frame], "charges")[0].charges)
    except (Refused, Unphysical):
        return None
