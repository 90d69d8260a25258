"""What a backbone promises: atoms in, features per atom out."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from farfield.geometry.neighbors import Pairs
from farfield.system import System


@dataclass(frozen=True)
class Widths:
    """How many features of each kind a backbone gives per atom."""

    scalars: int
    vectors: int
    tensors: int


@dataclass(frozen=True)
class Features:
    """What each atom knows of its surroundings within the cutoff (times the number of layers)."""

    scalars: Tensor  # (atoms, widths.scalars), invariant
    vectors: Tensor  # (atoms, widths.vectors, 3), l = 1
    tensors: Tensor  # (atoms, widths.tensors, 3, 3), l = 2: symmetric, traceless
    alone: Tensor  # (elements, widths.scalars), the scalars an atom has with nobody around
    element: Tensor  # (atoms,), whose row of ``alone`` is an atom's
    pairs: Pairs  # the neighbours they were made from
    cutoff: float  # Å


class Backbone(Protocol):
    """Anything that turns atoms into features: ours, or another code's network behind this face.

    Features are smooth in the positions (two continuous derivatives through the cutoff), invariant under translation
    and permutation, rotate as scalars, vectors and symmetric traceless tensors, and of an atom alone depend only on
    its element (and on the total charge and spin where the network was told to read them).
    """

    @property
    def widths(self) -> Widths:
        """How many features of each kind come out."""
        ...

    @property
    def cutoff(self) -> float:
        """Å."""
        ...

    def __call__(self, system: System) -> Features:
        """Features of every atom of the batch."""
        ...
