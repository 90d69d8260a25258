"""Plane waves at the sources: charges to structure factors and back, closed under differentiation.

    spread:  C_k = Σ_i m_i cos(n_k·x_i),  S_k = Σ_i m_i sin(n_k·x_i)
    gather:  φ_i = Σ_k C_k cos(n_k·x_i) + S_k sin(n_k·x_i)

with x = 2π times the fractional coordinates and n_k integers. Each is the other's adjoint, and the gradient of a
gather is the gather of n(S, -C): cosines and sines are evaluated once and serve every order of differentiation.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from farfield.compiled import Array, has_loops, numbers
from farfield.coulomb.kernels.numba import wave_sums
from farfield.coulomb.padding import Padding
from farfield.system import System

BLOCK = 1 << 24
"""Entries of cos(n·x) at once where they are written out; larger sums go block by block."""


class PlaneWaves:
    """cos(n·x) and sin(n·x) of a padded batch; x ``(systems, sources, 3)``, n ``(systems, waves, 3)``."""

    def __init__(self, phases: Tensor, indices: Tensor) -> None:
        self.phases = phases.detach()
        self.indices = indices
        self._compiled = has_loops(phases)
        if self._compiled:
            self._x, self._rows = numbers(phases), wave_sums.all_rows(indices.long().contiguous().numpy())

    def spread(self, moments: Tensor) -> tuple[Tensor, Tensor]:
        """Structure factors ``(systems, waves, columns)`` of moments ``(systems, sources, columns)``."""
        if self._compiled:
            cosine, sine = wave_sums.spread(self._x, self._rows, numbers(moments), self.indices.shape[1])
            return torch.from_numpy(cosine).to(moments.dtype), torch.from_numpy(sine).to(moments.dtype)
        return self.spread_reference(moments)

    def gather(self, cosine: Tensor, sine: Tensor) -> Tensor:
        """Values at the sources ``(systems, sources, columns)`` of amplitudes ``(systems, waves, columns)``."""
        if self._compiled:
            values = wave_sums.gather(self._x, self._rows, numbers(cosine), numbers(sine))
            return torch.from_numpy(values).to(cosine.dtype)
        return self.gather_reference(cosine, sine)

    def potentials(self, vectors: Array, weight: Array, columns: Tensor) -> Tensor:
        """Sum dE/d(q, μ) of charges and dipoles ``(systems, sources, 4 · channels)``; compiled, no graph."""
        return torch.from_numpy(wave_sums.potentials(self._x, self._rows, vectors, weight, numbers(columns))).to(
            columns
        )

    def products(self, weight: Tensor) -> Tensor:
        """Σ_k w_k cos(n_k·(x_i - x_j)) ``(systems, sources, sources)`` of weights ``(systems, waves, 1)``."""
        systems, sources, _ = self.phases.shape
        total = weight.new_zeros(systems, sources, sources)
        for waves, cos, sin in self.blocks():
            w = weight[:, waves]
            total.baddbmm_(cos.transpose(1, 2), cos * w).baddbmm_(sin.transpose(1, 2), sin * w)
        return total

    def spread_reference(self, moments: Tensor) -> tuple[Tensor, Tensor]:
        """``spread`` in plain torch."""
        parts = [(cos @ moments, sin @ moments) for _, cos, sin in self.blocks()]
        return torch.cat([c for c, _ in parts], 1), torch.cat([s for _, s in parts], 1)

    def gather_reference(self, cosine: Tensor, sine: Tensor) -> Tensor:
        """``gather`` in plain torch."""
        total = cosine.new_zeros(*self.phases.shape[:2], cosine.shape[2])
        for waves, cos, sin in self.blocks():
            total.baddbmm_(cos.transpose(1, 2), cosine[:, waves]).baddbmm_(sin.transpose(1, 2), sine[:, waves])
        return total

    def blocks(self) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Runs of waves, with cosine and sine ``(systems, waves, sources)``; without a graph."""
        systems, waves, _ = self.indices.shape
        step = max(BLOCK // max(systems * self.phases.shape[1], 1), 1)
        for first in range(0, max(waves, 1), step):
            some = slice(first, first + step)
            if self._compiled:
                n = self.indices[:, some].long().contiguous().numpy()
                cosine, sine = wave_sums.table(self._x, wave_sums.all_rows(n), n.shape[1])
                dtype = self.phases.dtype
                yield some, torch.from_numpy(cosine).to(dtype), torch.from_numpy(sine).to(dtype)
            else:
                angle = self.indices[:, some] @ self.phases.transpose(1, 2)
                yield some, angle.cos(), angle.sin()


def spread(phases: Tensor, moments: Tensor, waves: PlaneWaves) -> tuple[Tensor, Tensor]:
    """Structure factors ``(systems, waves, columns)``; differentiable in phases and moments."""
    out: tuple[Tensor, Tensor] = _Spread.apply(phases, moments, waves)  # type: ignore[no-untyped-call]
    return out


def gather(phases: Tensor, cosine: Tensor, sine: Tensor, waves: PlaneWaves) -> Tensor:
    """Sum of waves at the sources ``(systems, sources, columns)``; differentiable in phases and amplitudes."""
    out: Tensor = _Gather.apply(phases, cosine, sine, waves)  # type: ignore[no-untyped-call]
    return out


def gather_with_gradient(phases: Tensor, cosine: Tensor, sine: Tensor, waves: PlaneWaves) -> tuple[Tensor, Tensor]:
    """``gather``, and its derivative by the phases ``(systems, sources, columns, 3)``."""
    n = waves.indices.unsqueeze(2)  # (systems, waves, 1, 3)
    columns = cosine.shape[2]
    gradients = ((sine.unsqueeze(-1) * n).flatten(2), (cosine.unsqueeze(-1) * -n).flatten(2))
    both = gather(phases, torch.cat([cosine, gradients[0]], 2), torch.cat([sine, gradients[1]], 2), waves)
    return both[..., :columns], both[..., columns:].reshape(*both.shape[:2], columns, 3)


def waves_at(system: System, padding: Padding, cell: Tensor, indices: Tensor) -> tuple[Tensor, PlaneWaves]:
    """Phases ``(systems, longest, 3)``, differentiable in positions and cell ``(systems, 3, 3)``, and the waves."""
    phases = phases_at(system, padding, cell)
    return phases, PlaneWaves(phases, indices)


def phases_at(system: System, padding: Padding, cell: Tensor) -> Tensor:
    """Phases x ``(systems, longest, 3)``, differentiable in positions and cell."""
    phases: Tensor = padding.pad(system.positions) @ (2 * math.pi * torch.linalg.inv(cell))
    # whole turns change nothing, and small angles keep their digits
    return phases - 2 * math.pi * torch.round(phases.detach() / (2 * math.pi))


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, phases: Tensor, moments: Tensor, waves: PlaneWaves) -> tuple[Tensor, Tensor]:
        ctx.waves = waves
        ctx.save_for_backward(phases, moments)
        return waves.spread(moments)

    @staticmethod
    def backward(ctx: Any, cosine: Tensor, sine: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        phases, moments = ctx.saved_tensors
        grad_phases = grad_moments = None
        if ctx.needs_input_grad[0]:
            grad_moments, gradient = gather_with_gradient(phases, cosine, sine, ctx.waves)
            grad_phases = (moments.unsqueeze(-1) * gradient).sum(2)
        elif ctx.needs_input_grad[1]:
            grad_moments = gather(phases, cosine, sine, ctx.waves)
        return grad_phases, grad_moments, None


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, phases: Tensor, cosine: Tensor, sine: Tensor, waves: PlaneWaves) -> Tensor:
        ctx.waves = waves
        ctx.save_for_backward(phases, cosine, sine)
        return waves.gather(cosine, sine)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        phases, cosine, sine = ctx.saved_tensors
        grad_phases = grad_cosine = grad_sine = None
        if ctx.needs_input_grad[0]:
            _, gradient = gather_with_gradient(phases, cosine, sine, ctx.waves)
            grad_phases = (grad.unsqueeze(-1) * gradient).sum(2)
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            grad_cosine, grad_sine = spread(phases, grad, ctx.waves)
        return grad_phases, grad_cosine, grad_sine, None
