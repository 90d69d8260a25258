"""What is kept between steps changes nothing but the time."""

import ase
import numpy as np
import pytest
import torch

from farfield.coulomb import Coulomb, Solver
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
