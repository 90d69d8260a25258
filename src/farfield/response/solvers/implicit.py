"""Derivatives of what a solve returns, without a graph through the solve.

Where a residual r(x, θ) is zero, a Newton step x - J⁻¹ r(x, θ) with the inverse of its slope J = ∂r/∂x held fixed moves
nothing, but its derivative by θ is the implicit one, -J⁻¹ ∂r/∂θ. Each further step is exact to one order more. For a
residual that is linear in x this costs one application of the operator a step, and its transpose on the way back.

The least value of a quadratic energy is E(x, θ) - ½ r·J⁻¹·r at a fixed x where its slope r is zero: how x moves is in
no first derivative, and in the second ones by that last term.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Linear = Callable[[Tensor], Tensor]

ORDERS = 2
"""Derivatives that come out exact: training on forces asks for two."""


def implicit_gradient(
    values: Tensor,  # where the residual vanishes
    residual: Linear,  # values to the residual, with the graph of whatever it depends on
    solve: Linear,  # J⁻¹; no graph needed
    transposed: Linear | None = None,  # J⁻ᵀ; J is symmetric where absent
    *,
    known: Tensor | None = None,  # the residual of the values, where it is at hand
) -> Tensor:
    """Attach the implicit derivative to ``values`` that solve residual(values) = 0.

    Values are unchanged; first and second derivatives are exact; nothing is done where no graph is recorded.
    """
    if not torch.is_grad_enabled():
        return values
    for _ in range(ORDERS):
        left = residual(values) if known is None else known
        step: Tensor = _NewtonStep.apply(left, solve, transposed or solve)  # type: ignore[no-untyped-call]
        values, known = values - step, None
    return values


def implicit_energy_correction(residual: Tensor, solve: Linear) -> Tensor:
    """Evaluate -½ r·J⁻¹·r of a residual ``(rows, …)`` that is zero, as rows to sum: zeros with second derivatives.

    ``solve`` must not mix what is summed apart.
    """
    rows: Tensor = _EnergyCorrection.apply(residual, solve)  # type: ignore[no-untyped-call]
    return rows


class _EnergyCorrection(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, residual: Tensor, solve: Linear) -> Tensor:
        ctx.solve = solve
        ctx.save_for_backward(residual)
        return torch.zeros_like(residual)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None]:
        if not torch.is_grad_enabled():
            return None, None  # no slope, and nobody asks for the curvature
        (residual,) = ctx.saved_tensors
        return -grad * _Solve.apply(residual, ctx.solve, ctx.solve), None  # type: ignore[no-untyped-call]


class _NewtonStep(torch.autograd.Function):
    """J⁻¹ r at fixed J where r is zero: nothing, but with a derivative."""

    @staticmethod
    def forward(ctx: Any, right: Tensor, solve: Linear, transposed: Linear) -> Tensor:
        ctx.solve, ctx.transposed = solve, transposed
        return torch.zeros_like(right)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _Solve.apply(grad, ctx.transposed, ctx.solve), None, None  # type: ignore[no-untyped-call]


class _Solve(torch.autograd.Function):
    """J⁻¹ r at fixed J, which turns into J⁻ᵀ on the way back."""

    @staticmethod
    def forward(ctx: Any, right: Tensor, solve: Linear, transposed: Linear) -> Tensor:
        ctx.solve, ctx.transposed = solve, transposed
        return solve(right)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _Solve.apply(grad, ctx.transposed, ctx.solve), None, None  # type: ignore[no-untyped-call]
