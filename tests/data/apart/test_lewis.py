"""Charges of molecules by their bonds, against what chemists write."""

import ase
import numpy as np
import pytest
from ase.build import molecule

from farfield.data.apart.lewis import Molecule, prices

IONS = {
    "ammonium": ("NHHHH", [(0, k) for k in (1, 2, 3, 4)], +1),
    "hydronium": ("OHHH", [(0, k) for k in (1, 2, 3)], +1),
    "hydroxide": ("OH", [(0, 1)], -1),
    "cyanide": ("CN", [(0, 1)], -1),
    "formate": ("COOH", [(0, 1), (0, 2), (0, 3)], -1),
    "nitrate": ("NOOO", [(0, 1), (0, 2), (0, 3)], -1),
    "azide": ("NNN", [(0, 1), (1, 2)], -1),
    "thiocyanate": ("SCN", [(0, 1), (1, 2)], -1),
    "perchlorate": ("ClOOOO", [(0, k) for k in (1, 2, 3, 4)], -1),
    "tetrafluoroborate": ("BFFFF", [(0, k) for k in (1, 2, 3, 4)], -1),
    "hexafluorophosphate": ("PFFFFFF", [(0, k) for k in range(1, 7)], -1),
    "triiodide": ("III", [(0, 1), (1, 2)], -1),
    "sulfate": ("SOOOO", [(0, k) for k in (1, 2, 3, 4)], -2),
    "phosphate": ("POOOO", [(0, k) for k in (1, 2, 3, 4)], -3),
    "guanidinium": (
        "CNNNHHHHHH",
        [(0, 1), (0, 2), (0, 3), (1, 4), (1, 5), (2, 6), (2, 7), (3, 8), (3, 9)],
        +1,
    ),
    "imidazolium": (
        "NCNCCHHHHH",
        [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (0, 5), (1, 6), (2, 7), (3, 8), (4, 9)],
        +1,
    ),
    "pyridinium": (
        "NCCCCCHHHHHH",
        [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0), *((k, k + 6) for k in range(6))],
        +1,
    ),
}
NEUTRAL = ["H2O", "CH4", "C6H6", "CO", "CO2", "N2O", "O3", "SO2", "CH3NO2", "HCN", "CH3COOH", "CH3CONH2", "P2", "ClF3"]


def best(found):
    cheapest = min(found, key=lambda charge: found[charge])
    return cheapest, sorted(found.values())[1] - found[cheapest] if len(found) > 1 else float("inf")


def both_ways(bonds):
    return [pair for i, j in bonds for pair in ((i, j), (j, i))]


@pytest.mark.parametrize("name", IONS)
def test_ions(name):
    formula, bonds, charge = IONS[name]
    numbers = ase.Atoms(formula).numbers.tolist()
    found, margin = best(prices(Molecule.of(numbers, both_ways(bonds))))
    assert found == charge
    assert margin >= 1.0


@pytest.mark.parametrize("name", NEUTRAL)
def test_neutral_molecules(name):
    atoms = molecule(name)
    i, j = np.nonzero(neighbours(atoms))
    found, margin = best(prices(Molecule.of(atoms.numbers.tolist(), list(zip(i.tolist(), j.tolist())))))
    assert found == 0
    assert margin >= 1.0


def neighbours(atoms):
    from ase.data import covalent_radii

    radii = covalent_radii[atoms.numbers]
    near = atoms.get_all_distances() < 1.25 * (radii[:, None] + radii)
    return near & ~np.eye(len(atoms), dtype=bool)


def test_the_order_of_atoms_does_not_matter():
    formula, bonds, _ = IONS["guanidinium"]
    numbers = ase.Atoms(formula).numbers
    order = np.random.default_rng(0).permutation(len(numbers))
    place = np.argsort(order)
    moved = Molecule.of(numbers[order].tolist(), both_ways([(int(place[i]), int(place[j])) for i, j in bonds]))
    assert moved.numbers == Molecule.of(numbers.tolist(), both_ways(bonds)).numbers
    assert prices(moved) == pytest.approx(prices(Molecule.of(numbers.tolist(), both_ways(bonds))))


def test_nitrite_and_nitronium_have_the_same_bonds():
    found = prices(Molecule.of([7, 8, 8], both_ways([(0, 1), (0, 2)])))
    assert found[-1] == pytest.approx(found[1])


def test_single_atoms_and_metals_have_no_say():
    assert prices(Molecule.of([11], [])) == {}
    assert prices(Molecule.of([79, 79], [(0, 1), (1, 0)])) == {}
