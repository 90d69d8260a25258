"""Compiled sums over pairs of charges and dipoles against the same in plain torch."""

import pytest
import torch

from farfield.coulomb.functions.pair_tensors import pair_blocks
from farfield.coulomb.functions.radial import bare_orders, smeared_orders
from farfield.coulomb.kernels.numba import dipole_pairs
from farfield.coulomb.sums.dipole_pairs import DipolePairs, of_pairs

ATOMS, CHANNELS = 6, 2


def made(points=False, split=0.25):
    generator = torch.Generator().manual_seed(2)
    i, j = torch.triu_indices(ATOMS, ATOMS, 1)
    positions = 2 * torch.randn(ATOMS, 3, generator=generator, dtype=torch.float64)
    rate = 0.3 + torch.rand(len(i), generator=generator, dtype=torch.float64)
    far = torch.full_like(rate, split)

    def blocks(vector):
        squared = vector.square().sum(1)
        near = bare_orders(squared, 2) if points else smeared_orders(squared, rate, 2)
        if split:
            near = [a - b for a, b in zip(near, smeared_orders(squared, far, 2))]
        return pair_blocks(vector, near)

    vector = (positions[j] - positions[i]).requires_grad_()
    rate = torch.full_like(rate, torch.inf) if points else rate
    return DipolePairs.of(i, j, vector, rate, far, blocks), vector, (i, j, rate, far, blocks)


def columns(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(ATOMS, 4, CHANNELS, generator=generator, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(("points", "split"), [(False, 0.25), (False, 0.0), (True, 0.0), (True, 0.3)])
def test_potentials_are_those_of_plain_torch(points, split):
    pairs, vector, (i, j, _, _, blocks) = made(points, split)
    torch.testing.assert_close(pairs.potentials(vector, columns(1)), of_pairs(i, j, blocks(vector))(columns(1)))


def test_derivatives_to_the_third_order():
    _, vector, (i, j, rate, far, blocks) = made()

    def potentials(vector, given):
        return DipolePairs.of(i, j, vector, rate, far, blocks).potentials(vector, given)

    def slopes(vector, given):
        return torch.autograd.grad((potentials(vector, given) * columns(4)).sum(), (vector, given), create_graph=True)

    assert torch.autograd.gradcheck(potentials, (vector, columns(1)))
    assert torch.autograd.gradgradcheck(potentials, (vector, columns(1)))
    assert torch.autograd.gradgradcheck(slopes, (vector, columns(1)))


def test_the_last_derivative_is_compiled_where_no_graph_is_asked_for():
    pairs, vector, _ = made()
    along = torch.randn(vector.shape, dtype=torch.float64)
    with torch.no_grad():
        compiled = pairs.hessian_vector(vector, along, columns(1), columns(3))
    torch.testing.assert_close(compiled, pairs.hessian_vector(vector, along, columns(1), columns(3)).detach())


def test_radial_functions_keep_their_digits_at_every_distance():
    squared = torch.cat([torch.zeros(1), torch.logspace(-8, 3, 200)]).double()
    for rate in (0.2, 1.0, 4.0):
        rates = torch.full_like(squared, rate)
        found = dipole_pairs.radial(squared.numpy(), rates.numpy(), 0 * rates.numpy())
        expected = torch.stack(smeared_orders(squared, rates, dipole_pairs.ORDERS - 1), 1)
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-11, atol=0)
