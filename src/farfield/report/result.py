"""Result that a finished run hands to the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from farfield.data.statistics import Statistics
from farfield.evaluation import Evaluation
from farfield.probe import Scorecard

SPLITS = ("train", "valid", "test")
SPLIT_NAMES = {"train": "training", "valid": "validation", "test": "test"}


@dataclass(frozen=True, eq=False)
class RunResult:
    """One trained model: how it was made and how well it does."""

    name: str  # what it is called on the page, as a rule the word of its paradigm
    evaluations: Mapping[str, Evaluation]  # by split: "train", "valid", "test"
    kind: str = ""  # the word of its paradigm, where the name is another
    config: Mapping[str, Any] = field(default_factory=dict)  # as run
    history: Sequence[Mapping[str, float]] = ()  # an epoch a row: epoch, seconds, learning_rate, train_loss, ...
    parameters: int = 0  # trainable numbers
    train_seconds: float = float("nan")
    versions: Mapping[str, str] = field(default_factory=dict)  # of farfield and what it stands on
    warnings: Sequence[str] = ()  # what nobody may miss
    notes: Sequence[str] = ()  # remarks a reader should see
    statistics: Statistics | None = None  # of the training set
    scorecard: Scorecard | None = None  # the laws of physics it was judged by


def splits_of(runs: Sequence[RunResult]) -> list[str]:
    """Splits that any run was evaluated on, in reading order."""
    found = {split for run in runs for split in run.evaluations}
    return [s for s in SPLITS if s in found] + sorted(found - set(SPLITS))


def headline_split(runs: Sequence[RunResult]) -> str | None:
    """The split that counts: test, else validation, else whatever there is."""
    found = splits_of(runs)
    return next((s for s in ("test", "valid") if s in found), found[0] if found else None)


def longest_trained(runs: Sequence[RunResult], group: str | None = None) -> float:
    """Å: the largest distance in training (of one group, or of all); nan where none is known."""
    longest = float("nan")
    for run in runs:
        if (train := run.evaluations.get("train")) is not None:
            mine = np.full(train.n_frames, True) if group is None else train.group == group
            longest = float(np.fmax(longest, np.fmax.reduce(train.distance[mine], initial=np.nan)))
    return longest
