"""Equilibration without a matrix: against the dense solve, in few steps whatever the size, and from a good start."""

import gc
import sys
import weakref

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk

from farfield.coulomb import Coulomb
from farfield.errors import ConvergenceError, InputError
from farfield.response import ChargeExtrapolation, equilibrate
from farfield.response.charges.iterated import IteratedInverse
from farfield.system import System


def salt(repeats, periodic=(True, True, True), shift=0.15, seed=0):
    atoms = bulk("NaCl", "rocksalt", 5.64, cubic=True).repeat(repeats)
    atoms.positions += shift * np.random.default_rng(seed).normal(size=atoms.positions.shape)
    atoms.pbc = periodic
    return atoms


def problem(system):
    chlorine = system.numbers == 17
    noise = torch.randn(system.n_atoms, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return {
        "electronegativity": torch.where(chlorine, 4.0, -4.0) + 0.5 * noise,
        "hardness": torch.where(chlorine, 10.0, 5.0).double(),
        "widths": torch.where(chlorine, 1.02, 1.66).double(),
    }


@pytest.mark.parametrize("periodic", [(True, True, True), (True, True, False), (False, False, False)])
def test_dense_and_iterated_agree(periodic):
    system, sharp = System.from_ase(salt((4, 4, 3), periodic)), Coulomb(error=1e-7)
    given = problem(system)
    dense, iterated = (equilibrate(system, **given, coulomb=sharp, solver=s, tolerance=1e-9) for s in ("dense", "cg"))
    torch.testing.assert_close(iterated.charges, dense.charges, atol=1e-8, rtol=0)
    torch.testing.assert_close(iterated.energy, dense.energy, atol=1e-8, rtol=0)
    assert float(iterated.residual.max()) < 1e-8


@pytest.mark.parametrize("repeats", [(5, 5, 5), (5, 5, 20)])
def test_steps_do_not_grow_with_the_cell(repeats):
    """A diagonal preconditioner takes 24 steps in the first and 40 in the second."""
    system = System.from_ase(salt(repeats))
    found = equilibrate(system, **problem(system), solver="cg", tolerance=4e-6)  # 1e-6 of the electronegativities
    assert found.steps <= 14
    assert float(found.residual) <= 4e-6


def test_vacuum_is_no_obstacle():
    atoms = salt((5, 5, 3))
    atoms.center(15.0, axis=2)
    system = System.from_ase(atoms)
    assert equilibrate(system, **problem(system), solver="cg", tolerance=4e-6).steps <= 20


def test_a_foreseen_start_saves_steps():
    ahead, cold, warm = ChargeExtrapolation(), 0, 0
    still, moved = salt((5, 5, 5), shift=0.1), salt((5, 5, 5), shift=0.12)
    for step in range(7):
        atoms = still.copy()
        atoms.positions += np.sin(0.1 * step) * (moved.positions - still.positions)
        system = System.from_ase(atoms)
        given = problem(system)
        guess = ahead.guess(system.n_atoms)
        found = equilibrate(system, **given, solver="cg", tolerance=4e-6, start=guess)
        ahead.keep(found.charges)
        cold, warm = (found.steps, warm) if guess is None else (cold, found.steps)
    assert warm <= cold // 2
    assert ahead.guess(3) is None


@pytest.mark.parametrize("tight, power", [(False, 1), (True, 1), (True, 3)])
def test_what_is_foreseen_exactly(tight, power):
    """Straight lines always, and cubes where four tight steps are remembered."""
    ahead = ChargeExtrapolation(tight=tight)
    for step in range(4):
        ahead.keep(torch.tensor([1.0, -2.0]).double() * (3 + step) ** power)
    torch.testing.assert_close(ahead.guess(2), torch.tensor([1.0, -2.0]).double() * 7**power)


def test_failure_is_said(monkeypatch):
    system = System.from_ase(salt((2, 2, 2)))
    monkeypatch.setattr("farfield.response.charges.iterated.MOST", 3)
    with pytest.raises(ConvergenceError, match=r'residual of .* after 3 steps.*solver="dense"'):
        equilibrate(system, **problem(system), solver="cg")
    monkeypatch.undo()
    soft = problem(system)
    soft["hardness"] = soft["hardness"].clone()
    soft["hardness"][7] = -40.0
    for solver in ("dense", "cg"):
        with pytest.raises(InputError, match=r"structure 0: .*7 \(Cl\)"):
            equilibrate(system, **soft, solver=solver)


@pytest.mark.parametrize("one, two", [(5, 77), (400, 12)])
def test_the_pair_that_is_too_close_is_named(one, two):
    """By the iteration, too, which stops at the first direction that curves downwards."""
    atoms = salt((4, 4, 4))
    atoms.positions[one] = atoms.positions[two] + [0, 0, 0.4]
    system = System.from_ase(atoms)
    first, second = sorted((one, two))
    for solver in ("dense", "cg"):
        with pytest.raises(InputError, match=rf"atoms {first} .* and {second} .*, 0.40 Å apart"):
            equilibrate(system, **{**problem(system), "widths": None}, solver=solver)


def test_what_is_left_behind_waits_for_no_collector(monkeypatch):
    """Operators hold the pairs of all atoms: in a cycle they would pile up from step to step."""
    made = []

    def noted(*given):
        inverse = IteratedInverse(*given)
        made.append(weakref.ref(inverse))
        return inverse

    monkeypatch.setattr(sys.modules["farfield.response.charges.equilibrate"], "IteratedInverse", noted)
    system = System.from_ase(salt((3, 3, 3)))
    given = problem(system)
    given["electronegativity"].requires_grad_()
    gc.disable()
    try:
        found = equilibrate(system, **given, solver="cg")
        found.charges.square().sum().backward()
        assert made[0]() is not None
        del found
        assert made[0]() is None
    finally:
        gc.enable()


def test_forces_of_a_large_system_are_slopes():
    atoms = salt((5, 5, 6))
    system = System.from_ase(atoms)
    given = problem(system)
    positions = system.positions.clone().requires_grad_()
    found = equilibrate(system.with_positions(positions), **given, tolerance=1e-8)
    assert found.steps > 0
    (slope,) = torch.autograd.grad(found.energy.sum(), positions)
    way = torch.zeros_like(slope)
    way[5, 0], way[9, 1] = 1.0, -1.0

    def energy(step):
        return float(equilibrate(system.with_positions(system.positions + step * way), **given).energy.sum())

    expected = (energy(1e-3) - energy(-1e-3)) / 2e-3
    assert float((slope * way).sum()) == pytest.approx(expected, abs=1e-5)


def test_an_open_system_takes_what_its_fermi_level_gives():
    atoms = ase.Atoms("Na2", [[0, 0, 0], [0, 0, 3.0]], info={"fermi_level": -2.0, "charge": 0.0})
    system = System.from_ase(atoms)
    chi, hardness = torch.tensor([3.0, 3.5]).double(), torch.tensor([8.0, 9.0]).double()
    found = equilibrate(system, chi, hardness, widths=0.8)
    matrix = Coulomb().matrix(system, 0.8)[0] + torch.diag(hardness)
    expected = torch.linalg.solve(matrix, 2.0 - chi)
    torch.testing.assert_close(found.charges, expected)
    omega = chi @ expected + 0.5 * expected @ matrix @ expected - 2.0 * expected.sum()
    assert float(found.energy) == pytest.approx(float(omega))
    iterated = equilibrate(system, chi, hardness, widths=0.8, solver="cg")
    torch.testing.assert_close(iterated.charges, expected, atol=1e-8, rtol=0)
    level = torch.tensor([-2.0], dtype=torch.float64, requires_grad=True)
    moved = equilibrate(System(**{**vars(system), "fermi_level": level}), chi, hardness, widths=0.8)
    assert float(torch.autograd.grad(moved.energy.sum(), level)[0]) == pytest.approx(float(expected.sum()))
