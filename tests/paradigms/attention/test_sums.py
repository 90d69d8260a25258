"""The same sum over all others, pair by pair, over shells of directions, and over reciprocal lattices."""

import ase
import numpy as np
import pytest
import torch

from farfield.backbone.linear import UnitLinear
from farfield.paradigms.attention import sums
from farfield.paradigms.attention.quadratures import ERROR, half_sphere
from farfield.paradigms.attention.waves import highest, transform, values_at
from farfield.system import System, concatenate

SPAN, COUNT = torch.tensor(6.0, dtype=torch.float64), 5


def system_of(positions, cell=None, periodic=False):
    return System.from_ase(ase.Atoms(f"H{len(positions)}", positions, cell=cell, pbc=periodic))


def ball(atoms, seed=0):
    return system_of(3.0 * np.random.default_rng(seed).normal(size=(atoms, 3)))


@pytest.fixture
def mixture():
    torch.manual_seed(0)
    return UnitLinear(COUNT, 3).double()


def columns_of(system):
    return torch.randn(system.n_atoms, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def over_images(system, mixture, axes, reach=45.0):
    """Σ over images in real space, the atom itself left out."""
    counts = [int(reach / system.cell[0, axis].norm()) + 1 if axis in axes else 0 for axis in range(3)]
    steps = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in counts], indexing="ij"), -1).reshape(-1, 3)
    shifts = torch.from_numpy(steps.astype(float)) @ system.cell[0]
    apart = system.positions[:, None, None] - system.positions[None, :, None] + shifts
    distance = apart.norm(dim=3)
    waves = values_at(torch.where(distance > 1e-9, distance, 1.0), SPAN, COUNT)
    strength = mixture(torch.where((distance > 1e-9).unsqueeze(3), waves, 0.0).sum(2))
    return torch.einsum("ijh,jhc->ihc", strength, columns_of(system))


def test_waves_are_what_their_transform_says():
    """K(r) = ∫ dk k²/(2π²) K̂(k) sin(kr)/(kr)."""
    k = torch.linspace(0, highest(float(SPAN), COUNT), 4001, dtype=torch.float64)
    for r in (0.3, 4.0, 11.0):
        integrand = (k / r * torch.sin(k * r) / (2 * np.pi**2)).unsqueeze(1) * transform(k, SPAN, COUNT)
        expected = values_at(torch.tensor(r, dtype=torch.float64), SPAN, COUNT)
        torch.testing.assert_close(torch.trapezoid(integrand, k, dim=0), expected, rtol=1e-8, atol=1e-9)


def test_waves_fade_and_have_half_periods_within_the_range():
    near, at_range, far = values_at(torch.tensor([1e-5, 6.0, 45.0], dtype=torch.float64), SPAN, COUNT)
    torch.testing.assert_close(near, torch.ones_like(near), rtol=1e-8, atol=0.0)
    assert at_range.abs().max() < 1e-12
    assert far.abs().max() < 1e-12


@pytest.mark.parametrize("degree", [3, 8, 21])
def test_half_a_sphere_averages_polynomials_exactly(degree):
    points, weights = half_sphere(degree)
    axis = np.array([0.36, -0.48, 0.8])
    assert weights.sum() == pytest.approx(1.0)
    for power in range(0, degree + 1, 2):
        assert (weights * (points @ axis) ** power).sum() == pytest.approx(1 / (power + 1), abs=1e-13)


def test_shells_are_pairs(mixture):
    system = ball(30)
    pairs = sums.others_of(system, SPAN, COUNT).sum(columns_of(system), mixture)
    shells = sums._on_shells(system, SPAN, COUNT).sum(columns_of(system), mixture)
    torch.testing.assert_close(shells, pairs, rtol=0, atol=5 * ERROR)


def test_a_crystal_with_room_is_a_molecule(mixture):
    molecule = ball(12)
    boxed = system_of(molecule.positions.numpy(), cell=[62.0] * 3, periodic=True)
    expected = sums.others_of(molecule, SPAN, COUNT).sum(columns_of(molecule), mixture)
    found = sums.others_of(boxed, SPAN, COUNT).sum(columns_of(boxed), mixture)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 1), (0, 2), (1,)])
def test_all_images_along_periodic_axes_are_felt(axes, mixture):
    cell = np.array([[5.0, 0.3, 0.0], [-0.4, 5.5, 0.2], [0.1, 0.6, 6.0]])
    places = np.random.default_rng(2).uniform(size=(4, 3)) @ cell
    system = system_of(places, cell=cell, periodic=[axis in axes for axis in range(3)])
    found = sums.others_of(system, SPAN, COUNT).sum(columns_of(system), mixture)
    torch.testing.assert_close(found, over_images(system, mixture, axes), rtol=0, atol=1e-8)


def test_batches_of_all_kinds_are_one_by_one(mixture, monkeypatch):
    monkeypatch.setattr(sums, "MOST_PAIRED", 20)
    small, large = ball(7), ball(25, seed=3)
    crystal = system_of(small.positions.numpy(), cell=[9.0, 8.0, 7.0], periodic=True)
    wire = system_of(small.positions.numpy(), cell=[9.0, 8.0, 7.0], periodic=[True, False, False])
    members = [large, crystal, small, wire, ball(5)]
    together = concatenate(members)
    found = sums.others_of(together, SPAN, COUNT).sum(columns_of(together), mixture)
    sent = columns_of(together).split([member.n_atoms for member in members])
    alone = [sums.others_of(member, SPAN, COUNT).sum(x, mixture) for x, member in zip(sent, members)]
    torch.testing.assert_close(found, torch.cat(alone), rtol=0, atol=1e-12)


def test_blocks_of_waves_make_one_sum_with_slopes_of_slopes(mixture, monkeypatch):
    system = system_of(ball(6).positions.numpy(), cell=[9.0, 8.0, 7.0], periodic=True)

    def twice(positions):
        found = sums.others_of(system.with_positions(positions), SPAN, COUNT).sum(columns_of(system), mixture)
        (slope,) = torch.autograd.grad(found.square().sum(), positions, create_graph=True)
        return slope, torch.autograd.grad(slope.square().sum(), [positions, mixture.weight])

    positions = system.positions.requires_grad_()
    once, weighed = twice(positions)
    monkeypatch.setattr(sums, "AT_ONCE", 6 * 100)
    again, weighed_again = twice(positions)
    torch.testing.assert_close(again, once)
    for found, expected in zip(weighed_again, weighed):
        torch.testing.assert_close(found, expected)
