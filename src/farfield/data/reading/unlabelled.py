"""Labels that mean nothing, and targets that were asked for and of which nothing is left."""

from collections.abc import Sequence
from dataclasses import replace

import ase
from torch import Tensor

from farfield.data.config import DataConfig
from farfield.data.frame import Frame
from farfield.data.keys import find_value
from farfield.notices import Notice, OnNotice


def stresses_of_no_crystal(structures: Sequence[ase.Atoms], config: DataConfig) -> int:
    """Count the frames that carry a stress and are not periodic along three axes."""
    keys = config.targets.get("stress", {}).values()
    others = [atoms for atoms in structures if not atoms.pbc.all()]
    return sum(any(find_value(atoms, "stress", key) is not None for key in keys) for atoms in others)


def without_empty_targets(frames: list[Frame], stresses: int, on_notice: OnNotice) -> list[Frame]:
    """The frames without targets that none of them has a finite label of, so that no error of 0 is reported.

    ``on_notice`` hears of them, and of the ``stresses`` that have been left out.
    """
    empty = [name for name in sorted(frames[0].labels.targets) if not any(has_label(f, name) for f in frames)]
    if stresses:
        of_all = "; none is left" if "stress" in empty else ""
        said = f"stress of {stresses} of {len(frames)} frames left out: not periodic along three axes{of_all}"
        on_notice(Notice("warning" if of_all else "note", said))
    for name in empty:
        if name != "stress" or not stresses:
            on_notice(Notice("warning", f"{name} is left out: none of {len(frames)} frames has one"))
    if not empty:
        return frames
    nothing = dict.fromkeys(empty)
    return [replace(frame, labels=replace(frame.labels, **nothing)) for frame in frames]


def has_label(frame: Frame, target: str) -> bool:
    """Tell whether any number of that target is known."""
    value: Tensor | None = getattr(frame.labels, target)
    return value is not None and bool(value.isfinite().any())
