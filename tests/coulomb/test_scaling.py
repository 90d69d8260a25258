"""Exclusions, and damping by Thole's functions."""

import ase
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from farfield.coulomb import Coulomb, PairScaling, Sources
from farfield.errors import InputError
from farfield.system import System, concatenate
from farfield.units import COULOMB

EXACT = Coulomb(error=1e-9)
THOLE = 0.39


def _system(positions, cell, pbc):
    return System.from_ase(ase.Atoms([1] * len(positions), positions=positions, cell=cell, pbc=pbc))


@pytest.fixture
def scene(rng, apart, triclinic):
    def build(pbc, count=5):
        cell = triclinic(rng)
        return _system(apart(rng, count, cell), cell, pbc), torch.from_numpy(rng.normal(size=count))

    return build


def _thole(squared):
    """λ_0, λ_1, λ_2 of the exponential charge distribution (Thole 1981, as in AMOEBA), for α_i α_j = 1 Å⁶."""
    u = THOLE * squared**1.5
    decay = torch.exp(-u)
    return torch.stack([torch.ones_like(u), 1 - decay, 1 - (1 + u) * decay], 1)


@pytest.mark.parametrize("method", ["auto", "mesh"])
@pytest.mark.parametrize("pbc", [(True,) * 3, (True, True, False), (False,) * 3])
@pytest.mark.parametrize("gaussian", [False, True])
def test_an_excluded_pair_is_not_there(pbc, method, gaussian, scene):
    system, charges = scene(pbc)
    widths = torch.tensor([0.3, 0.0, 0.5, 0.2, 0.4]).double() if gaussian else None
    coulomb = Coulomb(error=1e-9, method=method)
    pairs = PairScaling(torch.tensor([0, 3]), torch.tensor([2, 1]), torch.tensor([0.0, 0.25]).double())
    found = coulomb.energy(system, charges=charges, widths=widths, pairs=pairs)
    expected = coulomb.energy(system, charges=charges, widths=widths)
    for i, j, missing in ((0, 2, 1.0), (3, 1, 0.75)):
        two = _system(system.positions[[i, j]].numpy(), None, False)
        narrow = None if widths is None else widths[[i, j]]
        alone = EXACT.energy(two, charges=charges[[i, j]], widths=narrow, self_energy=False)
        expected = expected - missing * alone
    torch.testing.assert_close(found, expected, atol=1e-7, rtol=1e-9)


def test_an_image_may_be_meant(scene):
    system, charges = scene((True,) * 3)
    shift = torch.tensor([[1.0, 0, -1]]).double()
    pairs = PairScaling(torch.tensor([1]), torch.tensor([1]), torch.zeros(1).double(), shift)
    distance = float((shift @ system.cell[0]).norm())
    expected = EXACT.energy(system, charges=charges) - COULOMB * charges[1] ** 2 / distance
    torch.testing.assert_close(EXACT.energy(system, charges=charges, pairs=pairs), expected)


def test_damped_dipoles(rng):
    """T = λ_1 B_1 - λ_2 B_2 d⊗d of two dipoles, and λ_1 B_1 of a charge and a dipole."""
    system = _system([[0, 0, 0], [0.3, -0.8, 1.1]], None, False)
    d = system.positions[1]
    r = float(d.norm())
    dipoles, charges = torch.from_numpy(rng.normal(size=(2, 3))), torch.from_numpy(rng.normal(size=2))
    _, first, second = _thole(d.square().sum()[None])[0]
    one, two = dipoles
    expected = (one @ two) * first / r**3 - 3 * (one @ d) * (two @ d) * second / r**5
    expected = expected + (charges[1] * (one @ d) - charges[0] * (two @ d)) * first / r**3 + charges.prod() / r
    pairs = PairScaling(torch.tensor([0]), torch.tensor([1]), _thole)
    energy = EXACT.energy(system, charges=charges, dipoles=dipoles, pairs=pairs)
    assert float(energy) == pytest.approx(COULOMB * float(expected), rel=1e-12)


