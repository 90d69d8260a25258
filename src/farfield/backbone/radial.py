"""Radial functions: Bessel waves under a smooth envelope, mixed by a network that keeps zero at zero."""

import math

import torch
from torch import Tensor, nn

from farfield.backbone.linear import UnitLinear


def envelope(x: Tensor, order: int = 6) -> Tensor:
    """1 at x = 0, 0 from x = 1 on with two continuous derivatives (Gasteiger et al., ICLR 2020, eq. 8)."""
    p = order
    inside = 1 - (p + 1) * (p + 2) / 2 * x**p + p * (p + 2) * x ** (p + 1) - p * (p + 1) / 2 * x ** (p + 2)
    return torch.where(x < 1, inside, torch.zeros_like(x))


class RadialBasis(nn.Module):
    """sin(nπr/r_c)/(nπr/r_c)-like waves, about unit size, times the envelope."""

    frequency: Tensor

    def __init__(self, cutoff: float, count: int) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.register_buffer("frequency", math.pi * torch.arange(1, count + 1, dtype=torch.get_default_dtype()))

    def forward(self, distance: Tensor) -> Tensor:
        """``(pairs,)`` Å → ``(pairs, count)``."""
        x = (distance / self.cutoff)[:, None]
        return torch.sin(self.frequency * x) / x * envelope(x)


class RadialNetwork(nn.Module):
    """Basis → weights of every (order, channel). No biases: what vanishes at the cutoff stays zero there."""

    def __init__(self, count: int, hidden: int, out: int) -> None:
        super().__init__()
        self.first = UnitLinear(count, hidden)
        self.second = UnitLinear(hidden, out, gain=1.7)  # 1.7: what silu takes away

    def forward(self, basis: Tensor) -> Tensor:
        """``(pairs, count)`` → ``(pairs, out)``."""
        return torch.as_tensor(self.second(nn.functional.silu(self.first(basis))))
