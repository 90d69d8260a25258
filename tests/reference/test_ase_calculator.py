"""Labels from ASE calculators: slopes of the energy that is written, whatever holds the atoms."""

import sys
from types import ModuleType

import ase
import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixBondLengths, FixCartesian, FixCom, FixedPlane, Hookean

from farfield.reference.ase_calculator import ASEEngine
from farfield.reference.run import label_structures

COPPER = ASEEngine("ase.calculators.emt", "EMT")


def slab():
    atoms = ase.build.fcc111("Cu", (2, 2, 3), vacuum=6.0)
    atoms.info = {}  # which extxyz cannot write
    atoms.rattle(0.1, seed=1)
    return atoms


CONSTRAINTS = {
    "FixAtoms": [FixAtoms(range(8))],
    "FixCartesian": [FixCartesian(a, mask=(True, False, True)) for a in range(6)],
    "FixBondLengths": [FixBondLengths([(0, 4), (1, 5)])],
    "Hookean": [Hookean(a1=0, a2=11, rt=1.0, k=5.0)],
    "FixCom": [FixCom()],
    "FixedPlane": [FixedPlane([0, 1, 2], (0, 0, 1))],
    "several": [FixAtoms([0, 1]), Hookean(a1=3, a2=11, rt=1.0, k=5.0)],
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_labels_are_those_of_free_atoms_and_constraints_stay(name):
    free, held = slab(), slab()
    held.set_constraint(CONSTRAINTS[name])
    expected, found = COPPER.label(free), COPPER.label(held)
    assert found.energy == expected.energy
    np.testing.assert_array_equal(found.forces, expected.forces)
    np.testing.assert_allclose(found.forces.sum(0), 0, atol=1e-10)
    assert [type(c) for c in held.constraints] == [type(c) for c in CONSTRAINTS[name]]


def test_the_file_that_is_written_has_labels_and_constraints(tmp_path):
    held = slab()
    held.set_constraint(FixAtoms(range(8)))
    label_structures([held, slab()], COPPER, tmp_path / "out.xyz")
    written, free = ase.io.read(tmp_path / "out.xyz", ":")
    assert written.constraints[0].index.tolist() == list(range(8))
    assert not free.constraints
    np.testing.assert_array_equal(written.calc.results["forces"], free.calc.results["forces"])
    assert written.calc.results["energy"] == free.calc.results["energy"]


class Smeared(Calculator):
    """Springs to the origin under an energy that is extrapolated to something else."""

    implemented_properties = ("energy", "free_energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        free = 0.5 * (self.atoms.positions**2).sum()
        self.results = {"energy": 0.9 * free, "free_energy": free, "forces": -self.atoms.positions}


class Promises(Smeared):
    """It says that it has a free energy, and gives none."""

    def calculate(self, *args, **options):
        super().calculate(*args, **options)
        self.results["energy"] = self.results.pop("free_energy")


class Old(EMT):
    """From before calculators had two energies."""

    def get_potential_energy(self, atoms):
        return super().get_potential_energy(atoms)


def test_the_energy_is_the_one_whose_slope_the_forces_are():
    atoms = ase.Atoms("H2", [[0.3, 0, 0], [0, 0, 1.0]])
    for kind in ("Smeared", "Promises"):
        found = ASEEngine(__name__, kind).label(atoms)
        assert found.energy == pytest.approx(0.5 * (0.3**2 + 1))
        np.testing.assert_array_equal(found.forces, -atoms.positions)
    with pytest.raises(PropertyNotImplementedError):
        Promises().get_potential_energy(atoms, force_consistent=True)


def test_calculators_of_one_energy():
    assert ASEEngine(__name__, "Old").label(slab()).energy == COPPER.label(slab()).energy


class Moments(Calculator):
    """Its energy is 10 eV a charge and 1 eV an unpaired electron, as it is handed them."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        handed = 10 * atoms.get_initial_charges().sum() + atoms.get_initial_magnetic_moments().sum()
        self.results = {"energy": handed, "forces": np.zeros((len(atoms), 3))}


def test_charge_and_spin_are_handed_over(monkeypatch):
    module = ModuleType("moments")
    module.Moments = Moments
    monkeypatch.setitem(sys.modules, "moments", module)
    engine = ASEEngine("moments", "Moments")
    atoms = ase.Atoms("O2", [[0, 0, 0], [0, 0, 1.2]], info={"charge": -1, "spin": 1})
    assert engine.label(atoms).energy == pytest.approx(-9)
    assert not atoms.get_initial_charges().any()
    atoms.set_initial_magnetic_moments([3.0, 0.0])  # the user's own
    assert engine.label(atoms).energy == pytest.approx(-7)
