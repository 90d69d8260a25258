"""Anderson's mixing on maps whose fixed point is known."""

import math

import ase
import pytest
import torch

import farfield as ff
from farfield.response.solvers.fixed_point import fixed_point


def batch(*sizes):
    return ff.System.from_ase([ase.Atoms("H" * n, [[2.0 * k, 0, 0] for k in range(n)]) for n in sizes])


def linear(system, size, seed=0):
    """A map x → Bx + c that keeps systems apart, of spectral radius ``size``; and its fixed point."""
    n, generator = system.n_atoms, torch.Generator().manual_seed(seed)
    matrix = torch.randn(n, n, generator=generator, dtype=torch.float64)
    matrix = matrix @ matrix.T
    same = system.system_index[:, None] == system.system_index[None]
    matrix = torch.where(same, matrix, 0.0)
    matrix = -size * matrix / torch.linalg.eigvalsh(matrix)[-1]
    right = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    found = torch.linalg.solve(torch.eye(n, dtype=torch.float64) - matrix, right)
    return lambda x: matrix @ x + right, found


def as_it_is(residual):
    return residual


@pytest.mark.parametrize("size", [0.5, 5.0])
def test_it_gets_there_also_where_plain_steps_run_away(size):
    system = batch(8, 5)
    step, expected = linear(system, size)
    start = torch.zeros_like(expected)
    found = fixed_point(step, start, system, precondition=as_it_is, tolerance=1e-10)
    torch.testing.assert_close(found.values, expected, rtol=0, atol=1e-9)
    assert found.residual <= 1e-10
    assert found.steps < 40
    plain = fixed_point(step, start, system, precondition=as_it_is, tolerance=1e-10, depth=0, most=60)
    assert (plain.residual <= 1e-10) == (size < 1)


def test_systems_of_a_batch_go_their_own_ways():
    both, one = batch(6, 6), batch(6)
    step, _ = linear(one, 3.0)
    other, _ = linear(one, 0.3, seed=1)
    zero = torch.zeros(6, 2, dtype=torch.float64)

    def together(x):
        return torch.cat([step(x[:6]), other(x[6:])])

    for count in (3, 5):
        found = fixed_point(together, torch.cat([zero, zero]), both, precondition=as_it_is, tolerance=0.0, most=count)
        alone = fixed_point(step, zero, one, precondition=as_it_is, tolerance=0.0, most=count)
        torch.testing.assert_close(found.values[:6], alone.values)


def test_a_system_that_is_there_stays_there():
    system = batch(4, 1)

    def step(x):
        return torch.cat([0.5 * x[:4] + 1, x[4:]])

    found = fixed_point(step, torch.ones(5, 1, dtype=torch.float64), system, precondition=as_it_is, tolerance=1e-12)
    torch.testing.assert_close(found.values[:, 0], torch.tensor([2.0, 2, 2, 2, 1], dtype=torch.float64))


def test_what_cannot_be_reached_is_said():
    system = batch(2)
    found = fixed_point(lambda x: x + 1, torch.zeros(2, 1), system, precondition=as_it_is, tolerance=1e-6, most=7)
    assert found.residual == pytest.approx(1)
    assert found.steps == 7
    lost = fixed_point(lambda x: x * math.nan, torch.zeros(2, 1), system, precondition=as_it_is, tolerance=1e-6)
    assert not math.isfinite(lost.residual)
