"""Smooth kernels of Gaussian charges: their potential, their density, or 1/r⁶; pairs and waves of each.

A kernel of width s is that of a charge smeared by s_j and seen through a Gaussian of σ, s² = s_j² + σ²: what acts
between two Gaussians depends on this sum alone. All are smooth at r = 0.
"""

import math
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from farfield.coulomb.functions import truncated_kernel
from farfield.coulomb.functions.radial import smeared_orders


class SmoothKernel(ABC):
    """A function of the distance, in real space and in k-space."""

    partly_periodic: bool = True
    """Whether it can be summed where some axes are periodic and some are open."""

    @abstractmethod
    def orders(self, squared: Tensor, width: float, highest: int) -> list[Tensor]:
        """B_0 to B_highest of r² (Å²), B_{n+1} = -(1/r) dB_n/dr; differentiable to any order."""

    @abstractmethod
    def waves(self, indices: Tensor, cell: Tensor, periodic: Tensor, radius: Tensor, width: float) -> Tensor:
        """Transform ``(systems, waves)``; arguments as of ``truncated_kernel.kernel``."""

    @lru_cache(maxsize=64)  # noqa: B019 - there are three kernels, for good
    def at_origin(self, width: float) -> float:
        """Evaluate it at r = 0, where a charge itself is."""
        return float(self.orders(torch.zeros(1, dtype=torch.float64), width, 0)[0])


class SmearedPotential(SmoothKernel):
    """erf(r/√2s)/r, in 1/Å: the potential of a unit charge."""

    def orders(self, squared: Tensor, width: float, highest: int) -> list[Tensor]:
        """Radial functions of the solver."""
        return smeared_orders(squared, squared.new_tensor(1 / (math.sqrt(2) * width)), highest)

    def waves(self, indices: Tensor, cell: Tensor, periodic: Tensor, radius: Tensor, width: float) -> Tensor:
        """4π/k² exp(-k²s²/2), cut off across open axes; what is left at k = 0 of crystals, without the pole."""
        form, squared = truncated_kernel.kernel(indices, cell, periodic, radius)
        if bool(periodic.all()):
            form = torch.where(squared == 0, background(width), form)
        return form * torch.exp(-0.5 * width**2 * squared)


def background(width: float) -> float:
    """Transform of erf(r/√2s)/r less that of 1/r at k = 0, Å²: as if the background of charged cells met points."""
    return -2 * math.pi * width**2


class SmearedDensity(SmoothKernel):
    """exp(-r²/2s²)/(2πs²)^(3/2), in 1/Å³: the density of a unit charge."""

    def orders(self, squared: Tensor, width: float, highest: int) -> list[Tensor]:
        """Every order is the one below over s²."""
        gauss = torch.exp(-0.5 * squared / width**2) / (2 * math.pi * width**2) ** 1.5
        return [gauss / width ** (2 * n) for n in range(highest + 1)]

    def waves(self, indices: Tensor, cell: Tensor, periodic: Tensor, radius: Tensor, width: float) -> Tensor:  # noqa: ARG002
        """exp(-k²s²/2): it ends before the next box by itself."""
        return torch.exp(-0.5 * width**2 * _squared(indices, cell))


class SmearedDispersion(SmoothKernel):
    """[1 - (1 + a² + a⁴/2) exp(-a²)]/r⁶ with a = r/√2s, in 1/Å⁶ (Williams 1971)."""

    partly_periodic = False

    def orders(self, squared: Tensor, width: float, highest: int) -> list[Tensor]:
        """½ ∫ t² (2t)^n exp(-r²t) dt from 0 to 1/2s²."""
        rate = 0.5 / width**2
        powers = [_power(rate * squared, n + 2) for n in range(highest + 1)]
        return [2.0 ** (n - 1) * rate ** (n + 3) * power for n, power in enumerate(powers)]

    def waves(self, indices: Tensor, cell: Tensor, periodic: Tensor, radius: Tensor, width: float) -> Tensor:  # noqa: ARG002
        """(π^(3/2)α³/3) [(1 - 2b²) exp(-b²) + 2√π b³ erfc b], b = k/2α, α = 1/√2s."""
        squared, alpha = 0.5 * width**2 * _squared(indices, cell), 1 / (math.sqrt(2) * width)
        zero = squared == 0
        b = torch.where(zero, 1.0, squared).sqrt()  # the root has no slope at zero
        bracket = (1 - 2 * b.square()) * torch.exp(-b.square()) + 2 * math.sqrt(math.pi) * b**3 * torch.erfc(b)
        transform: Tensor = math.pi**1.5 / 3 * alpha**3 * torch.where(zero, 1.0, bracket)
        return transform


def _squared(indices: Tensor, cell: Tensor) -> Tensor:
    k: Tensor = indices @ (2 * math.pi * torch.linalg.inv(cell).transpose(1, 2))
    return k.square().sum(-1)


SERIES_BELOW, SERIES_TERMS = 8.0, 48
"""x up to which ∫ τ^m exp(-xτ) dτ is summed as a series, and terms enough for float64."""


def _power(x: Tensor, power: int) -> Tensor:
    value: Tensor = _Power.apply(x, power)  # type: ignore[no-untyped-call]
    return value


class _Power(torch.autograd.Function):
    """∫ τ^m exp(-xτ) dτ from 0 to 1; its derivative is minus that of the next power."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, power: int) -> Tensor:
        ctx.save_for_backward(x)
        ctx.power = power
        near, gauss = x < SERIES_BELOW, torch.exp(-x)
        few, far = torch.where(near, x, 0.0), torch.where(near, SERIES_BELOW, x)
        term, series = torch.full_like(x, 1 / (power + 1)), torch.zeros_like(x)
        for k in range(SERIES_TERMS):
            series, term = series + term, term * few / (power + 2 + k)
        value = (1 - gauss) / far
        for m in range(1, power + 1):
            value = (m * value - gauss) / far
        return torch.where(near, series * gauss, value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return -grad * _power(x, ctx.power + 1), None


KERNELS: dict[str, SmoothKernel] = {
    "coulomb": SmearedPotential(),
    "density": SmearedDensity(),
    "dispersion": SmearedDispersion(),
}
"""By the word users type."""
