"""Charges that are no atoms act as atoms of fixed charge would."""

from dataclasses import replace

import ase
import ase.build
import numpy as np
import pytest
import torch

from farfield import new_model
from farfield.coulomb import Coulomb
from farfield.errors import InputError
from farfield.field import external_potential
from farfield.system import ExternalCharges, System

FIXED = {"O": -0.8, "H": 0.4}
WIDTH = 0.6


def water_dimer():
    one, two = ase.build.molecule("H2O"), ase.build.molecule("H2O")
    two.rotate(70, (1, 2, 3))
    two.positions += (2.9, 0.3, 0.2)
    return one + two


def around(atoms, count=500, seed=0):
    """Points from 3 to 15 Å around the atoms."""
    rng = np.random.default_rng(seed)
    way = rng.normal(size=(count, 3))
    away = 3 + 12 * rng.random((count, 1)) + np.ptp(atoms.positions, axis=0).max() / 2
    places = atoms.positions.mean(0) + away * way / np.linalg.norm(way, axis=1, keepdims=True)
    charges = rng.normal(scale=0.5, size=count)
    return np.column_stack([places, charges])


def with_charges(atoms, rows):
    atoms = atoms.copy()
    atoms.info["external_charges"] = rows
    return System.from_ase(atoms)


def as_atoms(atoms, rows, charges):
    """Energy, forces on atoms and on sources of the same charges, all of them atoms, less what sources have alone."""
    everything = System.from_ase(atoms + ase.Atoms(f"X{len(rows)}".replace("X", "He"), rows[:, :3]))
    sources = System.from_ase(ase.Atoms(f"He{len(rows)}", rows[:, :3], cell=atoms.cell, pbc=atoms.pbc))
    outside = torch.from_numpy(rows[:, 3])
    width = torch.cat([torch.full_like(charges, WIDTH), torch.zeros_like(outside)])
    coulomb = Coulomb(error=1e-10)
    both = coulomb.evaluate(everything, charges=torch.cat([charges, outside]), widths=width, self_energy=False)
    alone = coulomb.evaluate(sources, charges=outside)
    n = len(atoms)
    return both.energy - alone.energy, both.forces[:n], both.forces[n:] - alone.forces


def test_500_charges_round_a_water_dimer_are_500_atoms_of_fixed_charge():
    atoms = water_dimer()
    rows = around(atoms)
    model = new_model(
        {"kind": "charges", "conservation": "fixed", "formal_charges": FIXED, "width": WIDTH}, species=["O", "H"]
    )
    charges = torch.tensor([FIXED[symbol] for symbol in atoms.symbols], dtype=torch.float64)
    plain = model(System.from_ase(atoms), {"energy", "forces"})
    found = model(with_charges(atoms, rows), {"energy", "forces", "external_charge_forces"})
    here = Coulomb(error=1e-10).evaluate(System.from_ase(atoms), charges=charges, widths=WIDTH, self_energy=False)
    energy, forces, outside = as_atoms(atoms, rows, charges)
    torch.testing.assert_close(found.energy - plain.energy, energy - here.energy, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.forces - plain.forces, forces - here.forces, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.external_charge_forces, outside, rtol=0, atol=1e-9)


@pytest.mark.parametrize("pbc", [(False,) * 3, (True, True, False), (True,) * 3])
def test_potential_and_gradient_are_those_of_the_coulomb_matrix(pbc):
    atoms = water_dimer()
    atoms.cell, atoms.pbc = [[9, 0, 0], [1, 10, 0], [0.5, 1, 11]], pbc
    rows = around(atoms, 6)
    system = with_charges(atoms, rows)
    coulomb = Coulomb(error=1e-9)
    widths = torch.linspace(0.4, 0.9, 6).double()
    outside = external_potential(system, coulomb, widths, order=1)
    potential, gradient = outside.values, outside.gradient

    everything = System.from_ase(atoms + ase.Atoms("He6", rows[:, :3]))
    matrix = coulomb.matrix(everything, torch.cat([widths, torch.zeros(6)]))[0]
    scale = float(matrix.abs().max())
    torch.testing.assert_close(potential, matrix[:6, 6:] @ torch.from_numpy(rows[:, 3]), rtol=0, atol=1e-8 * scale)

    def at(step):
        moved = system.with_positions(system.positions + step * torch.eye(3).double()[0])
        return external_potential(moved, coulomb, widths).values

    slope = (8 * (at(1e-3) - at(-1e-3)) - at(2e-3) + at(-2e-3)) / 12e-3
    torch.testing.assert_close(gradient[:, 0], slope, rtol=1e-7, atol=1e-8)


