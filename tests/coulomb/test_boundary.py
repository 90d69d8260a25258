"""A crystal in vacuum: the dipole of its sphere counts."""

import ase
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from farfield.coulomb import Coulomb, Sources
from farfield.errors import InputError
from farfield.system import System, concatenate
from farfield.units import COULOMB

VACUUM = Coulomb(error=1e-10, boundary="vacuum")


def _system(positions, cell, pbc=True):
    return System.from_ase(ase.Atoms([1] * len(positions), positions=positions, cell=cell, pbc=pbc))


@pytest.fixture
def scene(rng, apart, triclinic):
    cell = triclinic(rng)
    charges = torch.from_numpy(rng.normal(size=6))
    return _system(apart(rng, 6, cell), cell), charges - charges.mean()


def test_a_sphere_of_cells_summed_directly():
    """CsCl with the anion displaced: whole cells within 40, 60 and 80 edges gave -0.35980668 e²/edge."""
    system = _system([[0, 0, 0], [0.55, 0.5, 0.5]], np.eye(3))
    energy = VACUUM.energy(system, charges=torch.tensor([1.0, -1.0]).double())
    reach = 24
    grid = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3), -1).reshape(-1, 3)
    grid = grid[(grid**2).sum(1) <= reach**2]
    shift = np.array([0.55, 0.5, 0.5])
    other = grid[(grid**2).sum(1) > 0]
    alike = (1 / np.linalg.norm(other, axis=1)).sum()
    apart = (1 / np.linalg.norm(grid + shift, axis=1)).sum()
    assert float(energy) / COULOMB == pytest.approx(alike - apart, abs=1e-4)
    assert float(energy) / COULOMB == pytest.approx(-0.35980668, abs=1e-7)


def test_a_ferroelectric_lattice_of_dipoles_has_no_energy():
    """In a cubic lattice in a sphere the fields of parallel dipoles cancel (Lorentz)."""
    system = _system([[0.1, 0.2, 0.3]], 3 * np.eye(3))
    for method in ("ewald", "mesh"):
        coulomb = Coulomb(error=1e-10, method=method, boundary="vacuum")
        dipoles = torch.tensor([[0.3, -0.5, 0.7]]).double()
        assert float(coulomb.energy(system, dipoles=dipoles)) == pytest.approx(0, abs=1e-8)
        found = coulomb.evaluate(system, dipoles=dipoles)
        assert float(found.energy) == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("method", ["ewald", "mesh"])
def test_everything_follows_the_energy(method, scene):
    system, charges = scene
    coulomb = Coulomb(error=1e-9, method=method, boundary="vacuum")
    positions, variable = system.positions.clone().requires_grad_(), charges.clone().requires_grad_()
    strain = torch.zeros(1, 3, 3).double().requires_grad_()
    energy = coulomb.energy(system.with_positions(positions).strained(strain), charges=variable)
    slopes = torch.autograd.grad(energy.sum(), (positions, variable, strain))
    found = coulomb.evaluate(system, charges=charges)
    near = {"atol": 1e-8, "rtol": 1e-8}
    torch.testing.assert_close(found.energy, energy.detach(), **near)
    torch.testing.assert_close(found.forces, -slopes[0], **near)
    torch.testing.assert_close(found.potential, slopes[1], **near)
    torch.testing.assert_close(found.stress, slopes[2] / system.volume(), **near)
    torch.testing.assert_close(coulomb.matrix(system)[0] @ charges, found.potential, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(coulomb.operator(system)(charges), found.potential, **near)
    one = torch.zeros(6).double().index_fill(0, torch.tensor([2]), 1.0)  # linear: not of neutral charges alone
    torch.testing.assert_close(coulomb.matrix(system)[0] @ one, coulomb.operator(system)(one), atol=1e-6, rtol=1e-6)
    points = torch.tensor([[0.4, 3.0, 1.1]]).double()
    sources = Sources(system.positions, torch.zeros(6, dtype=torch.long), charges)
    step = 1e-4 * torch.eye(3).double()
    ends = [coulomb.potential_at(system, sources, points + s * step) for s in (1, -1)]
    probe = Sources(
        torch.cat([system.positions, points]), torch.zeros(7, dtype=torch.long), torch.cat([charges, charges[:1] * 0])
    )
    there = coulomb.evaluate(system, sources=probe)
    torch.testing.assert_close((ends[1] - ends[0]) / 2e-4, there.field[6], atol=1e-5, rtol=1e-5)


def test_derivatives(scene):
    system, charges = scene
    plan = VACUUM.plan(system)

    def energy(positions, charges, strain):
        moved = system.with_positions(positions).strained(strain)
        return VACUUM.energy(moved, charges=charges - charges.mean(), plan=plan)

    inputs = [x.clone().requires_grad_() for x in (system.positions, charges, 0.01 * torch.ones(1, 3, 3).double())]
    assert gradcheck(energy, inputs, eps=1e-5, atol=1e-5)


def test_open_systems_and_charged_cells(scene):
    system, charges = scene
    slab = System(**{**vars(system), "periodic": torch.tensor([[True, True, False]])})
    plain = Coulomb(error=1e-10).energy(slab, charges=charges)
    both = VACUUM.energy(concatenate([slab, system]), charges=torch.cat([charges, charges]))
    torch.testing.assert_close(both, torch.cat([plain, VACUUM.energy(system, charges=charges)]))
    with pytest.raises(InputError, match=r"total charge 6 e: with boundary=\"vacuum\""):
        VACUUM.energy(system, charges=charges + 1)
    with pytest.raises(InputError, match="tinfoil"):
        Coulomb(boundary="air")