@pytest.mark.parametrize("pbc", [(True,) * 3, (False, True, False), (False,) * 3])
def test_derivatives_and_evaluation(pbc, scene, rng):
    system, charges = scene(pbc, 3)
    dipoles = torch.from_numpy(rng.normal(size=(3, 3)))
    pairs = PairScaling(torch.tensor([0, 1]), torch.tensor([1, 2]), _thole, torch.zeros(2, 3).double())
    plan = EXACT.plan(system, rank=1)

    def energy(positions, strain, charges, dipoles):
        moved = system.with_positions(positions).strained(strain)
        return EXACT.energy(moved, charges=charges, dipoles=dipoles, pairs=pairs, plan=plan)

    strain = torch.zeros(1, 3, 3).double()
    inputs = [x.clone().requires_grad_() for x in (system.positions, strain, charges, dipoles)]
    assert gradcheck(energy, inputs, eps=1e-5, atol=1e-4)
    assert gradgradcheck(energy, inputs, eps=1e-5, atol=1e-3, fast_mode=True)
    slopes = torch.autograd.grad(energy(*inputs).sum(), inputs)
    found = EXACT.evaluate(system, charges=charges, dipoles=dipoles, pairs=pairs)
    near = {"atol": 1e-7, "rtol": 1e-7}
    torch.testing.assert_close(found.forces, -slopes[0], **near)
    torch.testing.assert_close(found.potential, slopes[2], **near)
    torch.testing.assert_close(found.field, -slopes[3], **near)
    if all(pbc):
        torch.testing.assert_close(found.stress, slopes[1] / system.volume(), **near)


def test_charges_alone_in_any_order(scene, rng):
    first, second = scene((True,) * 3, 4), scene((False,) * 3, 3)
    batch = concatenate([first[0], second[0]])
    charges = torch.cat([first[1], second[1]])
    i, j = torch.tensor([0, 5]), torch.tensor([2, 6])
    pairs = PairScaling(i, j, torch.tensor([0.0, 0.5]).double())
    positions = batch.positions.clone().requires_grad_()
    energy = EXACT.energy(batch.with_positions(positions), charges=charges, pairs=pairs)
    (slope,) = torch.autograd.grad(energy.sum(), positions)
    found = EXACT.evaluate(batch, charges=charges, pairs=pairs)
    torch.testing.assert_close(found.forces, -slope, atol=1e-7, rtol=1e-7)
    order = torch.from_numpy(rng.permutation(7))
    shuffled = Sources(batch.positions[order], batch.system_index[order], charges[order])
    place = torch.argsort(order)
    there = EXACT.evaluate(batch, sources=shuffled, pairs=PairScaling(place[i], place[j], pairs.scale))
    torch.testing.assert_close(there.energy, found.energy)
    torch.testing.assert_close(there.forces, found.forces[order])


def test_wrong_pairs_are_named(scene):
    system, charges = scene((False,) * 3)
    one, two = torch.tensor([1]), torch.tensor([2])
    with pytest.raises(InputError, match="source 1 paired with itself"):
        PairScaling(one, one, torch.zeros(1))
    with pytest.raises(InputError, match=r"pair 1, 2 .* more than once"):
        PairScaling(torch.tensor([1, 2]), torch.tensor([2, 1]), torch.zeros(2))
    shifts = torch.tensor([[0.0, 1, 0], [0.0, -1, 0]])
    with pytest.raises(InputError, match="more than once"):
        PairScaling(torch.tensor([1, 1]), torch.tensor([1, 1]), torch.zeros(2), shifts)
    PairScaling(torch.tensor([1, 2]), torch.tensor([2, 1]), torch.zeros(2), shifts.abs())  # two images
    with pytest.raises(InputError, match="function of r²"):
        PairScaling(one, two, 0.5)
    with pytest.raises(InputError, match=r"scale has shape \(3,\)"):
        PairScaling(one, two, torch.zeros(3))
    with pytest.raises(InputError, match="finite"):
        PairScaling(one, two, torch.tensor([np.nan]))
    with pytest.raises(InputError, match=r"j has shape \(2,\)"):
        PairScaling(one, torch.tensor([2, 3]), torch.zeros(1))
    with pytest.raises(InputError, match="0 to 4"):
        EXACT.energy(system, charges=charges, pairs=PairScaling(one, torch.tensor([5]), torch.zeros(1)))
    both = concatenate([system, system])
    with pytest.raises(InputError, match="sources 1 and 7 of different systems"):
        EXACT.energy(both, charges=torch.cat([charges] * 2), pairs=PairScaling(one, torch.tensor([7]), torch.zeros(1)))
    with pytest.raises(InputError, match="3 or more"):
        EXACT.energy(system, dipoles=torch.ones(5, 3), pairs=PairScaling(one, two, torch.zeros(1, 2)))
