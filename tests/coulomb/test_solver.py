"""What is kept between steps changes nothing but the time."""

import ase
import numpy as np
import pytest
import torch

from farfield.coulomb import Coulomb, PairScaling, Solver
from farfield.system import System


@pytest.fixture
def walk(rng):
    """Forty steps of ions that diffuse, in a cell that breathes by half a percent."""

    def steps(pbc, widths=None):
        grid = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3)
        charges = torch.from_numpy(1.0 - 2 * (grid.sum(1) % 2))
        places, cell = 2.82 * grid + rng.normal(0, 0.1, grid.shape), np.eye(3) * 4 * 2.82
        for k in range(40):
            places += rng.normal(0, 0.04, places.shape)
            breath = 1 + 0.005 * np.sin(k)
            yield System.from_ase(ase.Atoms("H64", positions=places * breath, cell=cell * breath, pbc=pbc)), charges

    return steps


@pytest.mark.parametrize("method", ["auto", "mesh"])
@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False)])
def test_steps_are_those_of_fresh_sums(pbc, method, walk):
    coulomb = Coulomb(error=1e-5, method=method)
    solver = Solver(coulomb, skin=0.6)
    for system, charges in walk(pbc):
        found, fresh = solver.evaluate(system, charges=charges), coulomb.evaluate(system, charges=charges)
        wrong = (found.forces - fresh.forces).square().sum(1).mean().sqrt()
        assert float(wrong) < 3 * float(fresh.error_estimate)
        torch.testing.assert_close(solver.energy(system, charges=charges), found.energy)
    if all(pbc):  # a slab that grows asks for more room now and then
        assert solver.plans == 1
    assert 1 < solver.searches < 20


def test_another_system_is_planned_anew(walk):
    solver = Solver(Coulomb(error=1e-5))
    system, charges = next(walk(True))
    solver.evaluate(system, charges=charges)
    half = System.from_ase(ase.Atoms("H8", positions=system.positions[:8].numpy(), cell=np.eye(3) * 9, pbc=True))
    found = solver.evaluate(half, charges=charges[:8])
    torch.testing.assert_close(found.energy, Coulomb(error=1e-5).energy(half, charges=charges[:8]))
    swollen = system.strained(0.02 * torch.eye(3).double())
    solver.evaluate(swollen, charges=charges)
    assert solver.plans == 3
    solver.evaluate(swollen, charges=charges, widths=0.4)
    solver.evaluate(swollen, charges=charges, widths=torch.full((64,), 0.4).double())
    assert solver.plans == 5
    dipoles = 0.1 * torch.ones(64, 3).double()
    found = solver.evaluate(swollen, charges=charges, dipoles=dipoles)
    expected = Coulomb(error=1e-5).evaluate(swollen, charges=charges, dipoles=dipoles)
    torch.testing.assert_close(found.forces, expected.forces, atol=1e-4, rtol=0)
    assert solver.plans == 6


@pytest.mark.parametrize("method", ["ewald", "mesh"])
@pytest.mark.parametrize("pbc", [(True, True, False), (False, False, True)])
def test_a_slab_that_turns_is_planned_anew(pbc, method, rng):
    coulomb, charges = Coulomb(error=1e-6, method=method), torch.from_numpy(rng.normal(size=8))
    grid = np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), -1).reshape(-1, 3) * 2.9
    solver, cell = Solver(coulomb), np.eye(3) * 6
    upright = coulomb.energy(System.from_ase(ase.Atoms("H8", positions=grid, cell=cell, pbc=pbc)), charges=charges)
    for angle in (0.0, 0.3, np.pi / 2):
        turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        turned = System.from_ase(ase.Atoms("H8", positions=grid @ turn, cell=cell @ turn, pbc=pbc))
        torch.testing.assert_close(solver.energy(turned, charges=charges), upright, atol=1e-5, rtol=0)


def test_scaled_pairs_of_charges_take_any_plan(walk):
    system, charges = next(walk(True))
    pairs = PairScaling(torch.tensor([0, 4]), torch.tensor([1, 9]), torch.tensor([0.0, 0.5]).double())
    found = Solver(Coulomb(error=1e-8)).evaluate(system, charges=charges, pairs=pairs)
    expected = Coulomb(error=1e-8).evaluate(system, charges=charges, pairs=pairs)
    for name in ("energy", "forces", "field", "potential"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-6, rtol=1e-7)
    with torch.inference_mode():
        pairs = PairScaling(pairs.i.clone(), pairs.j.clone(), pairs.scale.clone())
        inferred = Coulomb(error=1e-8).evaluate(system, charges=charges, pairs=pairs)
    torch.testing.assert_close(inferred.forces, expected.forces)
