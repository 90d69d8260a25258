"""Conditions a whole system can be under besides its charge and spin: read, checked, joined.

A batch has a tensor, a row a system, for every condition that any of its systems is under.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from farfield.errors import InputError


@dataclass(frozen=True)
class Condition:
    """What says it."""

    count: int | None  # how many numbers; 0 for one that is no list, None for a list of any length
    absent: float  # what stands, in a batch, for systems without


CONDITIONS = {
    "external_field": Condition(3, 0.0),  # V/Å
    "displacement_field": Condition(3, float("nan")),  # V/Å; none is not zero, which is an open circuit
    "electrode_potentials": Condition(None, float("nan")),  # V
    "fermi_level": Condition(0, float("nan")),  # eV
}
"""Name, of the attribute of ``System`` and in ``atoms.info``."""


def under(name: str, values: Tensor) -> Tensor:
    """Which systems ``(systems,)`` of a batch are under a condition of these ``values``, a row a system."""
    given = values != 0 if CONDITIONS[name].absent == 0 else ~values.isnan()
    return given.reshape(len(values), -1).any(1)


def check_conditions(info: Mapping[str, Any], where: str = "") -> None:
    """Complain of conditions that are not finite, no numbers, or not as many as they should be.

    Raises:
        InputError: naming the condition.
    """
    for name, condition in CONDITIONS.items():
        if info.get(name) is None:
            continue
        value, count = _numbers(info[name]), condition.count
        fits = value.ndim == (0 if count == 0 else 1) and value.size > 0 and (not count or len(value) == count)
        if not fits or not np.isfinite(value).all():
            expected = {0: "one finite number", 3: "three finite numbers"}.get(count or 0, "")
            expected = expected if count is not None else "a list of finite numbers"
            raise InputError(f"{where}info[{name!r}] should be {expected}, it is {info[name]!r}")


def read_conditions(infos: Sequence[Mapping[str, Any]], dtype: torch.dtype) -> dict[str, Tensor]:
    """The conditions of frames that ``check_conditions`` has passed, as a batch of them.

    Raises:
        InputError: lists of different length.
    """
    single = [
        {
            name: torch.tensor(_numbers(info[name]), dtype=dtype).unsqueeze(0)
            for name in CONDITIONS
            if info.get(name) is not None
        }
        for info in infos
    ]
    return join_conditions(single, [1] * len(infos))


def join_conditions(parts: Sequence[Mapping[str, Tensor]], systems: Sequence[int]) -> dict[str, Tensor]:
    """Conditions of several batches, of so many ``systems`` each, one after the other.

    Raises:
        InputError: lists of different length.
    """
    joined = {}
    for name, condition in CONDITIONS.items():
        given = [part[name] for part in parts if name in part]
        if not given:
            continue
        if len(lengths := {rows.shape[1:] for rows in given}) > 1:
            counts = " and ".join(str(shape[0]) for shape in sorted(lengths))
            raise InputError(f"structures with {counts} {name} cannot be in one batch: give all of them as many")
        joined[name] = torch.cat(
            [
                part.get(name, given[0].new_full((count, *given[0].shape[1:]), condition.absent))
                for part, count in zip(parts, systems)
            ]
        )
    return joined


def _numbers(value: Any) -> np.ndarray[Any, Any]:
    """As float64; nan if they are no numbers."""
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return np.asarray(np.nan)
