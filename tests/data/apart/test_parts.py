"""What parts of a frame carry: by their bonds, by the file, and where nothing is claimed."""

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk, molecule

from farfield.data.apart.parts import cheapest, parts_apart, with_parts_apart
from farfield.data.frame import Frame, Labels
from farfield.system import System


def ammonium():
    return ase.Atoms("NH4", 0.59 * np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]))


def formate():
    atoms = molecule("HCOOH")
    acid = [k for k in range(len(atoms)) if atoms.symbols[k] == "H" and min(atoms.get_distances(k, [1, 2, 3])) < 1.05]
    oxygens = [k for k in range(len(atoms)) if atoms.symbols[k] == "O"]
    hydroxyl = [k for k in acid if atoms.get_distances(k, oxygens).min() < 1.05]
    del atoms[hydroxyl]
    return atoms


def frame(*parts, gap=6.0, charge=0, spin=0, **info):
    both, edge = ase.Atoms(), 0.0
    for part in parts:
        part = part.copy()
        part.positions[:, 0] += edge - part.positions[:, 0].min()
        edge = part.positions[:, 0].max() + gap
        both += part
    both.info |= {"charge": charge, "spin": spin}
    if "fragment_charges" in info:
        both.set_array("fragment", np.repeat(np.arange(len(parts)), [len(part) for part in parts]))
        both.info |= info
    return Frame(System.from_ase(both), Labels(), "f.xyz frame 0")


def charges(*parts, **how):
    found = parts_apart(frame(*parts, **how)).parts
    return None if found is None else found.charges.tolist()


def test_ions_and_molecules_by_their_bonds():
    assert charges(ammonium(), formate()) == [1, -1]
    assert charges(formate(), ammonium()) == [-1, 1]
    assert charges(ammonium(), molecule("C2H6"), charge=1) == [1, 0]
    assert charges(molecule("H2O"), molecule("CH3OH"), molecule("C6H6")) == [0, 0, 0]


def test_what_touches_is_one_part():
    assert charges(ammonium(), formate(), gap=2.0) is None
    assert charges(molecule("H2O")) is None
    assert charges(bulk("NaCl", "rocksalt", a=5.64)) is None


def test_atoms_are_numbered_by_their_parts():
    found = parts_apart(frame(molecule("H2O"), ammonium(), charge=1)).parts
    assert found.index.tolist() == [0] * 3 + [1] * 5


def test_molecules_of_a_periodic_box_hang_together_through_its_faces():
    water = molecule("H2O", cell=[12.0] * 3, pbc=True)
    water += ase.Atoms("CH4", molecule("CH4").positions + 6.0)
    water.wrap()
    found = parts_apart(Frame(System.from_ase(water), Labels())).parts
    assert found.charges.tolist() == [0, 0]
    assert torch.bincount(found.index).tolist() == [3, 5]


def test_nothing_is_claimed_of_radicals_and_lone_atoms():
    sodium, chlorine = ase.Atoms("Na"), ase.Atoms("Cl")
    assert charges(sodium, chlorine) is None  # far apart they may be neutral
    assert charges(molecule("OH"), molecule("CH3")) is None
    assert charges(molecule("OH"), molecule("H2O"), spin=1) is None
    assert charges(molecule("OH"), sodium) is None
    assert charges(molecule("H2O"), molecule("H2O"), charge=-1) is None  # wherever that electron is


def test_a_lone_atom_carries_what_certain_molecules_leave():
    assert charges(ase.Atoms("Na"), molecule("H2O"), charge=1) == [1, 0]
    assert charges(ammonium(), ase.Atoms("Cl")) == [1, -1]
    assert charges(ase.Atoms("Na"), molecule("H2O"), charge=0) is None  # an odd electron, but no spin


def test_the_file_knows_what_bonds_do_not():
    assert charges(ase.Atoms("Na"), ase.Atoms("Cl"), fragment_charges=[1, -1]) == [1, -1]
    assert charges(ase.Atoms("Na"), ase.Atoms("Cl"), fragment_charges=[0, 0]) == [0, 0]
    assert charges(ase.Atoms("Na"), ase.Atoms("Cl"), fragment_charges=[0.9, -0.9]) is None


def test_file_and_bonds_that_contradict_each_other_are_told():
    swapped = frame(ammonium(), molecule("C2H6"), charge=1, fragment_charges=[0, 1])
    known, said = with_parts_apart([swapped])
    assert known[0].apart is None
    assert said == ["f.xyz frame 0: charges 0, +1 of its parts, where bonds say +1, 0"]


@pytest.mark.parametrize(
    ("options", "total", "expected"),
    [
        ([{1: 2.0, -1: 6.0}, {-1: 2.0, 1: 8.0}], 0, (1, -1)),
        ([{1: 2.0, -1: 2.5}, {-1: 2.0, 1: 2.0}], 0, None),  # either way round
        ([{0: 0.0}, {0: 0.0}], 1, None),
        ([{0: 0.0, -2: 3.0}, {1: 2.0}, {1: 2.0}], 0, (-2, 1, 1)),  # the total decides
    ],
)
def test_cheapest(options, total, expected):
    assert cheapest(options, total) == expected


@pytest.mark.parametrize(
    "pair", [("HCO", "OH"), ("CH3CO", "CH3"), ("CH3CO", "SH"), ("HCO", "NH2"), ("NO2", "OH"), ("ClO", "OH")]
)
def test_two_radicals_are_no_ion_pair(pair):
    assert charges(*map(molecule, pair)) is None


@pytest.mark.parametrize(("other", "atom", "total"), [("NH3", "H", 1), ("H2O", "Zn", 2), ("C6H6", "Ca", 2)])
def test_a_lone_atom_is_no_ion_because_it_is_left(other, atom, total):
    assert charges(molecule(other), ase.Atoms(atom), charge=total) is None
