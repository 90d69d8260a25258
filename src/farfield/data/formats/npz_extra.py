"""Arrays of an archive under names of their own: which are values of a frame, which of its atoms."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from farfield.data.config import TARGETS
from farfield.data.spellings import preference
from farfield.quantities import PER_ATOM

Array = NDArray[Any]
Place = Literal["frame", "atom"]

_OF_FRAME = {(), (1,), (3,), (6,), (9,), (3, 3)}
_OF_ATOM = {(), (1,), (3,), (9,), (3, 3)}


@dataclass
class Extra:
    """Arrays that frames carry besides, sorted by what they belong to."""

    of_frames: dict[str, Array] = field(default_factory=dict)  # (frames, …)
    of_atoms: dict[str, Array] = field(default_factory=dict)  # (frames, atoms, …)
    unread: list[str] = field(default_factory=list)
    guessed: list[str] = field(default_factory=list)  # where the shape allowed both, in words


def sorted_out(arrays: Mapping[str, Array], frames: int, atoms: int, taken: Collection[str]) -> Extra:
    """Put every array where its shape says, and where that is no help, its name; but none of a ``taken`` name."""
    extra = Extra()
    for name, array in arrays.items():
        places = _places(array, frames, atoms)
        if name in taken or not places:
            extra.unread.append(name)
            continue
        place = places[0] if len(places) == 1 else _by_name(name)
        if len(places) > 1:
            extra.guessed.append(f"{name} {array.shape} as one of every {place}")
        if place == "atom":
            extra.of_atoms[name] = _without_spare_axis(array, 2)
        else:
            rows = array if array.shape[:1] == (frames,) else np.broadcast_to(array.reshape(()), (frames,))
            extra.of_frames[name] = _without_spare_axis(rows, 1)
    return extra


def _places(array: Array, frames: int, atoms: int) -> list[Place]:
    """The places that the shape allows; one number for the whole file is one of every frame."""
    if array.dtype.kind not in "iufbU":
        return []
    shape, numeric = array.shape, array.dtype.kind != "U"
    places: list[Place] = []
    if (shape[:1] == (frames,) and shape[1:] in _OF_FRAME) or (numeric and shape in ((), (1,))):
        places.append("frame")
    if atoms > 1 and shape[:2] == (frames, atoms) and shape[2:] in _OF_ATOM:
        places.append("atom")
    return places


def _by_name(name: str) -> Place:
    """Place an array by its name: where its likeliest meaning belongs."""
    likely = {target: place for target in TARGETS if (place := preference(name, target)) is not None}
    best = min(likely, key=lambda target: likely[target], default=None)
    return "atom" if best in PER_ATOM else "frame"


def _without_spare_axis(array: Array, axes: int) -> Array:
    return array[..., 0] if array.ndim == axes + 1 and array.shape[-1] == 1 else array
