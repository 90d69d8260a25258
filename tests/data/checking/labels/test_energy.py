"""Energies that ``check_file`` takes, and those that it does not: made up, unreadable, in an open unit."""

import ase
import ase.build
import ase.io
import numpy as np
import pytest

from farfield.data.check import check_file


def pairs(count=6, **info):
    """Na and Cl ever further apart, with a force between them."""
    frames = []
    for k in range(count):
        atoms = ase.Atoms("NaCl", [[0, 0, 0], [2.4 + 0.1 * k, 0, 0]])
        atoms.arrays["forces"] = np.array([[1.0 + 0.1 * k, 0, 0], [-1.0 - 0.1 * k, 0, 0]])
        atoms.info |= {"energy": -6.0 + 0.1 * k**2, "charge": 0} | info
        frames.append(atoms)
    return frames


@pytest.fixture
def check(tmp_path):
    def write_and_check(frames, replacing=()):
        ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
        text = (tmp_path / "a.xyz").read_text()
        for old, new in replacing:
            text = text.replace(old, new)
        (tmp_path / "a.xyz").write_text(text)
        return check_file(tmp_path / "a.xyz")

    return write_and_check


def said(report, grade):
    return " | ".join(finding.message for finding in report.findings if finding.grade == grade)


def uses(report):
    return {key.name: key.use for key in report.keys}


@pytest.mark.parametrize("bad", ["********", "None", '"-8.1 eV"', '"n/a"'])
def test_one_energy_that_is_no_number(check, bad):
    report = check(pairs(), [("energy=-5.1 ", f"energy={bad} ")])
    assert report.failed
    assert f"energy is no number in frame 3: {bad.strip(chr(34))!r}" in said(report, "error")
    assert report.config["energy"] == "energy"
    assert uses(report)["energy"] == "energy"


def test_text_in_few_frames_of_an_unknown_key_is_a_note(check):
    frames = pairs()
    for k, atoms in enumerate(frames):
        atoms.info["timing"] = "aborted" if k == 2 else 3.5
    report = check(frames)
    assert not report.failed
    assert "timing is no number in frame 2: 'aborted'" in said(report, "note")


def test_energies_with_their_unit(check):
    report = check([atoms for atoms in pairs(energy="-8.1 eV")])
    assert "energy is no number in frame 0: '-8.1 eV': write the number alone, and its unit as energy_unit: eV" in said(
        report, "error"
    )
    assert report.config["energy"] == "energy"


def test_a_total_charge_that_is_text_is_an_error(check):
    assert "charge is no number in frame 0: 'neutral' (6 such frames)" in said(check(pairs(charge="neutral")), "error")


def test_a_total_charge_that_is_nan_is_an_error(check):
    assert "charge is not finite in 6 frames" in said(check(pairs(charge=np.nan)), "error")


def test_an_energy_that_never_changes_is_left(check):
    report = check(pairs(energy=0.0))
    assert report.config["energy"] is None
    assert report.config["forces"] == "forces"
    assert "energy is 0 in all frames beside forces of up to 1.5 eV/Å: no energy, not proposed" in said(
        report, "warning"
    )
    assert uses(report)["energy"] == "not proposed: 0 in all frames"


def test_the_next_energy_takes_the_place_of_one_that_is_made_up(check):
    frames = pairs(energy=0.0)
    for k, atoms in enumerate(frames):
        atoms.info["dft_energy"] = -6.0 + k
    assert check(frames).config["energy"] == "dft_energy"


def test_one_structure_many_times_may_have_one_energy(check):
    frames = pairs(1) * 4
    assert check(frames).config["energy"] == "energy"


def test_forces_that_are_all_zero_are_left(check):
    frames = pairs()
    for atoms in frames:
        atoms.arrays["forces"] *= 0
    report = check(frames)
    assert report.config["forces"] is None
    assert "forces is 0 in all frames: taken for never calculated" in said(report, "warning")


