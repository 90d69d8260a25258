"""Contract of a backbone: atoms in, features per atom out."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from farfield.backbone.angular import cartesian_form
from farfield.geometry.neighbors import Pairs
from farfield.system import System


@dataclass(frozen=True)
class Widths:
    """Numbers of features of each kind that a backbone gives per atom."""

    scalars: int  # of all layers
    channels: int  # features of every other order, and scalars of one layer
    layers: int = 1
    highest: int = 0  # order l

    def of(self, order: int) -> int:
        """Count the features of an order l."""
        if order == 0:
            return self.scalars
        return self.channels if order <= self.highest else 0

    @property
    def vectors(self) -> int:
        """Count the features of l = 1."""
        return self.of(1)

    @property
    def tensors(self) -> int:
        """Count the features of l = 2."""
        return self.of(2)


@dataclass(frozen=True)
class Features:
    """Features of each atom, made of its surroundings within the cutoff (times the number of layers)."""

    scalars: Tensor  # (atoms, widths.scalars), invariant
    harmonics: Tensor  # (atoms, (highest + 1)², widths.channels), the last layer's; as angular.py has them
    alone: Tensor  # (elements, widths.scalars), the scalars an atom has with nobody around
    element: Tensor  # (atoms,), whose row of ``alone`` is an atom's
    pairs: Pairs  # the neighbours they were made from
    cutoff: float  # Å

    def of(self, order: int) -> Tensor:
        """Features of an order l ``(atoms, channels, 2l + 1)``, m from -l to l (angular.py); of l = 0 the scalars."""
        if order == 0:
            return self.scalars.unsqueeze(2)
        return self.harmonics[:, order * order : (order + 1) ** 2].transpose(1, 2)

    @property
    def vectors(self) -> Tensor:
        """Features of l = 1 ``(atoms, widths.vectors, 3)``, along x, y, z."""
        return _cartesian(self.harmonics, 1)

    @property
    def tensors(self) -> Tensor:
        """Features of l = 2 ``(atoms, widths.tensors, 3, 3)``: symmetric, traceless."""
        return _cartesian(self.harmonics, 2)


def _cartesian(harmonics: Tensor, order: int) -> Tensor:
    """Take harmonics of one order to tensors ``(atoms, channels, 3, …)``; no channels where there is no such order."""
    atoms, count = harmonics.shape[:2]
    axes = "ab"[:order]
    if count < (order + 1) ** 2:
        return harmonics.new_zeros(atoms, 0, *[3] * order)
    form = cartesian_form(order, harmonics).view(*[3] * order, 2 * order + 1) / math.sqrt(2 * order + 1)
    return torch.einsum(f"nmc,{axes}m->nc{axes}", harmonics[:, order * order : (order + 1) ** 2], form)


Mix = Callable[[int, System, Features], Tensor]
"""Between a layer (counted from 0) and the next: what every atom learns from whatever atoms, ``(atoms, channels)``, to
be added to its scalars, or ``(atoms, (l + 1)², channels)``, to be added to the next layer's densities but for the
scalars. The features are those of that layer alone; of an atom alone it must be 0."""


class Backbone(Protocol):
    """Anything that turns atoms into features: ours, or another code's network behind this face.

    Features are smooth in the positions (two continuous derivatives through the cutoff), invariant under translation
    and permutation, rotate as scalars, vectors and symmetric traceless tensors, and of an atom alone depend only on
    its element (and on the total charge and spin where the network was told to read them).
    """

    @property
    def widths(self) -> Widths:
        """Count the features of each kind that come out."""
        ...

    @property
    def cutoff(self) -> float:
        """Å."""
        ...

    def __call__(self, system: System, mix: Mix | None = None) -> Features:
        """Features of every atom of the batch; ``mix`` is asked between layers, if there are several."""
        ...
