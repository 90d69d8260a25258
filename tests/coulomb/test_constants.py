"""Lattice sums known to many digits."""

import json
from pathlib import Path

import ase
import numpy as np
import pytest
import torch

from farfield.coulomb import Coulomb
from farfield.system import System
from farfield.units import COULOMB

FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
BCC = 0.5 * (np.ones((3, 3)) - 2 * np.eye(3))
HEXAGONAL = np.array([[1, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, np.sqrt(8 / 3)]])
CUPRITE = [[0.25, 0.25, 0.25], [0.25, 0.75, 0.75], [0.75, 0.25, 0.75], [0.75, 0.75, 0.25], [0, 0, 0], [0.5, 0.5, 0.5]]
PEROVSKITE = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
WURTZITE = [[0, 0, 0], [0, 0, 3 / 8], [1 / 3, 2 / 3, 1 / 2], [1 / 3, 2 / 3, 7 / 8]]

# name: cell and fractions (cubic edge or hexagonal a = 1), charges, nearest distance, formula units, -E·d per unit
MADELUNG = {
    "NaCl": (FCC, [[0, 0, 0], [0.5, 0.5, 0.5]], [1, -1], 0.5, 1, 1.747564594633),
    "CsCl": (np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [1, -1], np.sqrt(0.75), 1, 1.762674773071),
    "zincblende": (FCC, [[0, 0, 0], [0.25, 0.25, 0.25]], [1, -1], np.sqrt(3 / 16), 1, 1.638055053389),
    "wurtzite": (HEXAGONAL, WURTZITE, [1, -1, 1, -1], np.sqrt(3 / 8), 2, 1.641321627372),
    "fluorite": (FCC, [[0, 0, 0], [0.25] * 3, [-0.25] * 3], [2, -1, -1], np.sqrt(3 / 16), 1, 5.038784879849),
    "cuprite": (np.eye(3), CUPRITE, [1] * 4 + [-2] * 2, np.sqrt(3 / 16), 2, 4.442475209839),
    "SrTiO3": (np.eye(3), PEROVSKITE, [2, 4, -2, -2, -2], 1.0, 1, 49.509872113359),
}

ONE_COMPONENT = {"sc": (np.eye(3), -2.837297479481), "fcc": (FCC, -2.888282119020), "bcc": (BCC, -2.888461503054)}


def _system(cell, fractions, scale):
    atoms = ase.Atoms([1] * len(fractions), cell=np.array(cell) * scale, pbc=True)
    atoms.set_scaled_positions(fractions)
    return System.from_ase(atoms)


@pytest.mark.parametrize("method", ["ewald", "mesh"])
@pytest.mark.parametrize("name", MADELUNG)
def test_madelung_constants(name, method):
    cell, fractions, charges, nearest, units, expected = MADELUNG[name]
    charges = torch.tensor(charges, dtype=torch.float64)
    found = Coulomb(error=1e-10, method=method).evaluate(_system(cell, fractions, 4.0), charges=charges)
    near = 1e-10 * max(expected, 2) if method == "mesh" else 2e-10
    assert -float(found.energy) * 4.0 * nearest / units / COULOMB == pytest.approx(expected, abs=near)


@pytest.mark.parametrize("name", ["NaCl", "CsCl", "zincblende", "fluorite", "SrTiO3"])
def test_no_forces_where_symmetry_forbids_them(name):
    cell, fractions, charges, *_ = MADELUNG[name]
    charges = torch.tensor(charges, dtype=torch.float64)
    found = Coulomb(error=1e-10).evaluate(_system(cell, fractions, 4.0), charges=charges)
    assert float(found.forces.abs().max()) < 2e-12


@pytest.mark.parametrize("method", ["ewald", "mesh"])
@pytest.mark.parametrize("name", ONE_COMPONENT)
def test_one_component_plasma(name, method):
    cell, expected = ONE_COMPONENT[name]
    system = _system(cell, [[0.1, 0.2, 0.3]], 5.0)
    found = Coulomb(error=1e-10, method=method).evaluate(system, charges=torch.ones(1, dtype=torch.float64))
    potential = float(found.potential) * float(system.volume()) ** (1 / 3) / COULOMB
    assert potential == pytest.approx(expected, abs=1e-10)


def test_one_charge_in_a_box_of_ten():
    system = _system(np.eye(3), [[0.5, 0.5, 0.5]], 10.0)
    energy = Coulomb(error=1e-10).energy(system, charges=torch.ones(1, dtype=torch.float64))
    assert float(energy) == pytest.approx(-2.042803890661, abs=1e-9)
    assert float(energy) == pytest.approx(COULOMB * -2.837297479481 / 20, abs=1e-9)


def test_displaced_caesium_chloride_against_the_stored_lattice_sum():
    stored = Path(__file__).parents[3] / "shared" / "reference" / "anchors2.json"
    if not stored.exists():
        pytest.skip(f"no reference values at {stored}")
    expected = json.loads(stored.read_text())["tinfoil E (CsCl shifted .05)"]
    system = _system(np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.55]], 1.0)
    energy = Coulomb(error=1e-10).energy(system, charges=torch.tensor([1.0, -1.0], dtype=torch.float64))
    assert float(energy) / COULOMB == pytest.approx(expected, abs=1e-8)
