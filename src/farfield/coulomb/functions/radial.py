"""Radial functions of pairs, closed under differentiation.

With B_0 the function itself, every higher order is B_{n+1} = -(1/r) dB_n/dr (Smith 1982), so that

    dB_n / d(r²) = -½ B_{n+1}

and each order follows from the one below without another erfc or exp. Autograd can thus be run to any order.
"""

import math
from typing import Any

import torch
from torch import Tensor

SERIES_BELOW = 0.5
"""(rate · r)² under which erf(rate·r)/r is summed as a series: the recurrence cancels there."""

SERIES_TERMS = 15
"""Enough for float64 at ``SERIES_BELOW``."""

_POINT = 1e-8
"""Å²; pairs narrower than this are points."""


def screened(squared: Tensor, rate: Tensor, order: int = 0) -> Tensor:
    """B_n of erfc(rate·r)/r from r² (Å²) and rate (1/Å, not differentiated), in 1/Å^(2n+1)."""
    return screened_orders(squared, rate, order)[-1]


def screened_orders(squared: Tensor, rate: Tensor, highest: int) -> list[Tensor]:
    """B_0 to B_highest of erfc(rate·r)/r."""
    values: list[Tensor] = [_Screened.apply(squared, rate, 0, None, None)]  # type: ignore[no-untyped-call]
    for n in range(1, highest + 1):
        gauss = torch.exp(-(rate * rate) * squared)
        values.append(_Screened.apply(squared, rate, n, values[-1].detach(), gauss))  # type: ignore[no-untyped-call]
    return values


def smeared(squared: Tensor, rate: Tensor, order: int = 0) -> Tensor:
    """B_n of erf(rate·r)/r from r² (Å²) and rate (1/Å), smooth down to r = 0, in 1/Å^(2n+1)."""
    return smeared_orders(squared, rate, order)[-1]


def smeared_orders(squared: Tensor, rate: Tensor, highest: int) -> list[Tensor]:
    """B_0 to B_highest of erf(rate·r)/r."""
    values: list[Tensor] = [_Smeared.apply(squared, rate, 0, None, None)]  # type: ignore[no-untyped-call]
    for n in range(1, highest + 1):
        gauss = torch.exp(-(rate * rate) * squared).detach()
        values.append(_Smeared.apply(squared, rate, n, values[-1].detach(), gauss))  # type: ignore[no-untyped-call]
    return values


def bare_orders(squared: Tensor, highest: int) -> list[Tensor]:
    """B_0 to B_highest of 1/r."""
    values = [squared.rsqrt()]
    for n in range(highest):
        values.append((2 * n + 1) * values[-1] / squared)
    return values


def pair_rate(variance: Tensor, other: Tensor) -> Tensor:
    """1/√(2(σ₁² + σ₂²)) in 1/Å, the rate at which two Gaussians of variances σ² (Å²) feel each other as erf."""
    return torch.rsqrt((2 * (variance + other)).clamp_min(_POINT))


class _Screened(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, squared: Tensor, rate: Tensor, order: int, below: Tensor | None, gauss: Tensor | None
    ) -> Tensor:
        if below is None or gauss is None:
            distance = squared.sqrt()
            gauss = torch.exp(-(rate * rate) * squared)
            value = torch.erfc(rate * distance).div_(distance)
        else:
            value = torch.addcmul((2 * order - 1) * below, _weight(rate, order), gauss).div_(squared)
        ctx.order = order
        ctx.save_for_backward(squared, rate, value, gauss)
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        squared, rate, value, gauss = ctx.saved_tensors
        higher = _Screened.apply(squared, rate, ctx.order + 1, value.detach(), gauss)  # type: ignore[no-untyped-call]
        return -0.5 * grad * higher, None, None, None, None


class _Smeared(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, squared: Tensor, rate: Tensor, order: int, below: Tensor | None, gauss: Tensor | None
    ) -> Tensor:
        if below is None or gauss is None:
            distance = squared.sqrt()
            gauss = torch.exp(-(rate * rate) * squared)
            value = torch.erf(rate * distance).div_(distance)
        else:
            value = torch.addcmul((2 * order - 1) * below, _weight(rate, order), gauss, value=-1).div_(squared)
        _mend_near(value, squared, rate, order)
        ctx.order = order
        ctx.save_for_backward(squared, rate, value, gauss)
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        squared, rate, value, gauss = ctx.saved_tensors
        order = ctx.order
        grad_squared = grad_rate = None
        if ctx.needs_input_grad[0]:
            higher = _Smeared.apply(squared, rate, order + 1, value.detach(), gauss)  # type: ignore[no-untyped-call]
            grad_squared = -0.5 * grad * higher
        if ctx.needs_input_grad[1]:
            by_rate = 2 * rate * _weight(rate, order) * torch.exp(-(rate * rate) * squared)
            grad_rate = (grad * by_rate).sum_to_size(rate.shape)
        return grad_squared, grad_rate, None, None, None


def _weight(rate: Tensor, order: int) -> Tensor:
    """(2a²)^n/(√π a), finite for points too, where it meets an exponential that is zero."""
    weight = (2 * rate * rate) ** order / (rate * math.sqrt(math.pi))
    return weight if order < 4 else weight.clamp_max(torch.finfo(rate.dtype).max)


def _mend_near(value: Tensor, squared: Tensor, rate: Tensor, order: int) -> None:
    """Overwrite the entries where the recurrence cancels: (2a/√π)(2a²)^n F_n(a²r²), F_n the Boys function."""
    argument = rate * rate * squared
    near = argument < SERIES_BELOW
    if not near.any():
        return
    t, a = argument[near], rate.expand_as(argument)[near]
    boys = torch.ones_like(t)
    for k in range(SERIES_TERMS, 0, -1):
        boys.mul_(t * (2 / (2 * order + 2 * k + 1))).add_(1)
    boys /= 2 * order + 1
    value[near] = (2 / math.sqrt(math.pi)) * a * (2 * a * a) ** order * torch.exp(-t) * boys
