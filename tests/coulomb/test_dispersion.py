"""1/r⁶ without a cutoff."""

import ase
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from farfield.coulomb import Dispersion
from farfield.errors import InputError
from farfield.system import System, concatenate

FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
BCC = 0.5 * (np.ones((3, 3)) - 2 * np.eye(3))

# Σ' (d/r)⁶, d the nearest distance (Kittel, Introduction to Solid State Physics; Chapman and Ashcroft for more digits)
LATTICES = {
    "sc": (np.eye(3), 1.0, 8.40192397),
    "fcc": (FCC, np.sqrt(0.5), 14.45392104),
    "bcc": (BCC, np.sqrt(0.75), 12.25366787),
}


def _system(positions, cell, pbc=True):
    return System.from_ase(ase.Atoms([1] * len(positions), positions=positions, cell=cell, pbc=pbc))


@pytest.fixture
def scene(rng, apart, triclinic):
    def build(count=5, edge=6.0):
        cell = triclinic(rng, edge)
        return _system(apart(rng, count, cell), cell), torch.from_numpy(rng.normal(size=count) + 1)

    return build


@pytest.mark.parametrize("name", LATTICES)
def test_lattice_sums(name):
    cell, nearest, expected = LATTICES[name]
    system = _system([[0.1, 0.2, 0.3]], 2.5 * cell)
    energy = Dispersion(1e-10).energy(system, torch.tensor([1.3], dtype=torch.float64))
    assert -2 * float(energy) / 1.3**2 * (2.5 * nearest) ** 6 == pytest.approx(expected, abs=1e-7)


def test_images_one_by_one(scene):
    """All within a sphere, and what is beyond as a mean field 4πρ/(3R³)."""
    system, coefficients = scene()
    places, cell, c = system.positions.numpy(), system.cell[0].numpy(), coefficients.numpy()
    reach = 70.0
    spans = np.ceil((reach + 10) * np.linalg.norm(np.linalg.inv(cell), axis=0)).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in spans)), -1).reshape(-1, 3) @ cell
    total = 0.0
    for i in range(len(c)):
        for j in range(len(c)):
            squared = ((places[j] - places[i] + grid) ** 2).sum(1)
            near = (squared > 1e-9) & (squared < reach**2)
            total -= 0.5 * c[i] * c[j] * (squared[near] ** -3).sum()
    total -= 0.5 * c.sum() ** 2 * 4 * np.pi / (3 * reach**3 * abs(np.linalg.det(cell)))
    assert float(Dispersion(1e-9).energy(system, coefficients)) == pytest.approx(total, rel=1e-6)


def test_a_molecule_and_a_batch(scene, rng):
    system, c = scene()
    molecule = System(**{**vars(system), "periodic": torch.zeros(1, 3, dtype=torch.bool)})
    r = torch.cdist(molecule.positions, molecule.positions) + 1e9 * torch.eye(5)
    expected = -0.5 * (c[:, None] * c / r**6).sum()
    found = Dispersion().energy(concatenate([system, molecule]), torch.cat([c, c]))
    assert float(found[1]) == pytest.approx(float(expected))
    assert float(found[0]) == pytest.approx(float(Dispersion().energy(system, c)[0]), abs=1e-6)
    channels = torch.stack([c, 2 * c], 1)
    two = Dispersion().energy(system, channels)
    assert two[0].tolist() == pytest.approx([float(found[0]), 4 * float(found[0])], abs=1e-6)


def test_derivatives(scene):
    system, coefficients = scene(3, 5.0)
    dispersion = Dispersion(1e-10)

    def energy(positions, c, strain):
        return dispersion.energy(system.with_positions(positions).strained(strain), c)

    strain = torch.zeros(1, 3, 3, dtype=torch.float64)
    inputs = [x.clone().requires_grad_() for x in (system.positions, coefficients, strain)]
    assert gradcheck(energy, inputs, eps=1e-5, atol=1e-6)
    assert gradgradcheck(energy, inputs, eps=1e-5, atol=1e-4)


@pytest.mark.parametrize("error", [1e-2, 1e-4, 1e-6, 1e-8])
def test_error_reached(error, rng, apart, triclinic):
    cell = triclinic(rng, 9.0)
    system = _system(apart(rng, 40, cell), cell)
    c = torch.from_numpy(rng.normal(size=40))

    def forces(asked):
        positions = system.positions.clone().requires_grad_()
        energy = Dispersion(asked).energy(system.with_positions(positions), c)
        return -torch.autograd.grad(energy.sum(), positions)[0]

    scale = float(c.square().mean()) * (40 / float(system.volume())) ** (7 / 3)
    wrong = float((forces(error) - forces(1e-10)).square().sum(1).mean().sqrt())
    assert 0.01 < wrong / scale / error < 2


def test_wrong_input_is_named(scene):
    system, c = scene()
    slab = System(**{**vars(system), "periodic": torch.tensor([[True, True, False]])})
    with pytest.raises(InputError, match="give a slab vacuum"):
        Dispersion().energy(slab, c)
    with pytest.raises(InputError, match=r"error=1\.0"):
        Dispersion(1.0)
    with pytest.raises(InputError, match="shape"):
        Dispersion().energy(system, c[:3])