def test_forces_are_the_slope_of_the_free_energy(check):
    frames = pairs()
    for atoms in frames:
        atoms.info["free_energy"] = atoms.info["energy"] - 0.2
    report = check(frames)
    assert report.config["energy"] == "free_energy"
    assert "energy and free_energy differ by up to 0.1 eV/atom; forces are the slope of free_energy" in said(
        report, "note"
    )
    for atoms in frames:
        del atoms.arrays["forces"]
    assert check(frames).config["energy"] == "energy"


def test_a_free_energy_of_other_names(check):
    frames = pairs()
    for atoms in frames:
        atoms.info["REF_energy"] = atoms.info.pop("energy")
        atoms.info["REF_free_energy"] = atoms.info["REF_energy"] - 0.2
    assert check(frames).config["energy"] == "REF_free_energy"


def test_the_same_energy_twice_is_no_matter(check):
    frames = pairs()
    for atoms in frames:
        atoms.info["free_energy"] = atoms.info["energy"]
    report = check(frames)
    assert report.config["energy"] == "energy"
    assert "slope" not in said(report, "note")


def test_a_free_energy_above_the_energy_is_another_thing(check):
    frames = pairs()
    for atoms in frames:
        atoms.info["free_energy"] = atoms.info["energy"] + 1.0
    report = check(frames)
    assert report.config["energy"] == "energy"
    assert "no free energy of electrons" in said(report, "warning")


def test_single_atoms_are_named(check):
    frames = [
        *pairs(),
        ase.Atoms("Na", info={"energy": -3.0, "charge": 0}),
        ase.Atoms("Cl", info={"energy": -4.0, "charge": -1}),
    ]
    boxed = ase.Atoms("K", cell=[12, 12, 12], pbc=True, info={"energy": -2.0, "charge": 0})
    metal = ase.Atoms("Li", cell=[3, 3, 3], pbc=True, info={"energy": -2.0, "charge": 0})
    report = check([*frames, boxed, metal])
    assert "E0 of Na, Cl (-1), K: isolated atoms (3 frames)" in said(report, "note")
    assert report.config["allow_missing"] == ["forces"]


def test_forces_that_only_single_atoms_lack_are_no_warning(check):
    report = check([*pairs(), ase.Atoms("Na", info={"energy": -3.0, "charge": 0})])
    assert said(report, "warning") == ""
    assert "forces is in only 6 of 7 frames" in said(report, "note")


def test_slabs_beside_crystals_are_no_outliers(check):
    frames = []
    for k in range(16):
        atoms = ase.build.bulk("NaCl", "rocksalt", 5.6, cubic=True)
        atoms.rattle(0.05, seed=k)
        atoms.pbc = [True, True, k < 8]
        atoms.info["energy"] = (-60.0 if k < 8 else -30.0) + 0.01 * k
        frames.append(atoms)
    assert "off by" not in said(check(frames), "warning")


def archived(path, frames):
    """An npz of places, elements and energies."""
    energies = [atoms.info["energy"] for atoms in frames]
    np.savez(path, R=[atoms.positions for atoms in frames], z=frames[0].numbers, E=energies)
    return path


@pytest.mark.parametrize("factor, unit", [(1.0, "kcal/mol"), (10.0, "kcal/mol")])
def test_a_format_that_leaves_its_unit_open(tmp_path, factor, unit):
    frames = pairs()
    for atoms in frames:
        atoms.info["energy"] *= factor
    report = check_file(archived(tmp_path / "a.npz", frames))
    assert report.config["energy_unit"] == unit
    assert "does not say the unit of its energies" in said(report, "warning")


def test_all_electron_energies_betray_the_unit_that_is_left_open(tmp_path):
    frames = []
    for k in range(6):
        atoms = ase.build.molecule("H2O")
        atoms.rattle(0.02, seed=k)
        atoms.info["energy"] = -76.4 + 0.001 * k
        frames.append(atoms)
    assert check_file(archived(tmp_path / "a.npz", frames)).config["energy_unit"] == "hartree"
