"""Products of atomic densities: many-body features with learned, element-dependent weights.

From the density A_lm (atoms of order 2 in the body count) come A, A⊗A and (A⊗A)⊗A, coupled back to l ≤ l_out over all
paths of natural parity: the atomic cluster expansion (Drautz, PRB 99, 014104 (2019)) in the contracted form of MACE
(Batatia et al., NeurIPS 2022). Orders come first in memory, (order m, atoms, channels), so that each coupling is one
matrix product over all atoms and channels.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from farfield.backbone.angular import gaunt, paths
from farfield.backbone.unit_size import UnitSize


class Coupling(nn.Module):
    """Bilinear map of two sets of harmonics onto a third, path by path: one matrix product, constant couplings."""

    left: Tensor
    right: Tensor
    matrix: Tensor
    gather: Tensor
    path_of: Tensor

    def __init__(self, l_max: int, l_out: int, *, symmetric: bool) -> None:
        super().__init__()
        found = paths(l_max, l_out, symmetric=symmetric)
        self.n_paths = len(found)
        size = (l_max + 1) ** 2
        dense = np.concatenate([_embedded(path, size, symmetric) for path in found], axis=-1)  # (m1, m2, rows)
        left, right = np.nonzero(np.abs(dense).sum(-1))
        self.register_buffer("left", torch.from_numpy(left), persistent=False)
        self.register_buffer("right", torch.from_numpy(right), persistent=False)
        matrix = torch.from_numpy(dense[left, right].T.copy()).to(torch.get_default_dtype())
        self.register_buffer("matrix", matrix, persistent=False)  # (rows, products)
        path_of = [p for p, (_, _, l3) in enumerate(found) for _ in range(2 * l3 + 1)]
        self.register_buffer("path_of", torch.tensor(path_of), persistent=False)
        out_of = [l3 * l3 + m for _, _, l3 in found for m in range(2 * l3 + 1)]
        gather = torch.zeros((l_out + 1) ** 2, len(out_of))
        gather[out_of, range(len(out_of))] = 1.0
        self.register_buffer("gather", gather, persistent=False)  # (m_out, rows)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """``(m, atoms, channels)`` twice → ``(rows, atoms, channels)``, a row for each m of each path."""
        products = a[self.left] * b[self.right]
        return (self.matrix @ products.flatten(1)).view(-1, *products.shape[1:])

    def weighted(self, rows: Tensor, weights: Tensor) -> Tensor:
        """Sum the paths with ``weights`` ``(paths, atoms or 1, channels)`` into ``(m_out, atoms, channels)``."""
        scaled = rows * weights[self.path_of]
        return (self.gather @ scaled.flatten(1)).view(-1, *scaled.shape[1:])


def _embedded(
    path: tuple[int, int, int], size: int, symmetric: bool
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    l1, l2, l3 = path
    block = gaunt(l1, l2, l3)
    out = np.zeros((size, size, 2 * l3 + 1))
    out[l1 * l1 : (l1 + 1) ** 2, l2 * l2 : (l2 + 1) ** 2] = block
    if symmetric:  # fold the lower triangle onto the upper one: half the products
        out = np.triu(out.transpose(2, 0, 1)) + np.tril(out.transpose(2, 0, 1), -1).transpose(0, 2, 1)
        out = out.transpose(1, 2, 0)
    return out


class DensityProducts(nn.Module):
    """A → w₁A + w₂(A⊗A) + w₃((A⊗A)⊗A) with weights of the central element, then a mix of channels."""

    order_of: Tensor

    def __init__(self, elements: int, channels: int, l_max: int, l_out: int, correlation: int) -> None:
        super().__init__()
        self.l_out, self.correlation = l_out, correlation
        # the intermediate keeps all orders, the last product only what is asked for
        self.pair = Coupling(l_max, l_max if correlation > 2 else l_out, symmetric=True)
        self.linear = nn.Parameter(torch.randn(l_out + 1, elements, channels))
        self.quadratic = nn.Parameter(torch.randn(self.pair.n_paths, elements, channels))
        if correlation > 2:
            self.triple = Coupling(l_max, l_out, symmetric=False)
            self.inner = nn.Parameter(torch.randn(self.pair.n_paths, 1, channels))
            self.cubic = nn.Parameter(torch.randn(self.triple.n_paths, elements, channels))
            self.inner_size = UnitSize(orders(l_max))
            self.cubic_size = UnitSize(orders(l_out))
        self.quadratic_size = UnitSize(orders(l_out))
        self.mix = ChannelMix(l_out, channels)
        self.register_buffer("order_of", torch.tensor(orders(l_out)), persistent=False)

    def forward(self, density: Tensor, element: Tensor) -> Tensor:
        """``(m, atoms, channels)`` and element index ``(atoms,)`` → ``(m_out, atoms, channels)``."""
        keep = len(self.order_of)
        out = density[:keep] * self.linear[:, element][self.order_of]
        rows = self.pair(density, density)
        out = out + self.quadratic_size(self.pair.weighted(rows, self.quadratic[:, element])[:keep])
        if self.correlation > 2:
            twice = self.inner_size(self.pair.weighted(rows, self.inner))
            thrice = self.triple.weighted(self.triple(twice, density), self.cubic[:, element])
            out = out + self.cubic_size(thrice)
        return torch.as_tensor(self.mix(out / math.sqrt(self.correlation)))


def orders(l_max: int) -> list[int]:
    """The order l of every harmonic up to ``l_max``: 0, 1, 1, 1, 2, …"""
    return [order for order in range(l_max + 1) for _ in range(2 * order + 1)]


class ChannelMix(nn.Module):
    """A linear map of the channels, one for each l."""

    order_of: Tensor

    def __init__(self, l_max: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(l_max + 1, channels, channels))
        self.gain = 1 / math.sqrt(channels)
        self.register_buffer("order_of", torch.tensor(orders(l_max)), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """``(m, atoms, channels)`` → the same shape."""
        return torch.bmm(features, (self.weight * self.gain)[self.order_of])
