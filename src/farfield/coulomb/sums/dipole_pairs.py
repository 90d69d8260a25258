"""The linear map of pairs, (q, μ) to dE/d(q, μ), as compiled loops that autograd runs through to the second derivative
by positions; beyond, the same in plain torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from farfield.compiled import Array, numbers
from farfield.coulomb.kernels.numba import dipole_pairs

Blocks = Callable[[Tensor], Tensor]
"""Vectors ``(pairs, 3)`` to W ``(pairs, 4, 4)`` in plain torch, differentiable."""


@dataclass(frozen=True)
class DipolePairs:
    """Pairs that stay while their vectors are differentiated by."""

    i: Tensor  # (pairs,)
    j: Tensor  # (pairs,)
    vector: Array  # (pairs, 3)
    radial: Array  # (pairs, orders)
    blocks: Blocks

    @classmethod
    def of(cls, i: Tensor, j: Tensor, vector: Tensor, rate: Tensor, split: Tensor, blocks: Blocks) -> "DipolePairs":
        """Rates ``(pairs,)``, infinite for points; splittings ``(pairs,)``, zero in open space; not differentiated."""
        d = numbers(vector)
        return cls(i, j, d, dipole_pairs.radial((d * d).sum(1), numbers(rate), numbers(split)), blocks)

    def potentials(self, vector: Tensor, columns: Tensor) -> Tensor:
        """Evaluate dE/d(q, μ) ``(atoms, 4, channels)`` of columns (q, μ) alike; differentiable in both."""
        found: Tensor = _Potentials.apply(vector, columns, self)  # type: ignore[no-untyped-call]
        return found

    def run(self, loop: Callable[..., Array], *given: Tensor) -> Tensor:
        """Run one of the compiled loops."""
        found = loop(self.i.numpy(), self.j.numpy(), self.vector, self.radial, *map(numbers, given))
        return torch.from_numpy(found).to(given[-1].dtype)

    def hessian_vector(self, vector: Tensor, along: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Differentiate along·∂(left·potentials)/∂d by d ``(pairs, 3)``; differentiable where a graph is recorded."""
        if not torch.is_grad_enabled():
            return self.run(dipole_pairs.hessian_vector, along, left, right)
        d = vector.view_as(vector) if vector.requires_grad else vector.detach().requires_grad_()
        energy = (left * of_pairs(self.i, self.j, self.blocks(d))(right)).sum()
        (gradient,) = torch.autograd.grad(energy, d, create_graph=True)
        (found,) = torch.autograd.grad((gradient * along).sum(), d, create_graph=True)
        return found


class _Potentials(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vector: Tensor, columns: Tensor, pairs: DipolePairs) -> Tensor:
        ctx.pairs = pairs
        ctx.save_for_backward(vector, columns)
        return pairs.run(dipole_pairs.potentials, columns)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        vector, columns = ctx.saved_tensors
        grad_vector = grad_columns = None
        if ctx.needs_input_grad[0]:
            grad_vector = _PairGradient.apply(vector, grad, columns, ctx.pairs)  # type: ignore[no-untyped-call]
        if ctx.needs_input_grad[1]:
            grad_columns = ctx.pairs.potentials(vector, grad)
        return grad_vector, grad_columns, None


class _PairGradient(torch.autograd.Function):
    """∂/∂d of left·potentials(right)."""

    @staticmethod
    def forward(ctx: Any, vector: Tensor, left: Tensor, right: Tensor, pairs: DipolePairs) -> Tensor:
        ctx.pairs = pairs
        ctx.save_for_backward(vector, left, right)
        return pairs.run(dipole_pairs.gradient, left, right)

    @staticmethod
    def backward(ctx: Any, along: Tensor) -> tuple[Tensor | None, ...]:
        vector, left, right = ctx.saved_tensors
        grad_vector = grad_left = grad_right = None
        if ctx.needs_input_grad[0]:
            grad_vector = ctx.pairs.hessian_vector(vector, along, left, right)
        if ctx.needs_input_grad[1]:
            grad_left = _AlongVectors.apply(vector, along, right, ctx.pairs)  # type: ignore[no-untyped-call]
        if ctx.needs_input_grad[2]:
            grad_right = _AlongVectors.apply(vector, along, left, ctx.pairs)  # type: ignore[no-untyped-call]
        return grad_vector, grad_left, grad_right, None


class _AlongVectors(torch.autograd.Function):
    """Derivative of the potentials along a change of the vectors."""

    @staticmethod
    def forward(ctx: Any, vector: Tensor, along: Tensor, columns: Tensor, pairs: DipolePairs) -> Tensor:
        ctx.pairs = pairs
        ctx.save_for_backward(vector, along, columns)
        return pairs.run(dipole_pairs.along_vectors, along, columns)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        vector, along, columns = ctx.saved_tensors
        grad_vector = grad_along = grad_columns = None
        if ctx.needs_input_grad[0]:
            grad_vector = ctx.pairs.hessian_vector(vector, along, grad, columns)
        if ctx.needs_input_grad[1]:
            grad_along = _PairGradient.apply(vector, grad, columns, ctx.pairs)  # type: ignore[no-untyped-call]
        if ctx.needs_input_grad[2]:
            grad_columns = _AlongVectors.apply(vector, along, grad, ctx.pairs)  # type: ignore[no-untyped-call]
        return grad_vector, grad_along, grad_columns, None


def of_pairs(i: Tensor, j: Tensor, blocks: Tensor) -> Callable[[Tensor], Tensor]:
    """Prepare the map in plain torch, of blocks W ``(pairs, 4, 4)`` of the first source with the second."""

    def potentials(columns: Tensor) -> Tensor:
        total = torch.zeros_like(columns).index_add(0, i, blocks @ columns.index_select(0, j))
        return total.index_add(0, j, blocks.transpose(1, 2) @ columns.index_select(0, i))

    return potentials
