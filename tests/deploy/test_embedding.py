"""farfield as what ASE treats in full, point charges around it."""

import ase
import ase.build
import numpy as np
import pytest
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.qmmm import EIQMMM, LJInteractions
from ase.calculators.tip3p import TIP3P, epsilon0, sigma0

from farfield import new_model
from farfield.deploy.ase import FarfieldCalculator
from farfield.errors import InputError


def three_waters():
    water = ase.build.molecule("H2O")
    water.set_distance(0, 1, 0.9572, fix=0)
    water.set_distance(0, 2, 0.9572, fix=0)
    out = water.copy()
    for k, place in enumerate([(3.1, 0.2, 0.1), (-0.4, 3.3, 0.5)]):
        other = water.copy()
        other.rotate(50 * (k + 1), (1, k, 2))
        other.positions += place
        out += other
    return out


def calculator(kind="qeq"):
    return FarfieldCalculator(new_model({"kind": kind}, species=["O", "H"]))


def test_forces_of_ases_qmmm_are_slopes_of_its_energy():
    atoms = three_waters()
    interaction = LJInteractions({("O", "O"): (epsilon0, sigma0)})
    atoms.calc = EIQMMM([0, 1, 2], calculator(), TIP3P(rc=9.0), interaction)
    forces, found = atoms.get_forces(), []
    for atom, axis in ((0, 0), (1, 2), (3, 1), (8, 0)):
        step = 1e-3
        energies = []
        for way in (2, 1, -1, -2):
            moved = atoms.copy()
            moved.positions[atom, axis] += way * step
            moved.calc = atoms.calc
            energies.append(moved.get_potential_energy())
        far, near, less, least = energies
        found.append((8 * (near - less) - (far - least)) / (12 * step) + forces[atom, axis])
    assert np.abs(found).max() < 1e-5


def test_charges_that_move_are_noticed_and_said_in_info_alike():
    atoms = three_waters()[:3]
    atoms.calc = calculator()
    around = atoms.calc.embed([0.5, -0.5])
    with pytest.raises(InputError, match="set_positions"):
        atoms.get_potential_energy()
    energies = []
    for z in (4.0, 5.0):
        around.set_positions([[0, 0, z], [0, 3.0, z]])
        energies.append(atoms.get_potential_energy())
        same = atoms.copy()
        same.info["external_charges"] = [[0, 0, z, 0.5], [0, 3.0, z, -0.5]]
        same.calc = calculator()
        assert same.get_potential_energy() == pytest.approx(energies[-1], abs=1e-10)
        np.testing.assert_allclose(same.calc.results["external_charge_forces"], around.get_forces(atoms.calc))
    assert abs(energies[0] - energies[1]) > 1e-4


def test_who_has_no_charges_cannot_be_embedded():
    with pytest.raises(InputError, match="short_range takes no external_charges"):
        calculator("short_range").embed([1.0])
    with pytest.raises(InputError, match="one finite charge"):
        calculator().embed([[1.0]])
    with pytest.raises(InputError, match="2 embedding charges need"):
        calculator().embed([1.0, 2.0]).set_positions([[0, 0, 0]])


def test_what_is_asked_too_early_or_taken_back():
    atoms, calc = three_waters()[:3], calculator()
    around = calc.embed([1.0])
    with pytest.raises(InputError, match="once an energy or forces"):
        around.get_forces(calc)
    with pytest.raises(InputError, match="not rc"):
        calc.embed([1.0], rc=9.0)
    atoms.calc = calc
    around.set_positions([[0, 0, 4.0]])
    before = atoms.get_potential_energy()
    assert calc.embed(None) is None
    assert abs(atoms.get_potential_energy() - before) > 1e-4


def test_stress_beside_external_charges_is_left_to_who_strains_them():
    atoms = three_waters()
    atoms.cell, atoms.pbc = [9.0, 9.5, 10.0], True
    atoms.info["external_charges"] = [[4.0, 4.0, 8.0, 0.5]]
    atoms.calc = calculator()
    assert np.isfinite(atoms.get_forces()).all()
    assert "stress" not in atoms.calc.results
    with pytest.raises(PropertyNotImplementedError, match="strained with the cell"):
        atoms.get_stress()
