"""Whoever is judged, seen through one window: structures in, what it says of them out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import ase
import numpy as np
from numpy.typing import NDArray

from farfield.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Seen:
    """Answers of a model on one structure; None where it was not asked or has nothing to say."""

    energy: float  # eV
    forces: Floats | None = None  # (atoms, 3) eV/Å
    stress: Floats | None = None  # (3, 3) eV/Å³
    charges: Floats | None = None  # (atoms,) e
    dipole: Floats | None = None  # (3,) e·Å
    born_charges: Floats | None = None  # (atoms, 3, 3) e, [i, a, b] = dd_a/dR_ib
    polarizability: Floats | None = None  # (3, 3) e²·Å²/V


class Subject(Protocol):
    """A model on trial. ``ModelSubject`` and ``CalculatorSubject`` make one of a farfield model or an ASE calculator.

    Calling it raises ``Refused`` where the model does not take a structure (an element, a total charge).
    """

    @property
    def name(self) -> str:
        """Name the subject as on the page."""
        ...

    @property
    def species(self) -> tuple[int, ...]:
        """Atomic numbers it knows."""
        ...

    @property
    def gives(self) -> frozenset[str]:
        """Name the quantities it can be asked for."""
        ...

    @property
    def reach(self) -> float:
        """Å, how far its short-range part sees: cutoff times layers."""
        ...

    @property
    def cutoff(self) -> float:
        """Å, how far one layer of its short-range part sees."""
        ...

    @property
    def batches(self) -> bool:
        """Tell whether it takes several structures at once."""
        ...

    @property
    def takes_charge(self) -> bool:
        """Tell whether it is known to read ``info["charge"]``."""
        ...

    @property
    def takes_field(self) -> bool:
        """Tell whether ``info["external_field"]`` (V/Å) acts on it."""
        ...

    def total_charge(self, numbers: Sequence[int]) -> float:
        """The total charge (e) that it takes for these atoms where any will do: 0 unless it has no choice."""
        ...

    def __call__(self, frames: Sequence[ase.Atoms], want: frozenset[str]) -> list[Seen]:
        """Predict each structure; total charge and field are in ``info``."""
        ...


class Refused(InputError):
    """The model does not take this structure."""


class Unphysical(Exception):
    """Output of a model that is not what it says it is: no number, or of another shape."""


def given(value: Floats | None) -> Floats:
    """A quantity that was asked for.

    Raises:
        Refused: it did not come.
    """
    if value is None:
        raise Refused("the model did not give what it promised")
    return value


def array(value: Any) -> Floats:
    """Convert to float64."""
    return np.asarray(value, dtype=np.float64)
