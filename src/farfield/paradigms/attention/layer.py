"""One attention: queries, keys and values of atoms, and what each learns from all others."""

import math

import torch
from torch import Tensor, nn

from farfield.backbone.contract import Features
from farfield.backbone.linear import UnitLinear
from farfield.paradigms.attention.config import AttentionConfig
from farfield.paradigms.attention.sums import Others


class AttentionLayer(nn.Module):
    """m_ih = Σ_j (q_ih · k_jh) f_h(r_ij) v_jh over all other atoms; of vectors and tensors the part along one's own.

    Queries, keys and scalar values are linear in the scalars; values of higher order, and what of them is looked for,
    in the features of that order. Zero for an atom alone: nobody else sends.
    """

    def __init__(self, config: AttentionConfig, scalars: int, channels: int, order: int) -> None:
        """``scalars`` come in and go out; ``channels`` is how many features of every other order there are."""
        super().__init__()
        self.config, self.size = config, config.heads * config.values
        self.query_key_value = UnitLinear(scalars, 2 * config.heads * config.keys + self.size)
        self.turned = nn.ModuleList(UnitLinear(channels, 2 * self.size) for _ in range(order))
        self.mixture = UnitLinear(config.frequencies, config.heads)
        self.out = UnitLinear((order + 1) * self.size, scalars, start=0.3)

    def forward(self, features: Features, others: Others) -> Tensor:
        """``(atoms, scalars)``."""
        scalars, heads, keys = features.scalars, self.config.heads, self.config.keys
        calm = scalars * torch.rsqrt(0.5 + 0.5 * scalars.square().mean(1, keepdim=True))
        query, key, value = self.query_key_value(calm).split([heads * keys, heads * keys, self.size], dim=1)
        turned = [turn(features.of(k + 1).transpose(1, 2)) for k, turn in enumerate(self.turned)]
        sent = torch.cat([value.unsqueeze(1), *(each[..., : self.size] for each in turned)], dim=1)
        sent = sent.reshape(len(scalars), -1, heads, self.config.values).permute(0, 2, 3, 1)
        columns = key.view(-1, heads, keys, 1, 1) * sent.unsqueeze(2)  # (atoms, heads, keys, values, m)
        felt = others.sum(columns.flatten(2), self.mixture)
        found = torch.einsum("nhk,nhkvm->nhvm", query.view(-1, heads, keys) / math.sqrt(keys), felt.view_as(columns))
        parts = [found[..., 0].flatten(1)]
        parts += [_along(found, each[..., self.size :], k + 1) for k, each in enumerate(turned)]
        return torch.as_tensor(self.out(torch.cat(parts, dim=1)))


def _along(found: Tensor, own: Tensor, order: int) -> Tensor:
    """Project what is found of an order ``(atoms, heads, values, m)`` on ``own`` ``(atoms, 2 order + 1, features)``."""
    of_order = found[..., order * order : (order + 1) ** 2].flatten(1, 2)
    return (of_order * own.transpose(1, 2)).sum(2) / math.sqrt(2 * order + 1)
