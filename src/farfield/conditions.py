"""Conditions a whole system can be under, most of them besides its charge and spin: read, checked, joined.

A batch has a tensor, a row a system, for every condition that any of its systems is under.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from farfield.errors import InputError

if TYPE_CHECKING:  # at run time only where there are values: the names are known without
    import ase
    import numpy as np
    import torch
    from torch import Tensor

    Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Condition:
    """The numbers that say it."""

    shape: tuple[int, ...] | None  # of one system's; None for a list of any length
    absent: float  # what stands, in a batch, for systems without
    expected: str  # for messages


_VECTOR = "three finite numbers"
CONDITIONS = {
    "external_field": Condition((3,), 0.0, _VECTOR),  # V/Å
    "displacement_field": Condition((3,), float("nan"), _VECTOR),  # V/Å; none is not zero, which is an open circuit
    "electrode_potentials": Condition(None, float("nan"), "a list of finite numbers"),  # V
    "fermi_level": Condition((), float("nan"), "one finite number"),  # eV
}
"""Name, of the attribute of ``System`` and in ``atoms.info``."""


HELD = (*CONDITIONS, "external_charges")
"""Keys of ``atoms.info`` that say what stays where it is when atoms are turned."""


def under(name: str, values: "Tensor") -> "Tensor":
    """Mark the systems ``(systems,)`` of a batch that are under a condition of these ``values``, a row a system."""
    given = values != 0 if CONDITIONS[name].absent == 0 else ~values.isnan()
    return given.reshape(len(values), -1).any(1)


def check_conditions(info: Mapping[str, Any], where: str = "") -> None:
    """Complain of conditions that are not finite, no numbers, or not as many as they should be.

    Raises:
        InputError: naming the condition.
    """
    for name, condition in CONDITIONS.items():
        if info.get(name) is not None and _numbers(name, info[name]) is None:
            raise InputError(f"{where}info[{name!r}] should be {condition.expected}, it is {info[name]!r}")


def read_conditions(infos: Sequence[Mapping[str, Any]], dtype: "torch.dtype") -> "dict[str, Tensor]":
    """The conditions of frames that ``check_conditions`` has passed, as a batch of them.

    Raises:
        InputError: lists of different length.
    """
    import torch

    rows = []
    for info in infos:
        given = {name: _numbers(name, info[name]) for name in CONDITIONS if info.get(name) is not None}
        rows.append({name: torch.tensor(value, dtype=dtype).unsqueeze(0) for name, value in given.items()})
    return join_conditions(rows, [1] * len(infos))


def join_conditions(parts: "Sequence[Mapping[str, Tensor]]", systems: Sequence[int]) -> "dict[str, Tensor]":
    """Conditions of several batches, of so many ``systems`` each, one after the other.

    Raises:
        InputError: lists of different length.
    """
    import torch

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


def spread(atoms: "ase.Atoms") -> None:
    """Put total charge and spin where most ASE calculators read them: in initial charges and magnetic moments.

    Every atom gets an equal share. What the structure has there already stays.
    """
    charge, spin = (float(atoms.info.get(name, 0.0)) for name in ("charge", "spin"))
    if charge and not atoms.get_initial_charges().any():
        atoms.set_initial_charges([charge / len(atoms)] * len(atoms))
    if spin and not atoms.get_initial_magnetic_moments().any():
        atoms.set_initial_magnetic_moments([spin / len(atoms)] * len(atoms))


def _numbers(name: str, given: Any) -> "Numbers | None":
    """Convert to float64 in the condition's shape; None if they are not such numbers."""
    import numpy as np

    try:
        value = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    shape = CONDITIONS[name].shape
    if shape == () and value.size == 1:
        value = value.reshape(())
    fits = value.ndim == 1 and value.size > 0 if shape is None else value.shape == shape
    return value if fits and np.isfinite(value).all() else None
