"""Pairs taken once: what two atoms see of each other is the same up to the parity of the harmonics, (-1)^l."""

from dataclasses import dataclass

import torch
from torch import Tensor

from farfield.geometry.neighbors import Pairs


@dataclass(frozen=True)
class BondTable:
    """Every pair once, and for each atom its visits: the bonds it belongs to, by atom and in a fixed order."""

    vector: Tensor  # (bonds, 3), from the first atom to the second, Å
    distance: Tensor  # (bonds,), Å
    ends: Tensor  # (bonds, 2), the first and the second atom
    visits: Tensor  # (2 · bonds, 3), bond, atom at its other end, +1 seen from the first atom, -1 from the second
    start: Tensor  # (atoms + 1,), the visits of atom i are start[i] to start[i + 1]


def bonds_of(pairs: Pairs, atoms: int) -> BondTable:
    """The bonds of pairs that hold each of them twice, i→j and j→i (of an atom and its own image: v and -v)."""
    once = torch.nonzero((pairs.i < pairs.j) | (pairs.i == pairs.j) & _upwards(pairs.vector.detach()))[:, 0]
    i, j = pairs.i[once], pairs.j[once]
    number = torch.arange(len(once), device=i.device)
    here, side = torch.cat([i, j]), torch.ones_like(number)
    visits = torch.stack([number.repeat(2), torch.cat([j, i]), torch.cat([side, -side])], 1)
    start = here.new_zeros(atoms + 1)
    start[1:] = torch.bincount(here, minlength=atoms).cumsum(0)
    return BondTable(
        pairs.vector.index_select(0, once),
        pairs.distance.index_select(0, once),
        torch.stack([i, j], 1),
        visits[torch.argsort(here, stable=True)],
        start,
    )


def _upwards(vector: Tensor) -> Tensor:
    """One of v and -v: the first component that is not zero is positive."""
    x, y, z = vector.unbind(1)
    return (x > 0) | (x == 0) & ((y > 0) | (y == 0) & (z > 0))
