"""Charges, spins, dipoles and repeats: what ``check_file`` proposes of them and what it says."""

import ase
import ase.build
import ase.io
import numpy as np
import pytest

from farfield.data.check import check_file


def waters(count=6, **more):
    rng = np.random.default_rng(2)
    frames = []
    for _ in range(count):
        atoms = ase.build.molecule("H2O")
        atoms.rattle(0.05, rng=rng)
        forces = rng.normal(size=(3, 3))
        atoms.arrays["forces"] = forces - forces.mean(0)
        atoms.info["energy"] = -14.0 + rng.normal()
        for key, value in more.items():
            (atoms.arrays if np.shape(value) == (3,) and "dip" not in key else atoms.info)[key] = value
        frames.append(atoms)
    return frames


def boxed(frames, edge, shift=0.0):
    for atoms in frames:
        atoms.cell, atoms.pbc = [edge] * 3, True
        atoms.positions += shift
    return frames


@pytest.fixture
def check(tmp_path):
    def write_and_check(frames):
        ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
        return check_file(tmp_path / "a.xyz")

    return write_and_check


def said(report, grade):
    return " | ".join(finding.message for finding in report.findings if finding.grade == grade)


def uses(report):
    return {key.name: key.use for key in report.keys}


CHARGES = np.array([-0.8, 0.4, 0.4])


def test_charges_beside_those_a_calculation_started_from(check):
    report = check(waters(initial_charges=np.array([0.1, 0.1, 0.1]), charges=CHARGES))
    assert "charges" not in report.config
    warning = said(report, "warning")
    assert "initial_charges and charges could both be the charges" in warning
    assert "write charges: charges, or charges: initial_charges" in warning
    assert uses(report)["initial_charges"] == uses(report)["charges"] == "not proposed: two keys could be the charges"


def test_charges_whose_name_says_how_they_were_found(check):
    report = check(waters(initial_charges=np.array([0.1, 0.1, 0.1]), mbis_charges=CHARGES))
    assert report.config["charges"] == "mbis_charges"
    assert uses(report)["initial_charges"] == "not proposed: what a calculation started from"


def test_charges_that_a_calculation_started_from_are_no_labels(check):
    report = check(waters(initial_charges=CHARGES))
    assert "charges" not in report.config
    assert "if they are labels, charges: initial_charges" in said(report, "note")


def test_initial_charges_of_zero_do_not_matter(check):
    report = check(waters(initial_charges=np.zeros(3), charges=CHARGES))
    assert report.config["charges"] == "charges"
    assert said(report, "warning") == ""


def test_charges_of_zero_were_never_calculated(check):
    report = check(waters(hirshfeld_charges=np.zeros(3)))
    assert "charges" not in report.config
    assert "hirshfeld_charges is 0 in all frames" in said(report, "warning")


def test_two_kinds_of_charges(check):
    report = check(waters(hirshfeld_charges=CHARGES / 2, mbis_charges=CHARGES))
    assert report.config["charges"] == "mbis_charges"
    assert "also looks like charges: hirshfeld_charges (differs by up to 0.4 e)" in said(report, "note")


@pytest.mark.parametrize("key", ["formal_charges", "nuclear_charges"])
def test_charges_that_are_no_labels(check, key):
    report = check(waters(**{key: np.array([8.0, 1.0, 1.0])}))
    assert "charges" not in report.config
    assert uses(report)[key].startswith("not proposed: ")


def test_magnetic_moments_are_named(check):
    assert uses(check(waters(initial_magmoms=np.ones(3))))["initial_magmoms"].startswith("not proposed: magnetic")


def test_charges_that_add_up_to_ions_without_a_total_charge(check):
    report = check([*waters(mbis_charges=CHARGES), *waters(2, mbis_charges=CHARGES + 1 / 3)])
    assert "mbis_charges add up to whole charges (frames): +1 (2), but the file has no total charge" in said(
        report, "warning"
    )


@pytest.mark.parametrize("key", ["total_charge", "Q", "net_charge", "qtot", "TotalCharge"])
def test_total_charges(check, key):
    report = check([*waters(**{key: 0}), *waters(2, **{key: 1})])
    assert report.config["total_charge"] == key
    assert "total charges (frames): 0 (6), +1 (2)" in said(report, "note")


def test_two_total_charges_that_disagree(check):
    report = check(waters(charge=0, total_charge=1))
    assert "charge and total_charge disagree about the total charge by up to 1 e: charge is read" in said(
        report, "warning"
    )


