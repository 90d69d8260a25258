"""The linear map of charges and dipoles against the energy it belongs to."""

import ase
import numpy as np
import pytest
import torch

from farfield.coulomb import Coulomb, PairScaling
from farfield.coulomb.padding import Padding
from farfield.system import System, concatenate

PERIODIC = {"crystal": True, "slab": (True, True, False), "wire": (False, True, False), "molecule": False}


def atoms(pbc, count=6, charge=0.0):
    rng = np.random.default_rng(2)
    cell = 6.0 * np.eye(3) + rng.normal(scale=0.4, size=(3, 3))
    grid = 2.2 * np.stack(np.meshgrid(*[np.arange(2)] * 3), -1).reshape(-1, 3)[:count]
    frame = ase.Atoms([1] * count, grid + rng.uniform(-0.3, 0.3, (count, 3)), cell=cell, pbc=pbc)
    return System.from_ase(frame)


def sources(system, channels=None):
    generator = torch.Generator().manual_seed(1)
    shape = (system.n_atoms,) if channels is None else (system.n_atoms, channels)
    charges = torch.randn(shape, generator=generator, dtype=torch.float64)
    return charges, torch.randn(*shape, 3, generator=generator, dtype=torch.float64)


def widths_of(system):
    return 0.3 + 0.5 * torch.rand(system.n_atoms, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def check(coulomb, system, widths=None, pairs=None, channels=None):
    charges, dipoles = (x.requires_grad_() for x in sources(system, channels))
    energy = coulomb.energy(system, charges=charges, dipoles=dipoles, widths=widths, self_energy=False, pairs=pairs)
    expected = torch.autograd.grad(energy.sum(), (charges, dipoles))
    potential, field = coulomb.interaction(system, widths, pairs=pairs)(charges, dipoles)
    torch.testing.assert_close(potential, expected[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(field, -expected[1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("pbc", PERIODIC.values(), ids=PERIODIC)
def test_it_is_the_slope_of_the_energy(pbc, gaussian):
    system = atoms(pbc)
    check(Coulomb(error=1e-6), system, widths_of(system) if gaussian else None)


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_and_batches(channels):
    system = concatenate([atoms(pbc, count) for pbc, count in zip(PERIODIC.values(), (6, 4, 8, 5))])
    check(Coulomb(error=1e-6), system, widths_of(system), channels=channels)


def test_by_a_mesh():
    check(Coulomb(error=1e-6, method="mesh"), atoms(True), 0.4)


def test_in_vacuum():
    system = atoms(True)
    coulomb = Coulomb(error=1e-6, boundary="vacuum")
    charges, dipoles = sources(system)
    charges = (charges - charges.mean()).requires_grad_()
    dipoles.requires_grad_()
    expected = torch.autograd.grad(coulomb.energy(system, charges=charges, dipoles=dipoles).sum(), (charges, dipoles))
    potential, field = coulomb.interaction(system)(charges, dipoles)
    torch.testing.assert_close(potential, expected[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(field, -expected[1], rtol=1e-10, atol=1e-10)


def test_scaled_pairs():
    i, j = torch.tensor([0, 1]), torch.tensor([2, 3])
    scale = torch.tensor([[0.0, 0.5, 0.2], [1.0, 0.7, 0.1]], dtype=torch.float64)
    shift = torch.tensor([[0.0, 0, 0], [1, 0, 0]], dtype=torch.float64)
    check(Coulomb(error=1e-6), atoms(True), pairs=PairScaling(i, j, scale, shift))
    check(Coulomb(), atoms(False), pairs=PairScaling(i, j, scale))


@pytest.mark.parametrize("pbc", PERIODIC.values(), ids=PERIODIC)
def test_its_derivatives_are_those_of_the_energy(pbc):
    """½ Σ (qφ - μ·F) is the energy, and so are its forces and second derivatives."""
    system, coulomb = atoms(pbc), Coulomb(error=1e-6)
    charges, dipoles = sources(system)
    positions = system.positions.clone().requires_grad_()
    way = torch.randn(positions.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    widths, moved, found = widths_of(system).requires_grad_(), system.with_positions(positions), []
    potential, field = coulomb.interaction(moved, widths)(charges, dipoles)
    by_map = 0.5 * ((charges * potential).sum() - (dipoles * field).sum())
    by_sum = coulomb.energy(moved, charges=charges, dipoles=dipoles, widths=widths, self_energy=False)[0]
    for energy in (by_map, by_sum):
        (slope,) = torch.autograd.grad(energy, positions, create_graph=True)
        second = torch.autograd.grad((slope * way).sum(), (positions, widths))
        found.append((energy, slope, *second))
    for one, two in zip(*found):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9)


def test_without_a_graph_one_compiled_pass_gives_the_same():
    rng = np.random.default_rng(4)

    def gas(count, length):
        cell = length * np.eye(3) + rng.normal(scale=0.3, size=(3, 3))
        return System.from_ase(ase.Atoms("O" * count, rng.uniform(0, length, (count, 3)), cell=cell, pbc=True))

    system = concatenate([gas(9, 6.0), gas(14, 7.5)])
    interaction = Coulomb(error=1e-6).interaction(system, torch.full((23,), 0.9, dtype=torch.float64))
    columns = torch.from_numpy(rng.normal(size=(23, 4, 3)))
    with torch.no_grad():
        found = interaction.gradient(columns)
    torch.testing.assert_close(found, interaction.gradient(columns))


@pytest.mark.parametrize("widths", [None, 0.5])
def test_the_matrix_of_dipoles_is_what_is_applied(widths):
    batch = concatenate([atoms(PERIODIC["crystal"]), atoms(False, 3), atoms(PERIODIC["slab"], 8)])
    applied, padding = Coulomb(error=1e-6).interaction(batch, widths), Padding.of(batch)
    matrix, dipoles = applied.dipole_matrix(padding), torch.randn(batch.n_atoms, 3, dtype=torch.float64)
    found = -padding.unpad((matrix @ padding.pad(dipoles).flatten(1).unsqueeze(2)).reshape(3, -1, 3))
    torch.testing.assert_close(found, applied(None, dipoles)[1], atol=1e-10, rtol=1e-10)
    assert Coulomb(method="mesh").interaction(batch).dipole_matrix(padding) is None
