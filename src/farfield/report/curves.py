"""A quantity of frames along their distance, group by group."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from farfield.evaluation import Compared, Evaluation
from farfield.evaluation.record import Floats
from farfield.report.result import RunResult, splits_of

Quantity = Callable[[Evaluation], "Compared | None"]
"""A number a frame, by the reference and by the model; None where the model has nothing to say."""


@dataclass(frozen=True, eq=False)
class DistanceCurve:
    """One quantity of one group by one run, over all splits, ascending in distance."""

    distance: Floats  # (points,) Å
    reference: Floats  # (points,) nan where there is no label
    predicted: Floats  # (points,)


def binding(evaluation: Evaluation) -> Compared | None:
    """Binding energies, eV."""
    return evaluation.compared.get("binding")


def fragment_charge(evaluation: Evaluation) -> Compared | None:
    """Total charge that the atoms of the first fragment end up with, e."""
    charges = evaluation.compared.get("charges")
    if charges is None:
        return None
    return Compared(
        evaluation.first_fragment_charge(charges.reference), evaluation.first_fragment_charge(charges.predicted)
    )


def curve(run: RunResult, group: str, quantity: Quantity) -> DistanceCurve | None:
    """Collect what a run says of a group along the distance; None where it says nothing."""
    parts = []
    for split in splits_of([run]):
        evaluation = run.evaluations[split]
        if (both := quantity(evaluation)) is not None:
            here = (evaluation.group == group) & np.isfinite(evaluation.distance) & np.isfinite(both.predicted)
            parts.append(np.stack([evaluation.distance[here], both.reference[here], both.predicted[here]]))
    found = np.concatenate(parts, axis=1) if parts else np.empty((3, 0))
    if not found.shape[1]:
        return None
    return DistanceCurve(*found[:, np.argsort(found[0], kind="stable")])


def groups_along_distance(runs: Sequence[RunResult], quantity: Quantity) -> list[str]:
    """Groups of which any run has a curve, in the order of the frames."""
    names = (str(g) for run in runs for split in splits_of([run]) for g in run.evaluations[split].group)
    return [g for g in dict.fromkeys(names) if any(curve(run, g, quantity) is not None for run in runs)]


def smooth(x: Floats, y: Floats, *, neighbors: int = 5, points: int = 160) -> tuple[Floats, Floats]:
    """The trend of scattered values: local straight lines in log x, weighted by nearness.

    The window reaches as many ``neighbors`` however sparse they are, so that frames of different orientation at
    similar distances are averaged and a curve without scatter is left as it is.
    """
    if len(np.unique(x)) < 4:
        return x, y
    at = np.linspace(np.log(x[0]), np.log(x[-1]), points)
    reach = min(neighbors, len(x)) - 1
    offset = np.log(x)[None] - at[:, None]
    width = np.maximum(0.03, 0.7 * np.partition(np.abs(offset), reach, axis=1)[:, reach])
    weight = np.exp(-0.5 * (offset / width[:, None]) ** 2)
    weight /= weight.sum(1, keepdims=True)
    mean_x, mean_y = (weight * offset).sum(1), weight @ y
    variance = (weight * (offset - mean_x[:, None]) ** 2).sum(1)
    slope = (weight * (offset - mean_x[:, None]) * y).sum(1) / np.maximum(variance, 1e-12)
    return np.exp(at), mean_y - slope * mean_x
