"""Conjugate gradients, without a matrix: Hestenes and Stiefel, J. Res. Natl. Bur. Stand. 49, 409 (1952).

Projected onto a subspace (all charge conserved, say) by a preconditioner whose results lie in it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from farfield.errors import ConvergenceError, InputError

Linear = Callable[[Tensor], Tensor]


class NotPositiveDefinite(InputError):
    """A direction along which the form curves downwards."""

    def __init__(self, message: str, direction: Tensor) -> None:
        super().__init__(message)
        self.direction = direction


@dataclass(frozen=True)
class Solution:
    """Values that solve operator(values) = right."""

    values: Tensor  # shaped as the right-hand side
    residual: float  # largest |right - operator(values)| left, in the units of ``right``
    steps: int  # applications of the operator


def conjugate_gradient(
    operator: Linear,  # symmetric, positive definite
    right: Tensor,  # any shape
    *,
    preconditioner: Linear | None = None,  # symmetric, positive definite; its range is where the solution is sought
    start: Tensor | None = None,  # shaped as ``right``
    tolerance: float,  # of the largest residual, in the units of ``right``
    most: int = 200,  # steps
    dot: Callable[[Tensor, Tensor], Tensor] | None = None,
    project: Linear | None = None,
) -> Solution:
    """Solve operator(values) = right. No graph is left behind: see ``implicit_gradient`` for derivatives.

    ``dot`` is the inner product, a number or one for every value of ``right`` (the sum over its own system, say, so
    that every system of a batch steps at its own length); the plain sum where absent. ``project`` takes from a residual
    what does not count, before its size is looked at. No more
    is asked for than rounding of the right-hand side allows.

    Raises:
        ConvergenceError: a residual above ``tolerance`` after ``most`` steps.
        NotPositiveDefinite: a direction with no curvature, or a negative one.
    """
    dot = dot or (lambda one, two: (one * two).sum())
    keep = project or (lambda residual: residual)
    precondition = preconditioner or keep
    with torch.no_grad():
        steps, values = 0, torch.zeros_like(right)
        left = keep(right)
        tolerance = max(tolerance, 32 * torch.finfo(right.dtype).eps * _largest(left))
        if start is not None:
            values, left, steps = start.detach(), keep(right - operator(start.detach())), 1
        search = direction = precondition(left)
        power = dot(left, search)
        while (size := _largest(left)) > tolerance:
            if steps >= most or size != size:
                raise ConvergenceError(
                    f"conjugate gradients left a residual of {size:.1e} after {steps} steps, asked for {tolerance:.1e}"
                )
            image = operator(direction)
            curvature = dot(direction, image)
            _refuse(curvature, dot(direction, direction), power, direction)
            length = _ratio(power, curvature)
            values, left = values + length * direction, keep(left - length * image)
            search = precondition(left)
            before, power = power, dot(left, search)
            direction = search + _ratio(power, before) * direction
            steps += 1
    return Solution(values, size, steps)


def _largest(residual: Tensor) -> float:
    return float(residual.abs().max()) if residual.numel() else 0.0


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """Zero where there is nothing left to do."""
    return torch.where(above > 0, above / torch.where(below > 0, below, 1.0), 0.0)


def _refuse(curvature: Tensor, squared: Tensor, power: Tensor, direction: Tensor) -> None:
    flat = (curvature <= torch.finfo(curvature.dtype).eps * squared) & (power > 0)
    if flat.any():
        where = torch.where(flat, direction, 0.0)
        raise NotPositiveDefinite(
            "the response is not positive definite: there is a direction without a minimum", where
        )
