"""Waves that fade: K_n(r) = sin(ω_n r)/(ω_n r) · exp(-½(r/R)²), ω_n = nπ/R, and what plane waves they consist of.

sin(ωr)/(ωr) is the mean of exp(iω u·r) over all directions u: rotary encoding of positions, averaged over the sphere
(Frank et al., arXiv:2412.08541). Fading, it is a sum over a thin shell of waves instead of a sphere,

    K_n(r) = ∫ d³k/(2π)³ K̂_n(k) exp(ik·r),
    K̂_n(k) = (2π)^{3/2} R/(2kω) · [exp(-½R²(k - ω)²) - exp(-½R²(k + ω)²)]

whose sum over the images of a crystal converges, to (1/V) Σ_k K̂_n(k) exp(ik·r) over its reciprocal lattice.
"""

import math

import torch
from torch import Tensor

TAIL = 7.0
"""Standard deviations beyond which a Gaussian no longer counts: 2·10⁻¹¹."""


def frequencies(span: Tensor, count: int) -> Tensor:
    """ω_n ``(count,)`` of waves that span R = ``span`` Å, 1/Å."""
    return torch.arange(1, count + 1, dtype=span.dtype, device=span.device) * (math.pi / span)


def values_at(distance: Tensor, span: Tensor, count: int) -> Tensor:
    """K_n at distances ``(…)`` Å, all positive: ``(…, count)``."""
    phase = distance.unsqueeze(-1) * frequencies(span, count)
    fading = torch.exp(-0.5 * (distance / span).square())
    return torch.sin(phase) / phase * fading.unsqueeze(-1)


def transform(wavenumber: Tensor, span: Tensor, count: int) -> Tensor:
    """K̂_n ``(…, count)``, Å³, at wavenumbers ``(…)``, 1/Å; smooth at zero."""
    omega = frequencies(span, count)
    k = wavenumber.unsqueeze(-1)
    shell = torch.exp(-0.5 * (span * (k - omega)).square())
    twice = 2 * span.square() * k * omega
    # (1 - exp(-x))/x
    ratio = torch.where(twice > 1e-6, -torch.expm1(-twice) / twice.clamp_min(1e-6), 1 - 0.5 * twice)
    return torch.as_tensor((2 * math.pi) ** 1.5 * span**3 * shell * ratio)


def highest(span: float, count: int) -> float:
    """Wavenumber beyond which no K̂_n counts, 1/Å."""
    return (count * math.pi + TAIL) / span
