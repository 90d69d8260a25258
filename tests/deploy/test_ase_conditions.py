"""Conditions that structures state under another name are told, once; what has no stress says so."""

import warnings

import ase
import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.calculator import PropertyNotImplementedError
from ase.md.nptberendsen import NPTBerendsen
from ase.optimize import BFGS

import farfield as ff
from farfield.deploy.ase import FarfieldCalculator
from farfield.errors import FarfieldWarning, InputError


def calculator(kind="latent", keys=None, **options):
    model = ff.new_model({"kind": kind}, species=["Na", "Cl"], seed=1, backbone={"channels": 8})
    model.training_summary = {"keys": keys or {}}
    return FarfieldCalculator(model, **options)


def pair(**info):
    return ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.4]], info=info)


NAMED = {
    "total_charge": ({"total_charge": 1}, 'info has "total_charge", 1 .* read from "charge"'),
    "net charge": ({"net_charge": -1.0}, 'info has "net_charge"'),
    "multiplicity": ({"multiplicity": 2}, 'info has "multiplicity", 2 .* read from "spin"'),
    "another charge": ({"charge": 0, "total_charge": 1}, 'info has "total_charge", 1 .* where "charge", .* is 0'),
    "field": ({"efield": [0, 0, 0.1]}, 'info has "efield", 0 0 0.1 .* read from "external_field"'),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_condition_by_another_name_is_told_once(name):
    info, said = NAMED[name]
    calc, atoms = calculator(), pair(**info)
    atoms.calc = calc
    with pytest.warns(FarfieldWarning, match=said) as heard:
        atoms.get_potential_energy()
    assert heard[0].filename == __file__
    other = pair(**info, more=1)
    other.positions[1, 2] = 2.6
    other.calc = calc
    other.get_potential_energy()  # a warning would be an error


def test_every_kind_is_told_even_by_a_later_structure_and_through_an_optimizer():
    calc = calculator()
    pair(note="x").copy()
    first, second = pair(note="x"), pair(tot_charge=1, uhf=1)
    first.calc = second.calc = calc
    first.get_potential_energy()
    with pytest.warns(FarfieldWarning) as heard:
        BFGS(second, logfile=None).run(steps=1)
    assert sorted("charge" in str(one.message) for one in heard) == [False, True]
    assert {one.filename for one in heard} == {__file__}


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"charge": 1},
        {"charge": 1, "total_charge": 1},
        {"total_charge": 0},
        {"multiplicity": 1},
        {"spin": 2, "multiplicity": 3},
        {"efermi": 4.2},
        {"step": 3, "note": "Q"},
    ],
)
def test_nothing_is_told_where_nothing_is_overlooked(info):
    atoms = pair(**info)
    atoms.calc = calculator()
    atoms.get_forces()


def test_the_name_of_the_training_data_is_not_the_calculators():
    """One name, whatever a file called it; but whoever reads on in that file hears of it."""
    atoms = pair(my_q=1)
    atoms.calc = calculator(keys={"total_charge": "my_q"})
    with pytest.warns(FarfieldWarning, match='info has "my_q", as total_charge is called in the training data'):
        assert atoms.get_charges().sum() == pytest.approx(0, abs=1e-9)


def test_a_field_of_the_calculators_own_is_not_looked_for():
    atoms = pair(efield=[0, 0, 0.1])
    atoms.calc = calculator(external_field=[0, 0, 0.1])
    atoms.get_forces()


def slab(pbc):
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.pbc = pbc
    return atoms


OPEN = {"molecule": False, "wire": (False, True, False), "slab": (True, True, False)}


@pytest.mark.parametrize("kind", ["short_range", "latent", "polarizable"])
@pytest.mark.parametrize("name", OPEN)
def test_only_crystals_have_a_stress(kind, name):
    atoms = slab(OPEN[name])
    atoms.calc = calculator(kind)
    with pytest.raises(PropertyNotImplementedError, match="stress: only crystals, periodic along three axes"):
        atoms.get_stress()
    for label in ("polarization", "dielectric_tensor"):
        if label in atoms.calc.implemented_properties:
            with pytest.raises(PropertyNotImplementedError, match="only crystals"):
                atoms.calc.get_property(label, atoms)
    assert np.isfinite(atoms.get_forces()).all()
    for value in atoms.calc.results.values():
        assert np.isfinite(value).all()
    assert atoms.calc.get_property("stress", atoms, allow_calculation=False) is None


def test_the_axes_are_named():
    for pbc, said in ((OPEN["slab"], "periodic along a and b .pbc: T T F"), (False, "this structure is not periodic")):
        atoms = slab(pbc)
        atoms.calc = calculator()
        with pytest.raises(PropertyNotImplementedError, match=said):
            atoms.get_stress()


def test_a_driver_that_wants_stress_of_a_slab_stops_with_the_reason_and_writers_do_not_mind(tmp_path):
    atoms = slab(OPEN["slab"])
    atoms.calc = calculator()
    atoms.get_forces()
    ase.io.write(tmp_path / "slab.xyz", atoms, format="extxyz")
    ase.io.write(tmp_path / "slab.traj", atoms)
    assert "stress" not in ase.io.read(tmp_path / "slab.traj").calc.results
    atoms.set_velocities(np.full((8, 3), 0.01))
    driver = NPTBerendsen(atoms, 1.0, temperature_K=300, pressure_au=0.0, compressibility_au=1.0)
    with pytest.raises(PropertyNotImplementedError, match="only crystals"):
        driver.run(1)


def test_crystals_have_one_and_no_dipole():
    atoms = slab(True)
    atoms.calc = calculator()
    assert np.isfinite(atoms.get_stress()).all()
    with pytest.raises(PropertyNotImplementedError, match="dipole: only molecules have one"):
        atoms.get_dipole_moment()
    atoms.info["external_field"] = [0, 0, 0.1]
    with pytest.raises(InputError, match="charges that flow between its cells leave it"):
        atoms.get_stress()


def test_warnings_can_be_turned_off():
    atoms = pair(total_charge=1)
    atoms.calc = calculator()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FarfieldWarning)
        atoms.get_forces()
