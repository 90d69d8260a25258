"""The constrained minimum of a quadratic form, batched: min over q of slope·q + ½ q·M·q at Σq = total.

The constraint is lifted by writing the first charge of each system as total minus the others; what is left has the
reduced matrix R_ij = M_ij - M_i0 - M_0j + M_00, positive definite exactly where the minimum exists. Derivatives of
x = R⁻¹b are solves with the same R (implicit differentiation), to any order, so that no iteration is taken apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from farfield.errors import ConvergenceError

Solve = Callable[[Tensor], Tensor]
"""R⁻¹ applied to ``(systems, n)``, without a graph."""


@dataclass(frozen=True)
class Minimum:
    """Where the form is least; zeros where padded."""

    values: Tensor  # (systems, longest)
    residual: Tensor  # (systems,) largest slope left along the constraint
    steps: int  # of the iteration; 0 for the direct solve


def constrained_minimum(
    matrix: Tensor,  # (systems, longest, longest), symmetric
    slope: Tensor,  # (systems, longest)
    total: Tensor,  # (systems,)
    mask: Tensor,  # (systems, longest), True where real; the real ones first
    *,
    method: Literal["dense", "cg"] = "dense",
    tolerance: float = 1e-8,
) -> Minimum:
    """The minimum, differentiable to any order in matrix, slope and total.

    Raises:
        ConvergenceError: no minimum (the matrix is not positive definite along the constraint), or conjugate
            gradients that stop short of ``tolerance``.
    """
    first = torch.zeros_like(slope)
    first[:, 0] = 1.0
    start = first * total.unsqueeze(1)
    reduced, pulled = _reduce(matrix, slope + (matrix @ start.unsqueeze(2)).squeeze(2), mask)
    scale = (matrix.detach().abs() * mask.unsqueeze(1)).amax((1, 2))
    solver = _Cholesky(reduced.detach(), scale) if method == "dense" else _Conjugate(reduced.detach(), scale, tolerance)
    others: Tensor = -_Solve.apply(reduced, pulled, solver)  # type: ignore[no-untyped-call]
    values = start + torch.cat([-others.sum(1, keepdim=True), others], 1)
    slope_left = (torch.einsum("sij,sj->si", reduced, others) + pulled).detach()
    residual = slope_left.abs().amax(1) if slope_left.shape[1] else slope_left.new_zeros(len(slope_left))
    return Minimum(values, residual, solver.steps)


def _reduce(matrix: Tensor, slope: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Matrix and slope left to all but the first; the identity and zero where padded."""
    real = mask[:, 1:]
    row = matrix[:, :1, 1:]
    reduced = matrix[:, 1:, 1:] - row - row.transpose(1, 2) + matrix[:, :1, :1]
    pairs = real.unsqueeze(1) & real.unsqueeze(2)
    eye = torch.eye(real.shape[1], dtype=matrix.dtype, device=matrix.device)
    return torch.where(pairs, reduced, eye), torch.where(real, slope[:, 1:] - slope[:, :1], 0.0)


class _Solve(torch.autograd.Function):
    """x = R⁻¹ b for symmetric R; the adjoint of a solve is a solve: b̄ = R⁻¹ x̄, R̄ = -b̄ ⊗ x."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, right: Tensor, solver: Solve) -> Tensor:
        solution = solver(right)
        ctx.solver = solver
        ctx.save_for_backward(matrix, solution)
        return solution

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        matrix, solution = ctx.saved_tensors
        to_right: Tensor = _Solve.apply(matrix, grad, ctx.solver)  # type: ignore[no-untyped-call]
        return -to_right.unsqueeze(2) * solution.unsqueeze(1), to_right, None


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
        before = torch.ones_like(right[:, 0])
        for step in range(20 * right.shape[1] + 20):
            if float(left.abs().max()) <= self._tolerance:
                self.steps = max(self.steps, step)
                return solution
            preconditioned = left / self._diagonal
            after = (left * preconditioned).sum(1)
            ratio = torch.where(before > 0, after / before, 0.0) if step else torch.zeros_like(after)
            direction = preconditioned + ratio.unsqueeze(1) * direction
            solution, left = self._advance(solution, left, direction, after)
            before = after
        raise ConvergenceError(
            f"conjugate gradients left a residual of {float(left.abs().max()):.1e} V after {step + 1} steps, "
            f'asked for {self._tolerance:.1e}; solver="dense" is exact'
        )

    def _advance(self, solution: Tensor, left: Tensor, direction: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        image = (self._matrix @ direction.unsqueeze(2)).squeeze(2)
        curvature = (direction * image).sum(1)
        moving = left.abs().amax(1) > self._tolerance
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
