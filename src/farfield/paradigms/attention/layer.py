"""One attention: queries, keys and values of atoms, and what each learns from all others."""

import math

import torch
from torch import Tensor, nn

from farfield.backbone.contract import Features
from farfield.backbone.linear import UnitLinear
from farfield.paradigms.attention.config import AttentionConfig
from farfield.paradigms.attention.sums import sum_over_others
from farfield.system import System


class AttentionLayer(nn.Module):
    """m_ih = Σ_j (q_ih · k_jh) f_h(r_ij) v_jh over all other atoms; of vectors and tensors the part along one's own.

    Queries, keys and scalar values are linear in the scalars; values of higher order, and what of them is looked for,
    in the features of that order. Zero for an atom alone: nobody else sends.
    """

    def __init__(self, config: AttentionConfig, scalars: int, channels: int, order: int) -> None:
        """``scalars`` come in and go out; ``channels`` is how many features of every other order there are."""
        super().__init__()
        self.config, self.order = config, order
        size = config.heads * config.values
        self.query = UnitLinear(scalars, config.heads * config.keys)
        self.key = UnitLinear(scalars, config.heads * config.keys)
        self.value = UnitLinear(scalars, size)
        self.turned = nn.ModuleList(UnitLinear(channels, size) for _ in range(order))
        self.looked_for = nn.ModuleList(UnitLinear(channels, size) for _ in range(order))
        self.mixture = UnitLinear(config.frequencies, config.heads)
        self.out = UnitLinear((order + 1) * size, scalars, start=0.3)

    def forward(self, system: System, features: Features, span: Tensor) -> Tensor:
        """``(atoms, scalars)``; ``span`` is the range, Å."""
        heads, keys = self.config.heads, self.config.keys
        calm = _bounded(features.scalars)
        query = self.query(calm).unflatten(1, (heads, keys))
        key = self.key(calm).unflatten(1, (heads, keys)) / math.sqrt(keys)
        columns = key[:, :, :, None, None] * self._values(calm, features)[:, :, None]
        felt = sum_over_others(columns.flatten(2), system, span, self.config.frequencies, self.mixture)
        found = torch.einsum("nhk,nhkvm->nhvm", query, felt.view_as(columns))
        return torch.as_tensor(self.out(self._invariants(found, features)))

    def _values(self, calm: Tensor, features: Features) -> Tensor:
        """``(atoms, heads, values, m)``, all orders one after the other."""
        parts = [self.value(calm).unsqueeze(1)]
        parts += [turn(features.of(k + 1).transpose(1, 2)) for k, turn in enumerate(self.turned)]
        size = (len(calm), -1, self.config.heads, self.config.values)
        return torch.cat(parts, dim=1).reshape(size).permute(0, 2, 3, 1)

    def _invariants(self, found: Tensor, features: Features) -> Tensor:
        """Scalars as they are; of higher orders the part along what an atom looks for."""
        parts = [found[..., 0].flatten(1)]
        for order, look in enumerate(self.looked_for, start=1):
            wanted = look(features.of(order).transpose(1, 2))  # (atoms, 2l + 1, heads · values)
            of_order = found[..., order * order : (order + 1) ** 2].flatten(1, 2)
            parts.append((of_order * wanted.transpose(1, 2)).sum(2) / math.sqrt(2 * order + 1))
        return torch.cat(parts, dim=1)


def _bounded(scalars: Tensor) -> Tensor:
    return scalars * torch.rsqrt(0.5 + 0.5 * scalars.square().mean(1, keepdim=True))
