"""The error asked is the error reached, against sums of our own kept far tighter."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from farfield.coulomb import Coulomb
from farfield.coulomb.plan.plan import make_plan
from farfield.coulomb.sources import on_atoms
from farfield.system import System
from farfield.units import COULOMB

RANDOM = [(6, 6.0), (4, 25.0), (40, 9.0), (12, 40.0)]  # atoms, edge in Å: dense, dilute, denser, very dilute


def _relative_error(system, charges, error, dtype=torch.float64):
    """Rms force error over K⟨q²⟩(N/V)^(2/3), in units of the error asked."""
    rough = system.to(dtype=dtype)
    exact_system = rough.to(dtype=torch.float64)  # the same rounded positions
    tight = make_plan(on_atoms(exact_system, charges, None), 1e-13)
    exact = Coulomb(error=1e-10).evaluate(exact_system, charges=charges, plan=tight).forces
    found = Coulomb(error=error).evaluate(rough, charges=charges.to(dtype)).forces.double()
    density = system.n_atoms / float(system.volume())
    scale = COULOMB * float(charges.square().mean()) * density ** (2 / 3)
    return float((found - exact).square().sum(1).mean().sqrt()) / scale / error


@pytest.mark.parametrize("error", [1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize("atoms, edge", RANDOM)
def test_error_reached_in_double_precision(atoms, edge, error, rng, apart, triclinic, crystal):
    cell = triclinic(rng, edge)
    system = crystal(apart(rng, atoms, cell), cell)
    assert _relative_error(system, torch.from_numpy(rng.normal(size=atoms)), error) < 2


@pytest.mark.parametrize("error", [1e-2, 1e-3, 1e-4, 2e-5])
@pytest.mark.parametrize("atoms, edge", RANDOM)
def test_error_reached_in_single_precision(atoms, edge, error, rng, apart, triclinic, crystal):
    cell = triclinic(rng, edge)
    system = crystal(apart(rng, atoms, cell), cell)
    assert _relative_error(system, torch.from_numpy(rng.normal(size=atoms)), error, torch.float32) < 2


@pytest.mark.parametrize("error", [1e-2, 1e-4, 1e-5, 1e-6, 1e-8])
def test_error_reached_in_a_hot_ionic_crystal(error, rng, crystal):
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    system = crystal(2.82 * grid + 0.15 * rng.normal(size=(64, 3)), np.eye(3) * 4 * 2.82)
    assert _relative_error(system, torch.from_numpy(1.0 - 2 * (grid.sum(1) % 2)), error) < 2


@pytest.mark.parametrize("error", [1e-2, 1e-4, 1e-6])
def test_error_reached_for_a_cluster_in_vacuum(error, rng, apart, crystal):
    places = apart(rng, 40, np.eye(3) * 9)
    system = crystal(places, np.eye(3) * 40)
    assert _relative_error(system, torch.from_numpy(rng.choice([-1.0, 1.0], 40)), error) < 2


def test_error_estimate_is_in_force_units(rng, apart, crystal):
    system = crystal(apart(rng, 60, np.eye(3) * 9), np.eye(3) * 9)
    charges = torch.from_numpy(rng.normal(size=60))
    exact = Coulomb(error=1e-10).evaluate(system, charges=charges).forces
    for error in (1e-2, 1e-4, 1e-6):
        found = Coulomb(error=error).evaluate(system, charges=charges)
        reached = float((found.forces - exact).square().sum(1).mean().sqrt())
        assert 0.3 * reached < float(found.error_estimate) < 3 * reached


def test_charged_cell_does_not_depend_on_the_splitting(rng, apart, triclinic, crystal):
    cell = triclinic(rng)
    system = crystal(apart(rng, 5, cell), cell)
    charges = torch.from_numpy(rng.normal(size=5)) + 1.0
    one = Coulomb(error=1e-10)
    energies = [float(one.energy(system, charges=charges))]
    for width in (0.6, 1.0):  # a Gaussian among them forces another splitting
        widths = torch.tensor([0.0, 0, 0, 0, width], dtype=torch.float64)
        energies.append(float(one.energy(system, charges=charges, plan=one.plan(system, widths))))
    assert np.ptp(energies) < 1e-8


@pytest.mark.parametrize("widths", [None, 0.3, 0.9, [0.0, 0.3, 0.9, 0.5, 0.0]])
def test_energy_against_a_brute_force_sum(widths, rng, apart, triclinic, crystal, brute_energy):
    cell = triclinic(rng)
    places, charges = apart(rng, 5, cell), rng.normal(size=5) + 0.3
    given = torch.tensor(widths, dtype=torch.float64) if isinstance(widths, list) else widths
    energy = Coulomb(error=1e-10).energy(crystal(places, cell), charges=torch.from_numpy(charges), widths=given)
    assert float(energy) / COULOMB == pytest.approx(brute_energy(places, charges, cell, widths=widths), abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31), skew=st.floats(-2.5, 2.5), squeeze=st.floats(0.4, 2.5), hand=st.sampled_from([-1, 1])
)
def test_any_cell_agrees_with_its_reduced_twin(seed, skew, squeeze, hand):
    rng = np.random.default_rng(seed)
    cell = np.diag([4.0, 4.0 * squeeze, 5.0]) + rng.normal(size=(3, 3)) * 0.4
    grid = (np.stack(np.meshgrid(*[[0.25, 0.75]] * 3), -1).reshape(-1, 3) + rng.uniform(-0.05, 0.05, (8, 3)))[:5]
    charges = torch.from_numpy(rng.normal(size=5))
    n = round(skew)
    twin = np.array([[1, 0, 0], [n, 1, 0], [-n, 2 * n, hand]]) @ cell
    coulomb = Coulomb(error=1e-8)
    results = [coulomb.evaluate(_batch(grid @ cell, c), charges=charges) for c in (cell, twin)]
    for name in ("energy", "potential", "forces", "stress"):
        first, second = (getattr(result, name) for result in results)
        torch.testing.assert_close(first, second, atol=2e-6, rtol=1e-6)


def _batch(positions, cell):
    import ase

    return System.from_ase(ase.Atoms([1] * len(positions), positions=positions, cell=cell, pbc=True))
