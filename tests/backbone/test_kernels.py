"""The compiled sums against plain torch, and their derivatives to second order against finite differences."""

import os
from contextlib import contextmanager

import ase
import numpy as np
import pytest
import torch

from farfield.backbone.bonds import bonds_of
from farfield.backbone.coupling import Coupling
from farfield.backbone.kernels import couple, gather
from farfield.geometry.neighbors import pairs_within
from farfield.model import new_model
from farfield.system import System

SMALL = {"atol": 1e-6, "rtol": 1e-5, "nondet_tol": 0.0}


@contextmanager
def reference():
    os.environ["FARFIELD_KERNELS"] = "reference"
    try:
        yield
    finally:
        del os.environ["FARFIELD_KERNELS"]


def bonds(atoms=6, seed=0):
    rng = np.random.default_rng(seed)
    frame = ase.Atoms(f"H{atoms}", rng.uniform(0, 3, (atoms, 3)), cell=3 * np.eye(3), pbc=True)  # bonds to images too
    return bonds_of(pairs_within(System.from_ase(frame), 2.0), atoms)


def random(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype, requires_grad=True)


def for_gather(l_max=2, channels=3, dtype=torch.float64, atoms=6):
    torch.manual_seed(0)
    found = bonds(atoms)
    count = len(found.ends)
    shapes = [(count, l_max + 1, channels), (count, (l_max + 1) ** 2), (atoms, channels)]
    return [random(*shape, dtype=dtype) for shape in shapes], found


def for_couple(l_max=2, l_out=1, symmetric=True, channels=3, dtype=torch.float64):
    torch.manual_seed(0)
    coupling = Coupling(l_max, l_out, l_out, symmetric=symmetric)
    element = torch.tensor([0, 1, 1, 0, 1])
    size = (l_max + 1) ** 2
    inputs = [
        random(coupling.n_paths, 2, channels, dtype=dtype),
        *(random(5, size, channels, dtype=dtype) for _ in "ab"),
    ]
    return inputs, coupling, element


@pytest.mark.parametrize("l_max", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gather_is_the_sum_over_neighbours(l_max, dtype):
    inputs, found = for_gather(l_max, 5, dtype)
    compiled = gather(*inputs, found)
    with reference():
        torch.testing.assert_close(compiled, gather(*inputs, found))
    radial, harmonics, sent = inputs  # and by hand, bond by bond, each seen from both ends
    density = torch.zeros_like(compiled)
    for bond, (i, j) in enumerate(found.ends.tolist()):
        for m in range((l_max + 1) ** 2):
            order = int(m**0.5)
            term = radial[bond, order] * harmonics[bond, m]
            density[i, m] += term * sent[j]
            density[j, m] += (-1) ** order * term * sent[i]
    torch.testing.assert_close(compiled, density)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("l_max", "l_out"), [(1, 0), (2, 2), (3, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_couple_is_the_sum_over_paths(l_max, l_out, symmetric, dtype):
    (weights, a, b), coupling, element = for_couple(l_max, l_out, symmetric, dtype=dtype)
    compiled = couple(coupling, weights, element, a, b)
    with reference():
        torch.testing.assert_close(compiled, couple(coupling, weights, element, a, b))


def test_derivatives_of_gather():
    inputs, found = for_gather(atoms=3)
    assert torch.autograd.gradcheck(lambda *x: gather(*x, found), inputs, **SMALL)
    assert torch.autograd.gradgradcheck(lambda *x: gather(*x, found), inputs, **SMALL)


@pytest.mark.parametrize("symmetric", [True, False])
def test_derivatives_of_couple(symmetric):
    inputs, coupling, element = for_couple(1, 1, symmetric, channels=2)
    product = lambda *x: couple(coupling, x[0], element, x[1], x[2])  # noqa: E731
    assert torch.autograd.gradcheck(product, inputs, **SMALL)
    assert torch.autograd.gradgradcheck(product, inputs, **SMALL)


def test_third_derivatives_agree_with_plain_torch():
    """Training on Born charges or Hessians differentiates once more."""
    inputs, found = for_gather(atoms=4)

    def third():
        value = gather(*inputs, found).pow(3).sum()
        first = torch.autograd.grad(value, inputs, create_graph=True)
        second = torch.autograd.grad(sum(x.square().sum() for x in first), inputs, create_graph=True)
        return torch.autograd.grad(sum(x.square().sum() for x in second), inputs)

    compiled = third()
    with reference():
        for ours, plain in zip(compiled, third()):
            torch.testing.assert_close(ours, plain)


def test_no_bonds():
    inputs = [torch.zeros(0, 3, 4), torch.zeros(0, 9), torch.randn(2, 4)]
    alone = bonds_of(pairs_within(System.from_ase(ase.Atoms("H2", [[0, 0, 0], [50, 0, 0]])), 2.0), 2)
    assert torch.equal(gather(*inputs, alone), torch.zeros(2, 9, 4))


def test_the_same_to_the_bit_on_any_number_of_threads():
    frame = ase.Atoms("H300", np.random.default_rng(0).uniform(0, 14, (300, 3)), cell=14 * np.eye(3), pbc=True)
    found = bonds_of(pairs_within(System.from_ase(frame), 4.0), 300)
    torch.manual_seed(0)
    shapes = [(len(found.ends), 3, 8), (len(found.ends), 9), (300, 8)]
    inputs = [random(*shape, dtype=torch.float32) for shape in shapes]
    weights, element = random(5, 2, 8, dtype=torch.float32), torch.arange(300) % 2
    coupling = Coupling(2, 0, 0, symmetric=False)
    weights = random(coupling.n_paths, 2, 8, dtype=torch.float32)

    def everything():
        density = gather(*inputs, found)
        value = couple(coupling, weights, element, density, density).square().sum()
        return [value, *torch.autograd.grad(value, [*inputs, weights])]

    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(everything())
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0][1:], other[1:]))


@pytest.mark.parametrize("keys", [{"l_max": 3}, {"l_max": 2, "correlation": 2, "layers": 3}])
def test_a_whole_model_by_both_ways(keys):
    model = new_model({"kind": "short_range"}, species=["H", "O"], backbone={"channels": 6, **keys}).train()
    rng = np.random.default_rng(1)
    frames = [ase.Atoms("OHHOHH", rng.uniform(0, 4, (6, 3)), cell=4.5 * np.eye(3), pbc=True) for _ in range(2)]
    system = System.from_ase(frames)

    def gradients():
        found = model(system, ("energy", "forces", "stress"))
        loss = found.forces.square().mean() + found.stress.square().sum()
        return [found.forces, *torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)]

    compiled = gradients()
    with reference():
        for ours, plain in zip(compiled, gradients()):
            if plain is None:
                assert ours is None
            else:
                largest = plain.detach().abs().max().item()
                torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-9 * largest + 1e-20)