@pytest.mark.parametrize("key", ["spin_multiplicity", "multiplicity", "mult"])
def test_a_multiplicity(check, key):
    report = check(waters(charge=0, **{key: 1}))
    assert (report.config["spin"], report.config["spin_unit"]) == (key, "multiplicity")
    assert f"{key} is the multiplicity 2S + 1 (2S, frames: 0 in 6)" in said(report, "note")
    assert said(report, "warning") == ""


@pytest.mark.parametrize("key", ["total_spin", "spin"])
def test_a_spin_that_fits_the_electrons_as_a_multiplicity_only(check, key):
    report = check([*waters(charge=0, **{key: 1}), *waters(2, charge=1, **{key: 2})])
    assert (report.config["spin"], report.config["spin_unit"]) == (key, "multiplicity")
    assert f"{key} is taken for the multiplicity 2S + 1: only so it fits" in said(report, "warning")


def test_a_multiplicity_of_zero_is_none(check):
    report = check(waters(charge=0, multiplicity=0))
    assert report.config["spin"] == "multiplicity"
    assert "spin_unit" not in report.config
    assert "multiplicity is taken for 2S" in said(report, "warning")


def test_molecules_in_boxes_have_dipoles(check):
    report = check(boxed(waters(dipole=np.array([0.0, 0.0, 0.4])), 20.0, 9.0))
    assert (report.config["dipole"], report.config["pbc"]) == ("dipole", "F F F")
    assert "molecules in boxes with 18" in said(report, "warning")


@pytest.mark.parametrize("edge, shift", [(5.0, 0.0), (20.0, None)])
def test_dipoles_of_what_may_be_no_molecule(check, edge, shift):
    """Too little room, or a molecule that the box has cut in two."""
    frames = boxed(waters(dipole=np.array([0.0, 0.0, 0.4])), edge, shift or 0.0)
    if shift is None:
        for atoms in frames:
            atoms.wrap()
    report = check(frames)
    assert not {"dipole", "pbc"} & report.config.keys()
    assert 'If these are molecules in a box: dipole: dipole, pbc: "F F F"' in said(report, "warning")
    assert uses(report)["dipole"] == "not proposed: dipole of periodic atoms"


def test_dipoles_of_the_molecules_among_crystals(check):
    dipole = np.array([0.0, 0.0, 0.4])
    report = check([*waters(dipole=dipole), *boxed(waters(2, dipole=dipole), 5.0)])
    assert report.config["dipole"] == "dipole"
    assert report.config["allow_missing"] == ["dipole"]
    assert "dipole is left out of the 2 frames that are periodic" in said(report, "note")


def test_a_polarization_of_molecules(check):
    report = check(waters(polarization_dip=0.0))
    assert "polarization" not in report.config
    frames = waters()
    for atoms in frames:
        atoms.info["polarization"] = np.array([0.0, 0.0, 0.1])
    report = check(frames)
    assert "polarization" not in report.config
    assert "only crystals, periodic along three axes, have a polarization" in said(report, "note")


def test_the_same_structure_with_the_same_labels(check):
    frames = waters()
    warning = said(check([*frames, frames[1], frames[2]]), "warning")
    assert "frame 6 is frame 1 again (such repeats: 2)" in warning
    assert "other labels" not in warning


def test_the_same_structure_with_other_labels(check):
    frames = waters()
    others = [atoms.copy() for atoms in frames[:2]]
    others[0].info["energy"] += 0.3
    others[1].info["energy"] += 0.6
    warning = said(check([*frames, *others]), "warning")
    assert "frame 7 is frame 1 again with other labels, 0.2 eV/atom apart" in warning
    assert "such pairs: 2, this is the furthest apart" in warning
    assert "two levels of theory?" in warning


def test_the_same_structure_with_other_forces(check):
    frames = waters()
    other = frames[4].copy()
    other.arrays["forces"] = -other.arrays["forces"]
    assert "frame 6 is frame 4 again with other labels" in said(check([*frames, other]), "warning")


@pytest.mark.parametrize("key", ["total_charge", "spin", "efield"])
def test_the_same_structure_under_other_conditions_is_no_repeat(check, key):
    frames = [*waters(1, **{key: 0}), *waters(1, **{key: 1})]
    assert "again" not in said(check(frames), "warning")


def test_fragments_are_read_without_a_line(check):
    frames = waters(fragment=np.array([0, 0, 1]))
    for atoms in frames:
        atoms.info |= {"fragment_charges": np.array([0.0, 0.0]), "fragment_energies": np.array([-1.0, -2.0])}
    found = uses(check(frames))
    assert found["fragment"] == found["fragment_charges"] == found["fragment_energies"] == "fragments"