def test_an_mm_region_that_repeats_is_neutralised_as_atoms_are():
    """Of a charged cell with external charges, only sums over all charges have a background."""
    atoms = water_dimer()
    atoms.cell, atoms.pbc = np.diag([9.0, 10, 11]), True
    rows = around(atoms, 5)
    assert abs(rows[:, 3].sum()) > 0.1
    charges = torch.tensor([FIXED[symbol] for symbol in atoms.symbols], dtype=torch.float64) + 0.1
    potential = external_potential(with_charges(atoms, rows), Coulomb(error=1e-10), WIDTH).values
    here = Coulomb(error=1e-10).evaluate(System.from_ase(atoms), charges=charges, widths=WIDTH, self_energy=False)
    energy, *_ = as_atoms(atoms, rows, charges)
    torch.testing.assert_close((charges * potential).sum(), (energy - here.energy)[0], rtol=0, atol=2e-8)


@pytest.mark.parametrize("kind", ["qeq", "polarizable", "scf"])
def test_what_responds_is_polarized(kind):
    """A charge beside a molecule lowers the energy of what answers to it below that of what stays as it is."""
    atoms = water_dimer()
    model = new_model({"kind": kind}, species=["O", "H"])
    rows = np.array([[0.0, 0.0, 4.0, 0.0]])
    energies = []
    for charge in (-2, -1, 0, 1, 2):
        rows[0, 3] = charge
        energies.append(float(model(with_charges(atoms, rows.copy()), {"energy"}).energy[0].detach()))
    low, lower, none, higher, high = energies
    assert lower + higher - 2 * none < -1e-6  # second order in the charge: less than nothing
    assert low + high - 2 * none == pytest.approx(4 * (lower + higher - 2 * none), rel=0.05)


def test_an_isolated_atom_keeps_its_energy_but_for_what_acts_on_it():
    model = new_model({"kind": "polarizable"}, species=["O"])
    model.isolated, model.baseline = [True], [-7.0]
    atom = ase.Atoms("O", [[0, 0, 0]])
    rows = np.array([[0.0, 0.0, 4.0, 0.0]])
    assert float(model(with_charges(atom, rows), {"energy"}).energy[0].detach()) == pytest.approx(-7.0, abs=1e-12)
    rows[0, 3] = 1.0
    assert float(model(with_charges(atom, rows), {"energy"}).energy[0].detach()) < -7.0 - 1e-6


def test_far_from_the_origin_in_single_precision():
    atoms = water_dimer()
    rows = around(atoms, 20)
    model = new_model({"kind": "qeq"}, species=["O", "H"]).float()
    here = model(with_charges(atoms, rows), {"energy", "forces", "external_charge_forces"})
    atoms.positions += 1700.0
    rows[:, :3] += 1700.0
    there = model(with_charges(atoms, rows), {"energy", "forces", "external_charge_forces"})
    torch.testing.assert_close(there.forces, here.forces, rtol=0, atol=1e-4)
    torch.testing.assert_close(there.external_charge_forces, here.external_charge_forces, rtol=0, atol=1e-4)


def test_rows_that_are_none():
    atoms = water_dimer()
    for wrong in ([[0, 0, 1.0]], "here", [[0, 0, 1.0, np.nan]], [[0, 0, 5.0, 1.0, -0.3]]):
        with pytest.raises(InputError, match=r"external_charges|Gaussian width"):
            with_charges(atoms, wrong)
    index = torch.tensor([1, 0])
    with pytest.raises(InputError, match="ascend"):
        ExternalCharges(torch.zeros(2, 3), torch.ones(2), index)


def test_rows_with_widths_and_an_empty_list():
    atoms = water_dimer()
    assert with_charges(atoms, []).external_charges is None
    outside = with_charges(atoms, [[0, 0, 5.0, 1.0, 0.3], [0, 0, 6.0, -1.0, 0.0]]).external_charges
    assert outside.widths.tolist() == [0.3, 0.0]
    assert replace(outside, widths=None).to(dtype=torch.float32).positions.dtype == torch.float32
