"""Softness of a bond, how willingly it hands charge over: smoothly not at all at the cutoff."""

import torch
from torch import Tensor, nn

from farfield.backbone.contract import Features, Widths
from farfield.backbone.linear import UnitLinear
from farfield.backbone.radial import envelope
from farfield.response import Bonds

START = -1.5
"""Of what softplus makes the root of the softness: a few neighbours then level out most of what a bond could."""


class BondSoftness(nn.Module):
    """√s of every pair of neighbours, alike from either side; 1/s is the bond's hardness."""

    def __init__(self, widths: Widths, hidden: int = 16) -> None:
        super().__init__()
        self.end = UnitLinear(widths.scalars, hidden)
        self.length = nn.Linear(1, hidden)
        self.out = UnitLinear(hidden, 1)

    def forward(self, features: Features, field: Tensor) -> tuple[Bonds, Tensor]:
        """The bonds, each once, in fields ``(atoms, 3)``, V/Å, and their vectors ``(bonds, 3)``, Å, from i to j."""
        pairs = features.pairs
        once = ((pairs.i < pairs.j) | ((pairs.i == pairs.j) & _forward(pairs.vector.detach()))).nonzero().squeeze(1)
        i, j, vector = pairs.i[once], pairs.j[once], pairs.vector[once]
        x = pairs.distance[once, None] / features.cutoff
        ends = self.end(features.scalars)
        hidden = nn.functional.silu(ends[i] + ends[j] + self.length(x))
        root = nn.functional.softplus(self.out(hidden) + START) * envelope(x)
        return Bonds(i, j, torch.as_tensor(root[:, 0]), -(field[i] * vector).sum(1)), vector


def _forward(vector: Tensor) -> Tensor:
    """One of every vector and its opposite: that whose first component other than zero is positive."""
    sign = vector.sign()
    return (9 * sign[:, 0] + 3 * sign[:, 1] + sign[:, 2]) > 0
