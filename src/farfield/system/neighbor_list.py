"""Pairs of atoms near each other, found earlier."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from farfield.system.numbering import numbers_among


@dataclass(frozen=True)
class NeighborList:
    """Pairs of atoms closer than ``cutoff``; each twice (i→j and j→i), ``i == j`` only through an image.

    With a skin it holds more pairs, out to ``cutoff + skin`` when it was made, and stays complete to ``cutoff`` until
    some atom has moved by half the skin (``geometry.kept.still_complete``). A ``half`` list has every pair once: i < j,
    and of an atom's own images those whose shift is lexicographically positive.
    """

    i: Tensor  # (pairs,) int64
    j: Tensor  # (pairs,) int64
    shift: Tensor  # (pairs, 3) lattice vectors added to j, in the positions' dtype
    cutoff: float  # Å
    skin: float = 0.0  # Å
    half: bool = False
    offsets: Tensor | None = None  # (atoms + 1,) where the pairs of each atom begin, if sorted by i, then j, then shift

    def among(self, places: Tensor, atoms: int) -> "NeighborList":
        """Keep the pairs between some of all ``atoms``, at these places, numbered anew."""
        number = numbers_among(places, atoms)
        kept = (number[self.i] >= 0) & (number[self.j] >= 0)
        i, j = number[self.i[kept]], number[self.j[kept]]
        return NeighborList(i, j, self.shift[kept], self.cutoff, self.skin, self.half)


def joined_neighbors(known: Sequence[NeighborList | None], first_atom: Tensor) -> NeighborList | None:
    """Join lists of batches whose first atoms these are; None where one has none, or they are of two kinds."""
    lists = [n for n in known if n is not None]
    if len(lists) < len(known) or len({n.half for n in lists}) > 1:
        return None
    offsets = None
    if all(n.offsets is not None for n in lists):
        first_pair = np.cumsum([0] + [len(n.i) for n in lists]).tolist()
        rows = [n.offsets[:-1] + first for n, first in zip(lists, first_pair) if n.offsets is not None]
        offsets = torch.cat([*rows, rows[0].new_tensor(first_pair[-1:])])
    cutoff = min(n.cutoff for n in lists)
    return NeighborList(
        torch.cat([n.i + first for n, first in zip(lists, first_atom)]),
        torch.cat([n.j + first for n, first in zip(lists, first_atom)]),
        torch.cat([n.shift for n in lists]),
        cutoff,
        max(n.cutoff + n.skin for n in lists) - cutoff,
        lists[0].half,
        offsets,
    )
