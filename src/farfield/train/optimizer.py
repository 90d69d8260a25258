"""Muon for matrices, Adam for everything else: in a few hundred steps what Adam alone needs thousands for.

A matrix moves along its momentum made orthogonal, so that all its directions learn at one pace and not only the few
that dominate the gradient (Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024; scaled as in
Liu et al., arXiv:2502.16982). Weights here are of unit size whatever the fan-in, and so are the steps: both optimizers
move them by about the learning rate.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

SMALLEST = 8
"""Matrices with fewer rows or columns have too few directions to balance: Adam moves them."""

MATRIX_SIZE = 0.4
"""Size of a step of a matrix in learning rates; about what an element moves under Adam."""

POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""Odd quintic whose iteration takes every singular value to 0.7-1.2 (Jordan et al. 2024)."""


class MuonWithAdam(torch.optim.Optimizer):
    """One optimizer for all: the last two axes of a parameter are a matrix, those before count matrices."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        *,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        if closure is not None:
            raise TypeError("this optimizer takes no closure: call backward() first, then step()")
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            self._muon([p for p in moved if is_matrix(p)], group)
            self._adam([p for p in moved if not is_matrix(p)], group)

    def _muon(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        shapes: dict[torch.Size, list[Tensor]] = {}
        for p in parameters:
            shapes.setdefault(p.shape[-2:], []).append(p)
        for (rows, columns), alike in shapes.items():  # matrices of one shape go through together
            stacked = torch.cat([self._ahead(p, group["momentum"]).reshape(-1, rows, columns) for p in alike])
            size = MATRIX_SIZE * group["lr"] * max(rows, columns) ** 0.5  # an orthogonal matrix has entries 1/√max
            steps = (size * orthogonalized(stacked)).split([p.numel() // (rows * columns) for p in alike])
            for p, step in zip(alike, steps):
                p.sub_(step.view_as(p))

    def _ahead(self, p: Tensor, momentum: float) -> Tensor:
        """Nesterov's look-ahead of the momentum."""
        assert p.grad is not None
        sum_so_far = self.state[p].setdefault("momentum", torch.zeros_like(p))
        sum_so_far.mul_(momentum).add_(p.grad)
        return p.grad.add(sum_so_far, alpha=momentum)

    def _adam(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        first, second = group["betas"]
        for p in parameters:
            assert p.grad is not None
            state = self.state[p]
            if not state:
                state.update(steps=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
            state["steps"] += 1
            state["mean"].lerp_(p.grad, 1 - first)
            state["square"].mul_(second).addcmul_(p.grad, p.grad, value=1 - second)
            size = (state["square"] / (1 - second ** state["steps"])).sqrt_().add_(1e-8)
            p.addcdiv_(state["mean"], size, value=-group["lr"] / (1 - first ** state["steps"]))


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon moves it."""
    return parameter.ndim >= 2 and min(parameter.shape[-2:]) >= SMALLEST


def orthogonalized(
    matrices: Tensor,  # (matrices, rows, columns)
    iterations: int = 5,
) -> Tensor:
    """Nearly the closest matrices with orthonormal rows or columns: singular values 0.7-1.2, the same vectors."""
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else matrices.mT
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-30)
    a, b, c = POLYNOMIAL
    for _ in range(iterations):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    found: Tensor = x if wide else x.mT
    return found
