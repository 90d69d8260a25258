"""Plane waves at the sources: charges to structure factors and back, closed under differentiation.

    spread:  C_k = Σ_i m_i cos(n_k·x_i),  S_k = Σ_i m_i sin(n_k·x_i)
    gather:  φ_i = Σ_k C_k cos(n_k·x_i) + S_k sin(n_k·x_i)

with x = 2π times the fractional coordinates and n_k integers. Each is the other's adjoint, and the gradient of a
gather is the gather of n(S, -C): cosines and sines are evaluated once and serve every order of differentiation.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

BLOCK = 1 << 24
"""Entries of cos(n·x) kept between passes; larger sums are recomputed block by block."""


class Waves:
    """cos(n·x) and sin(n·x) of a padded batch; x ``(systems, sources, 3)``, n ``(systems, waves, 3)``."""

    def __init__(self, phases: Tensor, indices: Tensor) -> None:
        self.phases = phases.detach()
        self.indices = indices
        systems, waves, _ = indices.shape
        per_wave = max(systems * phases.shape[1], 1)
        self._step = max(BLOCK // per_wave, 1)
        self._kept = list(self._evaluate()) if waves <= self._step else None

    def spread(self, moments: Tensor) -> tuple[Tensor, Tensor]:
        """Structure factors ``(systems, waves, columns)`` of moments ``(systems, sources, columns)``."""
        parts = [(cos.transpose(1, 2) @ moments, sin.transpose(1, 2) @ moments) for _, cos, sin in self._blocks()]
        if len(parts) == 1:
            return parts[0]
        return torch.cat([c for c, _ in parts], 1), torch.cat([s for _, s in parts], 1)

    def gather(self, cosine: Tensor, sine: Tensor) -> Tensor:
        """Values at the sources ``(systems, sources, columns)`` of amplitudes ``(systems, waves, columns)``."""
        total: Tensor | None = None
        for waves, cos, sin in self._blocks():
            part = torch.baddbmm(cos @ cosine[:, waves], sin, sine[:, waves])
            total = part if total is None else total.add_(part)
        assert total is not None
        return total

    def products(self, weight: Tensor) -> Tensor:
        """Σ_k w_k cos(n_k·(x_i - x_j)) ``(systems, sources, sources)`` of weights ``(systems, waves, 1)``."""
        total: Tensor | None = None
        for waves, cos, sin in self._blocks():
            w = weight[:, waves].transpose(1, 2)
            part = torch.baddbmm((cos * w) @ cos.transpose(1, 2), sin * w, sin.transpose(1, 2))
            total = part if total is None else total.add_(part)
        assert total is not None
        return total

    def _blocks(self) -> Iterator[tuple[slice, Tensor, Tensor]]:
        return iter(self._kept) if self._kept is not None else self._evaluate()

    def _evaluate(self) -> Iterator[tuple[slice, Tensor, Tensor]]:
        for first in range(0, max(self.indices.shape[1], 1), self._step):
            waves = slice(first, first + self._step)
            angle = self.phases @ self.indices[:, waves].transpose(1, 2)
            yield waves, angle.cos(), angle.sin()


def spread(phases: Tensor, moments: Tensor, waves: Waves) -> tuple[Tensor, Tensor]:
    """Structure factors ``(systems, waves, columns)``; differentiable in phases and moments."""
    out: tuple[Tensor, Tensor] = _Spread.apply(phases, moments, waves)  # type: ignore[no-untyped-call]
    return out


def gather(phases: Tensor, cosine: Tensor, sine: Tensor, waves: Waves) -> Tensor:
    """Sum of waves at the sources ``(systems, sources, columns)``; differentiable in phases and amplitudes."""
    out: Tensor = _Gather.apply(phases, cosine, sine, waves)  # type: ignore[no-untyped-call]
    return out


def gather_slope(phases: Tensor, cosine: Tensor, sine: Tensor, waves: Waves) -> Tensor:
    """Derivative of ``gather`` by the phases, ``(systems, sources, columns, 3)``."""
    n = waves.indices.unsqueeze(2)  # (systems, waves, 1, 3)
    turned = ((sine.unsqueeze(-1) * n).flatten(2), (cosine.unsqueeze(-1) * -n).flatten(2))
    slope = gather(phases, *turned, waves)
    return slope.reshape(*slope.shape[:2], cosine.shape[2], 3)


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, phases: Tensor, moments: Tensor, waves: Waves) -> tuple[Tensor, Tensor]:
        ctx.waves = waves
        ctx.save_for_backward(phases, moments)
        return waves.spread(moments)

    @staticmethod
    def backward(ctx: Any, cosine: Tensor, sine: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        phases, moments = ctx.saved_tensors
        to_phases = to_moments = None
        if ctx.needs_input_grad[0]:
            to_phases = (moments.unsqueeze(-1) * gather_slope(phases, cosine, sine, ctx.waves)).sum(2)
        if ctx.needs_input_grad[1]:
            to_moments = gather(phases, cosine, sine, ctx.waves)
        return to_phases, to_moments, None


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, phases: Tensor, cosine: Tensor, sine: Tensor, waves: Waves) -> Tensor:
        ctx.waves = waves
        ctx.save_for_backward(phases, cosine, sine)
        return waves.gather(cosine, sine)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        phases, cosine, sine = ctx.saved_tensors
        to_phases = to_cosine = to_sine = None
        if ctx.needs_input_grad[0]:
            to_phases = (grad.unsqueeze(-1) * gather_slope(phases, cosine, sine, ctx.waves)).sum(2)
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            to_cosine, to_sine = spread(phases, grad, ctx.waves)
        return to_phases, to_cosine, to_sine, None
