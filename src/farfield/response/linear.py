"""The constrained minimum of a quadratic form, batched: min over q of slope·q + ½ q·M·q at Σq = total.

The constraint is lifted by writing the first charge of each system as total minus the others; what is left has the
reduced matrix R_ij = M_ij - M_i0 - M_0j + M_00, positive definite exactly where the minimum exists.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from farfield.errors import ConvergenceError

Method = Literal["dense", "cg"]

CORRECTIONS = 2
"""Newton steps that carry the derivatives: each raises the order to which they are exact by one."""


@dataclass(frozen=True)
class Minimum:
    """Where the form is least; zeros where padded."""

    values: Tensor  # (systems, longest)
    residual: Tensor  # (systems,) largest slope left along the constraint
    steps: int  # of the iteration; 0 for the direct solve


def constrained_minimum(
    matrix: Tensor,  # (systems, longest, longest), symmetric; its values only
    total: Tensor,  # (systems,)
    mask: Tensor,  # (systems, longest), True where real; the real ones first
    slope: Callable[[Tensor], Tensor],  # values (systems, longest) to slope + M·values, with the graph
    *,
    method: Method = "dense",
    tolerance: float = 1e-8,
) -> Minimum:
    """The minimum, twice differentiable in whatever ``slope`` and ``total`` depend on.

    ``matrix`` is factored (or iterated on) without a graph. At its minimum, Newton steps with that fixed inverse
    change no value but carry the derivatives of ``slope`` over to the values, one more order exactly with each step,
    for the price of one application of the matrix instead of a graph through all its entries.

    Raises:
        ConvergenceError: no minimum (the matrix is not positive definite along the constraint), or conjugate
            gradients that stop short of ``tolerance``.
    """
    reduced = _reduced(matrix.detach(), mask)
    scale = (matrix.detach().abs() * mask.unsqueeze(1)).amax((1, 2))
    solver = _Cholesky(reduced, scale) if method == "dense" else _Conjugate(reduced, scale, tolerance)
    first = torch.zeros_like(matrix[:, 0])
    first[:, 0] = 1.0
    with torch.no_grad():
        values = _step(first * total.unsqueeze(1), slope, solver, mask)
        values = _step(values, slope, solver, mask)  # takes off what rounding left
        # the first has nothing to trade with itself
        left = torch.nn.functional.pad(_along(slope(values), mask), (1, 0))
    if torch.is_grad_enabled():
        values = values + first * (total - total.detach()).unsqueeze(1)
        for _ in range(CORRECTIONS):
            values = _step(values, slope, solver, mask)
    return Minimum(values, left.abs().amax(1), solver.steps)


def _step(values: Tensor, slope: Callable[[Tensor], Tensor], solver: "_Cholesky | _Conjugate", mask: Tensor) -> Tensor:
    others: Tensor = _Solve.apply(_along(slope(values), mask), solver)  # type: ignore[no-untyped-call]
    return values + torch.cat([others.sum(1, keepdim=True), -others], 1)


def _along(slope: Tensor, mask: Tensor) -> Tensor:
    """Slope towards each other charge at the expense of the first ``(systems, longest - 1)``."""
    return torch.where(mask[:, 1:], slope[:, 1:] - slope[:, :1], 0.0)


def _reduced(matrix: Tensor, mask: Tensor) -> Tensor:
    """R; the identity where padded."""
    real, row = mask[:, 1:], matrix[:, :1, 1:]
    reduced = matrix[:, 1:, 1:] - row - row.transpose(1, 2) + matrix[:, :1, :1]
    eye = torch.eye(real.shape[1], dtype=matrix.dtype, device=matrix.device)
    return torch.where(real.unsqueeze(1) & real.unsqueeze(2), reduced, eye)


class _Solve(torch.autograd.Function):
    """R⁻¹b at fixed symmetric R: its own adjoint."""

    @staticmethod
    def forward(ctx: Any, right: Tensor, solver: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.solver = solver
        return solver(right)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _Solve.apply(grad, ctx.solver), None  # type: ignore[no-untyped-call]


class _Cholesky:
    """Factor once, solve often; the factor exists exactly where the minimum does."""

    steps = 0

    def __init__(self, matrix: Tensor, scale: Tensor) -> None:
        self._factor, failed = torch.linalg.cholesky_ex(matrix)
        if matrix.shape[1]:
            pivots = self._factor.diagonal(dim1=1, dim2=2).square().amin(1)
            # a pivot that is rounding of the matrix is no pivot
            lost = pivots <= 8 * matrix.shape[1] * torch.finfo(matrix.dtype).eps * scale
            _refuse((failed != 0) | lost | ~torch.isfinite(pivots))

    def __call__(self, right: Tensor) -> Tensor:
        if not right.shape[1]:
            return right.clone()
        return torch.cholesky_solve(right.unsqueeze(2), self._factor).squeeze(2)


class _Conjugate:
    """Conjugate gradients with the diagonal as preconditioner; all systems step together."""

    def __init__(self, matrix: Tensor, scale: Tensor, tolerance: float) -> None:
        self._matrix, self._scale, self._tolerance = matrix, scale, tolerance
        self._diagonal = matrix.diagonal(dim1=1, dim2=2)
        self.steps = 0
        _refuse((self._diagonal <= torch.finfo(matrix.dtype).eps * scale.unsqueeze(1)).any(1))

    def __call__(self, right: Tensor) -> Tensor:
        solution, left = torch.zeros_like(right), right.clone()
        if not right.shape[1]:
            return solution
        direction = torch.zeros_like(right)
        tolerance = self._floor(right)
        before = torch.ones_like(right[:, 0])
        for step in range(20 * right.shape[1] + 20):
            if float(left.abs().max()) <= tolerance:
                self.steps = max(self.steps, step)
                return solution
            preconditioned = left / self._diagonal
            after = (left * preconditioned).sum(1)
            ratio = torch.where(before > 0, after / before, 0.0) if step else torch.zeros_like(after)
            direction = preconditioned + ratio.unsqueeze(1) * direction
            moving = left.abs().amax(1) > tolerance
            solution, left = self._advance(solution, left, direction, torch.where(moving, after, 0.0))
            before = after
        raise ConvergenceError(
            f"conjugate gradients left a residual of {float(left.abs().max()):.1e} V after {step + 1} steps, "
            f'asked for {self._tolerance:.1e}; solver="dense" is exact'
        )

    def _floor(self, right: Tensor) -> float:
        """The tolerance, or what rounding leaves of the right-hand side."""
        return max(self._tolerance, 32 * torch.finfo(right.dtype).eps * float(right.abs().max()))

    def _advance(self, solution: Tensor, left: Tensor, direction: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """One step where ``after`` is not 0: the others have arrived."""
        image = (self._matrix @ direction.unsqueeze(2)).squeeze(2)
        curvature = (direction * image).sum(1)
        moving = after > 0
        flat = curvature <= torch.finfo(left.dtype).eps * self._scale * direction.square().sum(1)
        _refuse(moving & flat)
        length = torch.where(moving, after / torch.where(moving, curvature, 1.0), 0.0).unsqueeze(1)
        return solution + length * direction, left - length * image


def _refuse(failed: Tensor) -> None:
    if failed.any():
        systems = failed.nonzero().squeeze(1).tolist()
        raise ConvergenceError(
            f"structure {', '.join(map(str, systems))}: no charges minimise the energy, because hardness + Coulomb "
            "matrix is not positive definite at fixed total charge (atoms too close for their hardness: raise the "
            "hardness, or give the charges Gaussian widths)"
        )
