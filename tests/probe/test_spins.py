"""Laws hand spins on: those of whoever is repeated, put beside another, or taken for a fragment."""

from dataclasses import dataclass

import ase
import pytest
import torch
from ase.calculators.calculator import Calculator, all_changes

from farfield.prediction import Prediction
from farfield.probe import CalculatorSubject, ModelSubject, scorecard
from farfield.probe.stage import Stage
from farfield.probe.structures.fragments import Dimer, polar


@dataclass(frozen=True)
class Magnets:
    """An energy that counts unpaired electrons, which is extensive where spins are."""

    gives: frozenset[str] = frozenset({"energy", "forces"})
    species: tuple[int, ...] = (11, 17)

    def __call__(self, system, /, *, want):
        return Prediction(energy=system.spin.double(), forces=torch.zeros_like(system.positions))


def salt(pbc, spin):
    atoms = ase.Atoms("NaCl", [[0, 0, 0], [2.8, 0, 0]], cell=[5.6, 5.6, 5.6], pbc=pbc)
    atoms.info["spin"] = spin
    return atoms


def test_twice_the_structure_has_twice_the_spin():
    subject = ModelSubject(Magnets(), "magnets", reach=5.0, cutoff=5.0)
    structures = [salt(True, 2), salt(False, 1)]
    card = scorecard(subject, laws=["supercell", "size_consistency"], structures=structures)
    assert [found.status for found in card.findings] == ["pass", "pass"]


def test_fragments_of_the_user_keep_their_spins():
    stage = Stage(ModelSubject(Magnets(), "magnets", reach=5.0, cutoff=5.0), fragments=(salt(False, 2),))
    found = polar(stage)
    assert found.spin == found.alone.info["spin"] == found.turned(torch.eye(3).numpy()).spin == 2
    assert Dimer(found, found).at(9.0).info["spin"] == 4


class Moments(Calculator):
    """Keeps what it is handed."""

    implemented_properties = ("energy",)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0}
        self.handed = (atoms.get_initial_charges().sum(), atoms.get_initial_magnetic_moments().sum())


def test_foreign_calculators_get_them_as_magnetic_moments():
    calculator = Moments()
    subject = CalculatorSubject(calculator, "moments", (11, 17))
    atoms = salt(False, 2)
    atoms.info["charge"] = -1
    subject([atoms], frozenset({"energy"}))
    assert calculator.handed == pytest.approx((-1, 2))
    atoms.set_initial_magnetic_moments([3.0, -1.0])
    subject([atoms], frozenset({"energy"}))
    assert calculator.handed == pytest.approx((-1, 2))
    assert calculator.atoms.get_initial_magnetic_moments().tolist() == [3, -1]
