"""Iterated charges and dipoles start from the last steps in a simulation, and only there."""

import sys

import ase.build
import ase.units
import numpy as np
import pytest
import torch
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet

import farfield as ff
from farfield.deploy.ase import FarfieldCalculator
from farfield.response import ChargeExtrapolation
from farfield.system import System


@pytest.fixture
def counted(monkeypatch):
    """Steps of every iteration, one after the other; nothing is solved densely."""
    found = []
    for name in ("equilibrate", "induce"):
        room = "charges" if name == "equilibrate" else "dipoles"
        module = sys.modules[f"farfield.response.{room}.{name}"]
        monkeypatch.setattr(module, "DENSE_UP_TO", 0)
        solver = sys.modules["farfield.response.charges.iterated"] if name == "equilibrate" else module
        solve = solver.conjugate_gradient

        def counting(*args, _solve=solve, **options):
            solution = _solve(*args, **options)
            found.append(solution.steps)
            return solution

        monkeypatch.setattr(solver, "conjugate_gradient", counting)
    return found


def model_of(kind):
    keys = {"start": {"Na": 0.5, "Cl": 4.0}} if kind == "polarizable" else {}
    return ff.new_model({"kind": kind, **keys}, species=["Na", "Cl"], seed=1, backbone={"channels": 8})


def simulated(model, steps, forget):
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat((2, 2, 2))
    atoms.rattle(0.1, seed=3)
    atoms.calc = FarfieldCalculator(model)
    MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=np.random.default_rng(2))
    motion, energies, totals = VelocityVerlet(atoms, 0.5 * ase.units.fs), [], []
    for _ in range(steps):
        if forget:
            atoms.calc.ahead = ChargeExtrapolation()
        motion.run(1)
        energies.append(atoms.get_potential_energy())
        totals.append(atoms.get_total_energy())
    return np.array(energies), np.array(totals)


@pytest.mark.parametrize("kind", ["qeq", "polarizable"])
def test_fewer_steps_to_the_same_energies(kind, counted):
    model = model_of(kind)
    cold, cold_total = simulated(model, 16, forget=True)
    steps_cold = sum(counted)
    counted.clear()
    warm, warm_total = simulated(model, 16, forget=False)
    assert sum(counted) < 0.8 * steps_cold
    np.testing.assert_allclose(warm, cold, rtol=0, atol=1e-6)
    assert np.ptp(warm_total) < 1.01 * np.ptp(cold_total) + 1e-6
    assert warm_total[-1] - warm_total[0] == pytest.approx(cold_total[-1] - cold_total[0], abs=1e-6)


@pytest.mark.parametrize("kind", ["qeq", "polarizable"])
def test_another_system_starts_anew(kind, counted):
    calculator = FarfieldCalculator(model_of(kind))
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms.rattle(0.05, seed=0)
    atoms.calc = calculator
    first = atoms.get_potential_energy()
    other = atoms.copy()
    other.numbers = other.numbers[::-1]
    other.calc = calculator
    other.get_potential_energy()
    atoms.calc = calculator
    assert atoms.get_potential_energy() == first  # to the last bit: no history


def test_a_plain_call_knows_no_history(counted):
    model = model_of("qeq").eval()
    system = System.from_ase(ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True))
    first, second = (model(system).energy for _ in range(2))
    assert torch.equal(first, second)
    assert counted[: len(counted) // 2] == counted[len(counted) // 2 :]
    assert sum(counted) > 0
