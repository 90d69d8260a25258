"""Notices of a model's charges: those of its elements before the first epoch, and where it has none at all."""

from collections.abc import Iterable

import numpy as np
import torch

from farfield.data.statistics import Statistics
from farfield.evaluation import Evaluation
from farfield.model import Model
from farfield.notices import Notice
from farfield.probe.measures.uncharged import NOTHING
from farfield.system import System


def charge_notices(model: Model, statistics: Statistics, sample: System) -> list[Notice]:
    """Say which charges the elements of a prepared model have, and why; and warn where it will have none.

    ``sample``: a batch of the training structures.
    """
    chosen, kind = model.paradigm.element_charges, model.config.paradigm.kind
    if chosen is None:
        return []
    verb = "stand at" if chosen.stay else "start from"
    said = [Notice("note", f"charges of elements ({kind}) {verb} {chosen}{_silent(statistics.silent)}")]
    if "charges" not in model.gives:
        return said
    if chosen.stay and chosen.all_zero:
        said.append(Notice("warning", f"{kind}: every formal charge is 0, and ions far apart feel nothing. {_GIVE}"))
    elif not _largest(model, sample) > NOTHING:
        said.append(Notice("warning", f"{kind}: all charges are 0 in the training structures. {_MEANING}. {_GIVE}"))
    return said


def uncharged(kind: str, evaluations: Iterable[Evaluation]) -> list[str]:
    """Say so where a trained model that has charges makes all of them zero, in every structure it was judged on."""
    charges = [e.compared["charges"].predicted for e in evaluations if "charges" in e.compared]
    if not charges or max(float(np.nanmax(np.abs(q), initial=0.0)) for q in charges) > NOTHING:
        return []
    return [f"{kind}: every charge of this model is 0. {_MEANING}. {_GIVE}"]


_MEANING = "It has no electrostatics and is no more than short_range"
_GIVE = "Say what elements carry, e.g. model.paradigm.formal_charges: {Na: 1, Cl: -1}"


def _silent(frames: int) -> str:
    if not frames:
        return ""
    which = f"{frames} neutral frame{'s' * (frames > 1)} of one element alone"
    return f". {which} (isolated atoms, metals, molecules such as Cl₂) had no say in them"


def _largest(model: Model, sample: System) -> float:
    with torch.no_grad():
        charges = model(sample, {"charges"}).charges
    return float("inf") if charges is None else float(charges.abs().max())
