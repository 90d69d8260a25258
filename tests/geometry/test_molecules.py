"""Bonds and touching, in space and through the faces of boxes."""

import ase
import pytest
import torch
from ase.build import bulk, molecule

from farfield.geometry.molecules import APART, BOND, Contacts, hang_together
from farfield.system import System


def two(symbols, distance, **box):
    return System.from_ase(ase.Atoms(symbols, [[0.1, 0.1, 0.1], [0.1 + distance, 0.1, 0.1]], **box))


@pytest.mark.parametrize(("symbols", "radii"), [("HH", 0.62), ("OH", 0.97), ("NaCl", 2.68)])
def test_reaches_by_covalent_radii(symbols, radii):
    for factor, bonded in ((0.99, True), (1.01, False)):
        assert Contacts.of(two(symbols, factor * BOND * radii)).bonded.tolist() == [bonded] * 2
    for beyond, groups in ((-0.01, [0, 0]), (0.01, [0, 1])):
        system = two(symbols, radii + APART + beyond)
        assert Contacts.of(system).groups(2).tolist() == groups


def test_through_the_faces_of_a_box():
    box = {"cell": [10.0] * 3, "pbc": True}
    assert Contacts.of(two("HH", 5.0, **box)).groups(2).tolist() == [0, 1]
    assert Contacts.of(two("HH", 9.0, **box)).bonded.tolist() == [False, False]
    assert Contacts.of(two("HH", 9.3, **box)).bonded.tolist() == [True, True]


def test_bonds_of_benzene():
    system = System.from_ase(molecule("C6H6"))
    assert int(Contacts.of(system).bonded.sum()) == 2 * 12


def test_what_is_dense_is_found_at_little_cost_and_nothing_else():
    assert hang_together(System.from_ase(bulk("NaCl", "rocksalt", a=5.64, cubic=True)))
    assert hang_together(System.from_ase(molecule("C6H6")))
    assert not hang_together(two("HH", 4.0))
    assert not hang_together(two("NaCl", 4.0))  # not certain: a closer look joins them
    assert torch.equal(Contacts.of(two("NaCl", 4.0)).groups(2), torch.zeros(2, dtype=torch.int64))
