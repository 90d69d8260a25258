"""Which keys ``check_file`` takes for what, by their names."""

import ase.build
import ase.io
import numpy as np
import pytest

from farfield.data.check import check_file
from farfield.data.checking.names import unfit
from farfield.data.spellings import spells, unit_in_name, words


@pytest.fixture
def check(tmp_path):
    def write_and_check(energy, forces, **more):
        rng = np.random.default_rng(0)
        frames = []
        for _ in range(6):
            atoms = ase.build.molecule("H2O")
            atoms.rattle(0.05, rng=rng)
            values = rng.normal(size=(3, 3))
            atoms.arrays[forces] = values - values.mean(0)
            atoms.info |= {energy: -14.0 + rng.normal(), "charge": 0}
            for key, value in more.items():
                value = value(len(frames)) if callable(value) else value
                (atoms.arrays if np.ndim(value) == 2 else atoms.info)[key] = value
            frames.append(atoms)
        ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
        return check_file(tmp_path / "a.xyz")

    return write_and_check


def said(report, grade):
    return " | ".join(finding.message for finding in report.findings if finding.grade == grade)


@pytest.mark.parametrize(
    "key, expected",
    [
        ("TotEnergy", ["tot", "energy"]),
        ("tot-energy", ["tot", "energy"]),
        ("TOTENERGY", ["tot", "energy"]),
        ("REFEnergy", ["ref", "energy"]),
        ("wB97X_dz.energy", ["w", "b97x", "dz", "energy"]),
        ("stress_GPa", ["stress", "gpa"]),
    ],
)
def test_words(key, expected):
    joined = "".join(words(key))
    assert joined == "".join(expected)
    assert words(key)[-1] == expected[-1]


@pytest.mark.parametrize(
    "key, name",
    [
        *(
            (key, "energy")
            for key in ("energy_REF", "E_ref", "REF_energy", "Energy", "TotEnergy", "pbe_energy", "energies")
        ),
        *(
            (key, "energy")
            for key in ("wb97x_dz.energy", "energy_eV", "PotEng", "ccsd(t)_cbs.energy", "dft_total_energy")
        ),
        *((key, "forces") for key in ("forces_REF", "DFT_forces", "F", "dft_force", "wb97x_dz.forces")),
        *((key, "virial") for key in ("dft_virial", "REF_virial", "REF_virials", "virial")),
        *((key, "charges") for key in ("mbis_charges", "wb97x_tz.mbis_charges", "MBISCharges", "q_ref")),
        *((key, "total_charge") for key in ("total_charge", "Q", "net_charge", "TotalCharge", "tot_charge")),
        *((key, "spin") for key in ("spin_multiplicity", "total_spin", "uhf", "Multiplicity")),
        ("virial_stress", "stress"),
        ("scf_dipole", "dipole"),
    ],
)
def test_usual_spellings(key, name):
    assert spells(key, name)
    assert unfit(key, name) == ""


@pytest.mark.parametrize(
    "key",
    ["energy_sigma", "energy_std", "pred_energy", "mace_energy", "interaction_energy", "int_energy", "energy_per_atom",
     "kinetic_energy", "KineticEnergy", "energy_weight", "formation_energy", "fermi_energy", "d3_energy", "e_coul",
     "zero_point_energy", "energy_error", "energyA", "energy_unit", "solvation_energy"],
)  # fmt: skip
def test_energies_that_are_not_the_energy(check, key):
    assert not spells(key, "energy")
    assert unfit(key, "energy")
    report = check("my_energy", "forces", **{key: -1.5})
    assert report.config["energy"] == "my_energy"
    assert next(k.use for k in report.keys if k.name == key).startswith("not proposed: ")


def test_a_functional_and_its_dispersion_are_a_total_energy():
    assert unfit("pbe_d3_energy", "energy") == ""


def test_a_guess_is_said(check):
    report = check("my_energy", "new_forces")
    assert (report.config["energy"], report.config["forces"]) == ("my_energy", "new_forces")
    assert "my_energy is taken for the energy because of its name" in said(report, "note")
    assert "new_forces is taken for the forces because of its name" in said(report, "note")
    assert "because of its name" not in said(check("DFT_energy", "REF_forces"), "note")


def test_a_second_energy_is_named_with_the_difference(check):
    report = check("REF_energy", "REF_forces", pbe_energy=lambda k: -3.0 + 0.1 * k)
    assert report.config["energy"] == "REF_energy"
    assert "also looks like an energy: pbe_energy (differs by up to 1" in said(report, "note")
    assert {k.name: k.use for k in report.keys}["pbe_energy"] == "not proposed: REF_energy is proposed"


def test_predicted_forces_and_gradients_are_no_forces(check):
    report = check("energy", "dft_total_gradient", mace_forces=np.ones((3, 3)))
    assert report.config["forces"] is None
    assert "dft_total_gradient is a gradient, minus the forces" in said(report, "warning")
    uses = {k.name: k.use for k in report.keys}
    assert uses["mace_forces"] == "not proposed: a prediction, not a reference"


@pytest.mark.parametrize("key, unit", [("energy_Ha", "hartree"), ("energy_kcal_mol", "kcal/mol"), ("E_meV", "meV")])
def test_unit_in_the_name(check, key, unit):
    assert unit_in_name(key, {"hartree", "kcal/mol", "meV", "eV"}) == unit
    report = check(key, "forces")
    assert (report.config["energy"], report.config["energy_unit"]) == (key, unit)
    assert f"energy_unit: {unit}, because of the name {key}" in said(report, "warning")


def test_eV_in_the_name_needs_no_line(check):
    assert "energy_unit" not in check("energy_eV", "forces").config


def test_a_label_of_another_shape_has_a_reason(check):
    uses = {k.name: k.use for k in check("energy", "forces", my_dipole=0.7, my_stress=np.ones(5)).keys}
    assert uses["my_dipole"] == "not proposed: dipole has 3 numbers"
    assert uses["my_stress"] == "not proposed: stress has 6 or 9 numbers"


def test_a_fermi_energy_is_an_outcome(check):
    report = check("energy", "forces", efermi=2.0)
    assert "fermi_level" not in report.config
    assert next(k.use for k in report.keys if k.name == "efermi").startswith("not proposed: an outcome")
