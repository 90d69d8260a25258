"""Invariants of projections: themselves for l = 0, products of equal l, and products with the backbone's features."""

import math

import torch
from torch import Tensor, nn

from farfield.backbone.contract import Features, Widths
from farfield.backbone.linear import UnitLinear


class Invariants(nn.Module):
    """Learned combinations A, B of projections, and F of features, for every l:

    V_00 → A_0;    V_lm → Σ_m A_lm B_lm/√(2l+1), Σ_m A_lm F_lm/(2l+1)

    All vanish with the potential. Those linear in it come first: ``linear`` of them.
    """

    def __init__(self, columns: int, order: int, widths: Widths, mixed: int) -> None:
        super().__init__()
        self.order = order
        self.met = [n for n in range(1, order + 1) if widths.of(n)]
        self.one = nn.ModuleList(UnitLinear(columns, mixed) for _ in range(order + 1))
        self.two = nn.ModuleList(UnitLinear(columns, mixed) for _ in range(order))
        self.of_features = nn.ModuleList(UnitLinear(widths.of(n), mixed) for n in self.met)
        self.linear = mixed * (1 + len(self.met))
        self.count = self.linear + mixed * order

    def forward(self, projected: Tensor, features: Features) -> Tensor:
        """``(atoms, widths, lm, channels)`` to ``(atoms, count)``."""
        columns = projected.permute(0, 2, 1, 3).flatten(2)
        rows = [columns[:, n * n : (n + 1) ** 2] for n in range(self.order + 1)]
        first = [mix(row) for mix, row in zip(self.one, rows)]
        second = [mix(row) for mix, row in zip(self.two, rows[1:])]
        found = [first[0][:, 0]]
        for n, mix in zip(self.met, self.of_features):
            found.append((first[n] * mix(features.of(n).transpose(1, 2))).sum(1) / (2 * n + 1))
        for n, other in enumerate(second, 1):
            found.append((first[n] * other).sum(1) / math.sqrt(2 * n + 1))
        return torch.cat(found, 1)
