"""Muon for the linear maps of a model, Adam for everything else: a few hundred steps do what Adam needs thousands for.

A linear map moves along its momentum made orthogonal, so that all its directions learn at one pace and not only the few
that dominate the gradient (Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024; scaled as in
Liu et al., arXiv:2502.16982). Weights here are of unit size whatever the fan-in, and so are the steps: both optimizers
move them by about the learning rate.
"""

from typing import Any

import torch
from torch import Tensor, nn

SMALLEST = 8
"""Maps with fewer rows or columns have too few directions to balance: Adam moves them."""

MAP_SIZE = 0.4
"""Size of a step of a linear map in learning rates; about what an element moves under Adam."""

POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""Odd quintic whose iteration takes every singular value to 0.7-1.2 (Jordan et al. 2024)."""


class MuonWithAdam(torch.optim.Optimizer):
    """One optimizer for all parameters of a model.

    Modules name their linear maps in ``linear_maps``: the last two axes are a matrix, those before count matrices. A
    matrix whose gradient is exactly zero (an element that the batch does not hold) rests, with its momentum: without
    its size an old momentum would go on pushing at full speed. Where ``paces`` of a module names one of its parameters,
    Adam moves it by that part of the learning rate: Adam's steps have the same size whether the data says much of a
    parameter or next to nothing. ``decay`` shrinks the matrices that move by that part
    of the learning rate, after Loshchilov and Hutter (arXiv:1711.05101).
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float,
        *,
        decay: float = 0.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
    ) -> None:
        maps = linear_maps(model)
        known = {id(p) for p in maps}
        self._paces = paces(model)
        others = [p for p in model.parameters() if id(p) not in known]
        groups = [{"params": part, "maps": which} for part, which in ((maps, True), (others, False)) if part]
        super().__init__(groups, {"lr": lr, "decay": decay, "momentum": momentum, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        if closure is not None:
            raise TypeError("this optimizer takes no closure: call backward() first, then step()")
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            if group["maps"]:
                self._muon(moved, group)
            else:
                self._adam(moved, group)

    def _muon(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        shapes: dict[torch.Size, list[Tensor]] = {}
        for p in parameters:
            shapes.setdefault(p.shape[-2:], []).append(p)
        for (rows, columns), alike in shapes.items():  # matrices of one shape go through together
            stacked = torch.cat([self._ahead(p, group["momentum"]).reshape(-1, rows, columns) for p in alike])
            size = MAP_SIZE * group["lr"] * max(rows, columns) ** 0.5  # an orthogonal matrix has entries 1/√max
            steps = (size * orthogonalized(stacked)).split([p.numel() // (rows * columns) for p in alike])
            for p, step in zip(alike, steps):
                p.mul_(torch.where(_moving(p), 1 - group["lr"] * group["decay"], 1.0)).sub_(step.view_as(p))

    def _ahead(self, p: Tensor, momentum: float) -> Tensor:
        """Nesterov's look-ahead of the momentum; zero for matrices at rest."""
        assert p.grad is not None
        sum_so_far = self.state[p].setdefault("momentum", torch.zeros_like(p))
        moving = _moving(p)
        sum_so_far.copy_(torch.where(moving, momentum * sum_so_far + p.grad, sum_so_far))
        return torch.where(moving, p.grad + momentum * sum_so_far, 0.0)

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
            rate = group["lr"] * self._paces.get(id(p), 1.0)
            p.addcdiv_(state["mean"], size, value=-rate / (1 - first ** state["steps"]))


def _moving(p: Tensor) -> Tensor:
    """Mark the matrices of a parameter that have a gradient ``(…, 1, 1)``."""
    assert p.grad is not None
    return (p.grad != 0).flatten(-2).any(-1)[..., None, None]


def linear_maps(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that map features to features, of a size that Muon is good for."""
    found = [getattr(module, name) for module in model.modules() for name in getattr(module, "linear_maps", ())]
    return [p for p in found if min(p.shape[-2:]) >= SMALLEST]


def paces(model: nn.Module) -> dict[int, float]:
    """Parts of the learning rate by which parameters move that modules name in ``paces``, by id."""
    named = [(getattr(module, name), pace) for module in model.modules() for name, pace in _named(module).items()]
    return {id(parameter): pace for parameter, pace in named}


def _named(module: nn.Module) -> dict[str, float]:
    found: dict[str, float] = getattr(module, "paces", {})
    return found


def orthogonalized(
    matrices: Tensor,  # (matrices, rows, columns)
    iterations: int = 5,
) -> Tensor:
    """Nearly the closest matrices with orthonormal rows or columns: singular values 0.7-1.2, the same vectors.

    Zero stays zero.
    """
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else matrices.mT
    largest = x.abs().amax((-2, -1), keepdim=True)
    x = torch.where(largest > 0, x / largest, 0.0)  # first: squares of small numbers would vanish in the norm
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp_min(1.0)
    a, b, c = POLYNOMIAL
    for _ in range(iterations):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    found: Tensor = x if wide else x.mT
    return found
