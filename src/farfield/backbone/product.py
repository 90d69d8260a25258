"""Products of atomic densities: many-body features with learned, element-dependent weights.

From the density A_lm (atoms of order 2 in the body count) come A, A⊗A and (A⊗A)⊗A, coupled back to l ≤ l_out over all
paths of natural parity: the atomic cluster expansion (Drautz, PRB 99, 014104 (2019)) in the contracted form of MACE
(Batatia et al., NeurIPS 2022).
"""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from farfield.backbone.coupling import Coupling
from farfield.backbone.kernels import couple
from farfield.backbone.unit_size import UnitSize


class DensityProducts(nn.Module):
    """A → w₁A + w₂(A⊗A) + w₃((A⊗A)⊗A) with weights of the central element, then a mix of channels."""

    order_of: Tensor

    def __init__(self, elements: int, channels: int, l_max: int, l_out: int, correlation: int) -> None:
        super().__init__()
        self.correlation = correlation
        # the intermediate keeps all orders, the last product only what is asked for
        pair = Coupling(l_max, l_max if correlation > 2 else l_out, l_max, symmetric=True)
        self.pair = replace(pair, l_out=l_out)
        self.linear = nn.Parameter(torch.randn(l_out + 1, elements, channels))
        self.quadratic = nn.Parameter(torch.randn(pair.n_paths, elements, channels))
        if correlation > 2:
            self.inner_pair = pair
            self.triple = Coupling(l_max, l_out, l_out, symmetric=False)
            self.inner = nn.Parameter(torch.randn(pair.n_paths, 1, channels))
            self.cubic = nn.Parameter(torch.randn(self.triple.n_paths, elements, channels))
            self.inner_size = UnitSize(orders(l_max))
            self.cubic_size = UnitSize(orders(l_out))
        self.quadratic_size = UnitSize(orders(l_out))
        self.mix = ChannelMix(l_out, channels)
        self.register_buffer("order_of", torch.tensor(orders(l_out)), persistent=False)

    def forward(self, density: Tensor, element: Tensor, is_element: Tensor) -> Tensor:
        """``(atoms, m, channels)``, element index ``(atoms,)`` and its one-hot form → ``(atoms, m_out, channels)``."""
        linear = (is_element @ self.linear[self.order_of].transpose(0, 1).flatten(1)).view(
            len(density), -1, density.shape[2]
        )
        out = density[:, : len(self.order_of)] * linear
        out = out + self.quadratic_size(couple(self.pair, self.quadratic, element, density, density))
        if self.correlation > 2:
            every = torch.zeros_like(element)  # the same weights for all
            twice = self.inner_size(couple(self.inner_pair, self.inner, every, density, density))
            out = out + self.cubic_size(couple(self.triple, self.cubic, element, twice, density))
        return torch.as_tensor(self.mix(out / math.sqrt(self.correlation)))


def orders(l_max: int) -> list[int]:
    """The order l of every harmonic up to ``l_max``: 0, 1, 1, 1, 2, …"""
    return [order for order in range(l_max + 1) for _ in range(2 * order + 1)]


class ChannelMix(nn.Module):
    """A linear map of the channels, one for each l."""

    linear_maps = ("weight",)
    order_of: Tensor

    def __init__(self, l_max: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(l_max + 1, channels, channels))
        self.gain = 1 / math.sqrt(channels)
        self.register_buffer("order_of", torch.tensor(orders(l_max)), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """``(atoms, m, channels)`` → the same shape."""
        return (
            torch.bmm(features.transpose(0, 1), (self.weight * self.gain)[self.order_of]).transpose(0, 1).contiguous()
        )
