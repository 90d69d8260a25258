"""Kernels that filters are made of, as functions of the distance and of the wave vector.

    K_n(r) = sin(κ_n r)/(κ_n r) exp(-r²/2s²)
    K_n(k) = (2π)^(3/2) s³ exp(-(k² + κ_n²) s²/2) sinh(κ_n k s²)/(κ_n k s²)

is a shell of width 1/s about |k| = κ_n, and K_0 a Gaussian; beside them Coulomb's kernel of a Gaussian charge,

    K(r) = c erf(r/√2σ)/r,    K(k) = c 4π/k² exp(-k²σ²/2),    c = σ √(π/2)

All are 1 at r = 0. Pairs of a molecule take the left side, waves of a crystal the right: it is one function.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from farfield.coulomb.functions import truncated_kernel
from farfield.coulomb.functions.radial import smeared_orders

SPACING = 1.5
"""Between shells, in units of 1/range: they overlap, and are not yet alike."""


@dataclass(frozen=True)
class Kernels:
    """Shells of k and, where it has a width, Coulomb's kernel; lengths in Å."""

    shells: int
    range: float  # s
    width: float | None  # σ

    @property
    def count(self) -> int:
        """Count the kernels."""
        return self.shells + (self.width is not None)

    def depth(self, error: float) -> float:
        """Widths from its middle where a Gaussian falls to ``error``."""
        return math.sqrt(-2 * math.log(error))

    def longest_wave(self, error: float) -> float:
        """|k| beyond which they are below ``error``, 1/Å."""
        shells = self._at(self.shells - 1) + self.depth(error) / self.range
        return shells if self.width is None else max(shells, self.depth(error) / self.width)

    def tail(self, error: float) -> float:
        """Å that a box needs: half of where the shells end, or where smearing no longer counts."""
        return self.depth(error) * max(0.5 * self.range, self.width or 0.0)

    def in_space(self, squared: Tensor, highest: int) -> list[Tensor]:
        """(d/r dr)^n K of n = 0 to ``highest`` (at most 2), each ``(…, kernels)``, from r² in Å² above zero."""
        return [torch.cat(both, -1) for both in zip(self._shells(squared, highest), self._coulomb(squared, highest))]

    def at_origin(self, like: Tensor) -> Tensor:
        """K'/r ``(kernels,)`` at r = 0, in 1/Å²."""
        slopes = [-((self._at(n) ** 2) / 3 + self.range**-2) for n in range(self.shells)]
        return like.new_tensor(slopes + ([] if self.width is None else [-1 / (3 * self.width**2)]))

    def in_waves(self, indices: Tensor, cell: Tensor, periodic: Tensor, radius: Tensor) -> Tensor:
        """Transforms ``(systems, waves, kernels)`` in Å³; arguments as truncated_kernel.py has them."""
        form, squared = truncated_kernel.kernel(indices, cell, periodic, radius)
        found = self._shells_in_waves(squared)
        if self.width is None:
            return found
        smeared = self.width * math.sqrt(math.pi / 2) * form * torch.exp(-0.5 * self.width**2 * squared)
        return torch.cat([found, smeared.unsqueeze(-1)], -1)

    def _at(self, shell: int) -> float:
        """κ_n in 1/Å."""
        return shell * SPACING / self.range

    def _middles(self, like: Tensor) -> Tensor:
        return like.new_tensor([self._at(n) for n in range(self.shells)])

    def _shells(self, squared: Tensor, highest: int) -> list[Tensor]:
        """Waves times a Gaussian g by Leibniz's rule, (d/r dr)g = -g/s²."""
        r2, slope = squared.unsqueeze(-1), -1 / self.range**2
        waves = self._sines(r2, highest)
        mixed = [
            sum((math.comb(n, k) * slope ** (n - k) * waves[k] for k in range(n + 1)), torch.zeros_like(waves[0]))
            for n in range(highest + 1)
        ]
        decay = torch.exp(0.5 * slope * r2)
        return [decay * wave for wave in mixed]

    def _sines(self, r2: Tensor, highest: int) -> list[Tensor]:
        """(d/r dr)^n sin(κr)/(κr), by f'' + 2f'/r = -κ²f; that of κ = 0 is 1."""
        middle = self._middles(r2)[1:]
        phase = middle * r2.sqrt()
        found = [phase.sin() / phase]
        if highest > 0:
            found.append((phase.cos() - found[0]) / r2)
        if highest > 1:
            found.append(-(middle.square() * found[0] + 3 * found[1]) / r2)
        return [nn.functional.pad(one, (1, 0), value=float(n == 0)) for n, one in enumerate(found)]

    def _coulomb(self, squared: Tensor, highest: int) -> list[Tensor]:
        if self.width is None:
            return [squared.new_zeros(*squared.shape, 0)] * (highest + 1)
        rate = squared.new_tensor(1 / (math.sqrt(2) * self.width))
        height = self.width * math.sqrt(math.pi / 2)
        orders = smeared_orders(squared, rate, highest)
        return [(height * (-1) ** n * one).unsqueeze(-1) for n, one in enumerate(orders)]

    def _shells_in_waves(self, squared: Tensor) -> Tensor:
        zero = squared == 0
        k = torch.where(zero, 0.0, torch.where(zero, 1.0, squared).sqrt()).unsqueeze(-1)  # the root has no slope at 0
        middle = self._middles(squared)
        twice = 2 * middle * k * self.range**2
        flat = twice == 0
        ratio = torch.where(flat, 1.0, -torch.expm1(-twice) / torch.where(flat, 1.0, twice))  # sinh z/z exp(-z)
        height = (2 * math.pi) ** 1.5 * self.range**3
        return torch.as_tensor(height * torch.exp(-0.5 * (self.range * (k - middle)) ** 2) * ratio)
