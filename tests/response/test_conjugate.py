"""Conjugate gradients and the derivatives carried over a solve, against dense algebra."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from farfield.errors import ConvergenceError, InputError
from farfield.response import conjugate_gradient, implicit_gradient
from farfield.response.solvers.conjugate_gradient import NotPositiveDefinite


def positive(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(count, count, generator=generator, dtype=torch.float64)
    return root @ root.T + count * torch.eye(count, dtype=torch.float64)


def test_solves():
    matrix, right = positive(30), torch.linspace(-1, 1, 30, dtype=torch.float64)
    found = conjugate_gradient(lambda x: matrix @ x, right, tolerance=1e-12)
    torch.testing.assert_close(matrix @ found.values, right, atol=1e-11, rtol=0)
    assert found.residual <= 1e-12
    assert 0 < found.steps <= 31


def test_a_preconditioner_and_a_good_start_save_steps():
    matrix, right = positive(30) + torch.diag(torch.logspace(0, 4, 30).double()), torch.ones(30).double()
    exact = torch.linalg.solve(matrix, right)
    plain = conjugate_gradient(lambda x: matrix @ x, right, tolerance=1e-10)
    scaled = conjugate_gradient(
        lambda x: matrix @ x, right, preconditioner=lambda r: r / matrix.diagonal(), tolerance=1e-10
    )
    near = conjugate_gradient(lambda x: matrix @ x, right, start=exact * (1 + 1e-8), tolerance=1e-8)
    assert near.steps < scaled.steps < plain.steps
    assert conjugate_gradient(lambda x: matrix @ x, right, start=exact, tolerance=1e-8).steps == 1


def test_systems_step_at_their_own_length():
    """Blocks with an inner product of their own need no more steps than the worst of them."""
    blocks = [positive(6, 1), 1e4 * positive(6, 2)]
    right = torch.linspace(-1, 1, 12, dtype=torch.float64)

    def own(one, two):
        return (one * two).reshape(2, 6).sum(1).repeat_interleave(6)

    found = conjugate_gradient(lambda x: torch.block_diag(*blocks) @ x, right, tolerance=1e-11, dot=own)
    alone = [conjugate_gradient(lambda x, b=b: b @ x, part, tolerance=1e-11) for b, part in zip(blocks, right.split(6))]
    torch.testing.assert_close(found.values, torch.cat([one.values for one in alone]), atol=1e-12, rtol=0)
    assert found.steps == max(one.steps for one in alone)


def test_failures_are_said():
    matrix, right = positive(30), torch.ones(30).double()
    with pytest.raises(ConvergenceError, match=r"residual of .* after 3 steps, asked for 1.0e-12"):
        conjugate_gradient(lambda x: matrix @ x, right, tolerance=1e-12, most=3)
    with pytest.raises(InputError, match="not positive definite"):
        conjugate_gradient(lambda x: -matrix @ x, right, tolerance=1e-12)
    indefinite = torch.diag(torch.tensor([1.0, -1.0, 1.0]).double())
    with pytest.raises(NotPositiveDefinite) as failure:
        conjugate_gradient(lambda x: indefinite @ x, torch.tensor([0.0, 1.0, 0.0]).double(), tolerance=1e-12)
    assert int(failure.value.direction.abs().argmax()) == 1


def test_derivatives_are_carried():
    def solved(root, right):
        matrix = root @ root.T + torch.eye(4, dtype=torch.float64) + torch.triu(root)  # not symmetric
        with torch.no_grad():
            inverse = torch.linalg.inv(matrix)
        return implicit_gradient(
            inverse @ right.detach(), lambda x: matrix @ x - right, lambda r: inverse @ r, lambda r: inverse.T @ r
        )

    generator = torch.Generator().manual_seed(3)
    inputs = [torch.randn(n, generator=generator, dtype=torch.float64, requires_grad=True) for n in ((4, 4), (4,))]
    assert gradcheck(solved, inputs)
    assert gradgradcheck(solved, inputs)
