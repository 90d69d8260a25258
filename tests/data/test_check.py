"""What ``check_file`` sees, and that it says so."""

import ase
import ase.build
import ase.io
import numpy as np
import pytest
import yaml

import farfield.data.check
from farfield.data.check import check_file
from farfield.data.config import DataConfig
from farfield.data.read import read_frames
from farfield.data.spellings import USUAL
from farfield.errors import InputError
from farfield.notices import Notice


def waters(count=12, seed=0, energy=-14.2):
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        atoms = ase.build.molecule("H2O")
        atoms.rattle(0.03, rng=rng)
        forces = rng.normal(size=(3, 3))
        atoms.arrays["forces"] = forces - forces.mean(0)
        atoms.info |= {"energy": energy + 0.05 * rng.normal(), "charge": 0}
        frames.append(atoms)
    return frames


@pytest.fixture
def check(tmp_path):
    def write_and_check(frames):
        ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
        return check_file(tmp_path / "a.xyz")

    return write_and_check


def said(report, grade):
    return " | ".join(finding.message for finding in report.findings if finding.grade == grade)


def test_sound_file(check):
    report = check(waters())
    assert not report.failed
    assert said(report, "warning") == ""
    assert (report.frames, report.atoms, report.elements) == (12, (3, 3), ("H", "O"))
    assert report.formulas == {"H2O": 12}
    assert report.periodicity == {"FFF": 12}
    assert report.volume is None
    assert 0.8 < report.closest < 1.0
    keys = {key.name: key for key in report.keys}
    assert (keys["energy"].place, keys["energy"].kind, keys["energy"].frames) == ("frame", "number", 12)
    assert (keys["forces"].place, keys["forces"].kind) == ("atom", "3 numbers")


@pytest.mark.parametrize("names", [("energy", "forces", "q_ref"), ("DFT_energy", "DFT_forces", "my_charges")])
def test_suggested_lines_read_the_file(check, names):
    frames = waters()
    for atoms in frames:
        atoms.info[names[0]] = atoms.info.pop("energy")
        atoms.arrays[names[1]] = atoms.arrays.pop("forces")
        atoms.arrays[names[2]] = np.array([-0.8, 0.4, 0.4])
        atoms.info |= {"dipole": np.array([0.0, 0, 0.4]), "uhf": 0, "label": "water"}
    report = check(frames)
    config = DataConfig(**yaml.safe_load(yaml.safe_dump(report.config)))
    assert (config.energy, config.forces, config.charges) == names
    assert (config.dipole, config.spin, config.group) == ("dipole", "uhf", "label")
    assert len(read_frames(config.train_paths, config)) == 12


def test_unreadable_file_is_an_error_not_an_exception(tmp_path):
    (tmp_path / "a.xyz").write_text("3\n\nO 0 0 0\n")
    report = check_file(tmp_path / "a.xyz")
    assert report.failed
    assert "cut short" in said(report, "error")
    assert check_file(tmp_path / "b.xyz").failed


def test_periodic_without_cell_and_atoms_on_top(check):
    frames = waters()
    frames[3].pbc = True
    frames[5].positions[1] = frames[5].positions[2]
    report = check(frames)
    assert "frame 3: periodic along a, b, c" in said(report, "error")
    assert "on top of each other in frame 5" in said(report, "error")


def test_atoms_too_close(check):
    frames = waters()
    frames[4].positions[1] = frames[4].positions[0] + [0.3, 0, 0]
    assert "closer than 0.5 Å in frame 4: atoms 0 and 1 are 0.30 Å" in said(check(frames), "warning")


def test_gaps_and_undefined_labels(check):
    frames = waters()
    del frames[0].arrays["forces"]
    frames[1].info["energy"] = np.nan
    frames[2].info["energy"] = np.inf
    report = check(frames)
    assert "forces is in only 11 of 12 frames" in said(report, "warning")
    assert "energy is nan in 1 frame" in said(report, "warning")
    assert "energy is infinite in 1 frame" in said(report, "error")
    assert report.config["allow_missing"] == ["energy", "forces"]


def test_gaps_in_what_is_not_used_are_only_noted(check):
    frames = waters()
    frames[0].info |= {"walltime": np.inf, "remark": 1.0}
    report = check(frames)
    assert not report.failed
    assert "remark is in only 1 of 12 frames" in said(report, "note")
    assert said(report, "warning") == ""


def test_total_charge_in_some_frames_is_an_error(check):
    frames = waters()
    del frames[0].info["charge"]
    assert "charge is in only 11 of 12 frames" in said(check(frames), "error")


def test_repeated_frame(check):
    frames = waters()
    assert "frame 12 is frame 7 again" in said(check([*frames, frames[7]]), "warning")


def test_same_positions_at_another_charge_are_no_repeat(check):
    neutral = waters(1)[0]
    ion = neutral.copy()
    ion.info["charge"] = 1
    assert "again" not in said(check([neutral, ion]), "warning")


def test_energy_outlier(check):
    frames = waters(30)
    frames[11].info["energy"] += 30.0
    assert "energy per atom off by +10 eV in frame 11 (outliers: frame 11)" in said(check(frames), "warning")


def test_ions_and_neutrals_of_one_formula_are_no_outliers(check):
    """An electron affinity of several eV is physics, not a mistake."""
    frames = waters(30)
    for atoms in frames[:7]:
        atoms.info["charge"], atoms.info["energy"] = 1, atoms.info["energy"] + 12.0
    assert "off by" not in said(check(frames), "warning")
    frames[3].info["energy"] -= 12.0
    assert "in frame 3 (outliers: frame 3)" in said(check(frames), "warning")


def test_outlier_among_frames_of_all_formulas(check):
    frames = [ase.Atoms(f"H{n}", [[1.5 * k, 0, 0] for k in range(n)]) for n in range(1, 13)]
    for n, atoms in enumerate(frames, 1):
        atoms.info |= {"energy": -13.6 * n, "charge": 0}
    frames[5].info["energy"] += 60.0
    assert "off by +10 eV in frame 5" in said(check(frames), "warning")


def test_large_and_unbalanced_forces(check):
    frames = waters()
    frames[2].arrays["forces"][0, 0] = 80.0
    warnings = said(check(frames), "warning")
    assert "forces up to 80 eV/Å (above 50 in frame 2)" in warnings
    assert "forces of a frame add up to" in warnings


@pytest.mark.parametrize(
    "energy, unit",
    [
        (-76.4, "hartree"),
        (-76.4 * 627.509, "kcal/mol"),
        (-76.4 * 2625.5, "kJ/mol"),
        (-76.4 * 27.2114, None),
        (-14.2, None),
    ],
)
def test_unit_of_all_electron_energies(check, energy, unit):
    """Water: -76.4 hartree with all electrons, -14.2 eV from VASP."""
    warnings = said(check(waters(energy=energy)), "warning")
    assert (f"energy_unit: {unit}" in warnings) if unit else ("energy_unit" not in warnings)


@pytest.mark.parametrize("factor, unit", [(1 / 0.529177, "bohr"), (0.1, "nm"), (1.0, None)])
def test_unit_of_lengths(check, factor, unit):
    frames = waters()
    for atoms in frames:
        atoms.positions *= factor
    report = check(frames)
    everything = said(report, "note") + said(report, "warning")
    assert (f"length_unit: {unit}" in everything) if unit else ("length_unit" not in everything)


def test_total_charge_and_spin(check):
    frames = waters(4)
    for atoms, charge, spin in zip(frames, (0, 1, -1, 0), (0, 1, 1, 1)):
        atoms.info |= {"charge": charge, "spin": spin}
    report = check(frames)
    assert "total charges (frames): -1 (1), 0 (2), +1 (1)" in said(report, "note")
    assert "do not fit the number of electrons in frame 3" in said(report, "warning")
    frames[0].info["charge"] = 0.5
    assert "not an integer in frame 0" in said(check(frames), "warning")


def test_no_total_charge(check):
    frames = waters(2)
    for atoms in frames:
        del atoms.info["charge"]
    assert "taken for 0" in said(check(frames), "note")


def test_atomic_charges_that_do_not_add_up(check):
    frames = waters(4)
    for atoms in frames:
        atoms.arrays["q_ref"] = np.array([-0.8, 0.4, 0.4])
    assert "q_ref" not in said(check(frames), "warning")
    frames[2].info["charge"] = 1
    assert "q_ref adds up to the total charge only within 1 e (frame 2)" in said(check(frames), "warning")


def test_nothing_to_train_on(check):
    frames = [ase.build.molecule("H2O")]
    report = check(frames)
    assert "nothing looks like an energy" in said(report, "warning")
    assert "nothing looks like forces" in said(report, "note")


def test_born_charges_alone_are_enough(check):
    frames = [ase.build.molecule("H2O") for _ in range(2)]
    for atoms in frames:
        atoms.arrays["apt"] = np.tile(np.eye(3).flatten() / 3, (3, 1))
    report = check(frames)
    assert report.config["energy"] is report.config["forces"] is None
    assert report.config["born_charges"] == "apt"
    assert report.model == {"paradigm": {"kind": "polarization"}}


def test_dipole_and_stress_are_not_suggested_where_they_mean_nothing(check):
    frames = waters(2)
    for atoms in frames:
        atoms.info |= {"dipole": np.ones(3), "stress": np.eye(3)}
        atoms.cell, atoms.pbc = np.eye(3) * 8, (True, True, False)
    config = check(frames).config
    assert "dipole" not in config
    assert "stress" not in config


def test_labels_of_the_response(check):
    frames = waters()
    for atoms in frames:
        atoms.arrays["apt"] = np.tile(np.eye(3).ravel(), (3, 1))  # adds up to 3, of neutral water
        atoms.info["polarizability"] = np.array([1.0, 0.3, 0, 0, 1, 0, 0, 0, 1])
    report = check(frames)
    assert "Born charges miss the total charge by up to 1 e an atom" in said(report, "warning")
    assert "not symmetric (by 30 %)" in said(report, "warning")
    assert (report.config["born_charges"], report.config["polarizability"]) == ("apt", "polarizability")


def test_polarization_that_is_a_dipole_of_the_cell(check):
    frames = waters()
    for atoms in frames:
        atoms.cell, atoms.pbc = [8, 8, 8], True
        atoms.info["polarization"] = np.array([0.1, 2.0, 0.0])
    report = check(frames)
    assert report.config["polarization"] == "polarization"
    assert "polarization_unit: e*angstrom" in said(report, "warning")


def test_what_is_said_while_reading_is_a_finding(monkeypatch):
    def load(path, *, skip_unreadable=False, on_notice):
        on_notice(Notice("warning", f"{path}: 3 columns are not read"))
        return waters()

    monkeypatch.setattr(farfield.data.check, "load_structures", load)
    assert "3 columns are not read" in [finding.message for finding in check_file("a.xyz").findings]


def test_frames_that_cannot_be_read_are_an_error_and_the_others_are_looked_at(monkeypatch):
    def load(path, *, skip_unreadable=False, on_notice):
        if not skip_unreadable:
            raise InputError("a.xyz, frame 8, line 51: '********' is no number")
        return waters(11)

    monkeypatch.setattr(farfield.data.check, "load_structures", load)
    report = check_file("a.xyz")
    assert report.failed
    assert "frame 8, line 51" in said(report, "error")
    assert "skip_unreadable: true would read the other 11 frames" in said(report, "error")
    assert report.frames == 11
    assert report.config["skip_unreadable"] is True


def _odd_values(atoms):
    n = len(atoms)
    return [
        None, "x", "", "-8 eV", "****", np.nan, np.inf, True, 10**40, 1e300, 1j, {"a": 1}, [1, [2]], b"bytes", "1 2 3",
        np.zeros(3), np.ones((3, 3)), np.arange(6.0), np.full(9, np.nan), np.array([]),
        np.array([None, 1], dtype=object),
        np.zeros((n, 3)), np.full((n, 3), 1e308), np.zeros((n, 3, 3)), np.zeros((0, 3)), np.array(["a"] * n),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_whatever_stands_under_the_usual_names_raises_nothing(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    names = [name for usual in USUAL.values() for name in usual]
    keys = [names[k] for k in rng.integers(len(names), size=8)]
    frames = []
    for _ in range(4):
        n = int(rng.choice([1, 2, 3, 6, 9]))
        atoms = ase.Atoms(
            numbers=rng.integers(0, 119, n), positions=rng.normal(size=(n, 3)) * rng.choice([1e-9, 3, 50])
        )
        atoms.pbc = rng.random(3) < 0.5
        atoms.cell = rng.choice([0.0, 10.0, np.nan, 1e7]) * np.eye(3)
        for key in keys:
            values = _odd_values(atoms)
            atoms.info[key] = values[rng.integers(len(values))]
        frames.append(atoms)
    monkeypatch.setattr(farfield.data.check, "load_structures", lambda path, **_: frames)
    assert check_file("a.xyz").frames == 4


def test_decimal_commas(tmp_path):
    """Extended xyz reads them as two whole numbers."""
    text = "".join(f"2\nenergy=-11,{60 + k}\nH 0 0 0\nH 0 0 0.7{k}\n" for k in range(4))
    (tmp_path / "a.xyz").write_text(text)
    assert "energy in frames 0, 1, 2, 3: decimal comma? write -11.60" in said(check_file(tmp_path / "a.xyz"), "error")
    with pytest.raises(InputError, match=r"decimal comma\? write -11.60, not -11,60"):
        read_frames(tmp_path / "a.xyz", DataConfig(train="x", forces=None))


def test_which_frames_lack_a_label(check):
    frames = waters(8)
    del frames[5].info["energy"], frames[2].info["charge"]
    frames[3].arrays["forces"][0, 0] = np.nan
    report = check(frames)
    assert "energy is in only 7 of 8 frames (not in frame 5)" in said(report, "warning")
    assert "charge is in only 7 of 8 frames (not in frame 2): write charge=0" in said(report, "error")
    assert "forces is nan in 1 frame |" in said(report, "warning") + " |"


def test_what_only_isolated_atoms_have_is_no_group(check):
    alone = [ase.Atoms(s, info={"energy": -1.0, "charge": 0, "config_type": "IsolatedAtom"}) for s in "HO"]
    for atoms in alone:
        atoms.arrays["forces"] = np.zeros((1, 3))
    frames = [*waters(), *alone]
    assert "group" not in check(frames).config
    for atoms in frames[:12]:
        atoms.info["config_type"] = "gas"
    assert check(frames).config["group"] == "config_type"


def test_an_atom_called_isolated_and_several_energies_of_one(check):
    alone = [ase.Atoms("H", info={"energy": e, "charge": 0}) for e in (-13.6, -12.0)]
    near = ase.Atoms("O", cell=[6.0] * 3, pbc=True, info={"energy": -3.0, "charge": 0, "kind": "isolated_atom"})
    for atoms in (*alone, near):
        atoms.arrays["forces"] = np.zeros((1, 3))
    warning = said(check([*waters(), *alone, near]), "warning")
    assert "isolated H has several energies: -13.6 eV (frame 12), -12 eV (frame 13)" in warning
    assert "frame 14 is called isolated_atom, but its images are 6 Å away" in warning


def test_forces_in_kcal(check):
    frames = waters()
    for atoms in frames:
        atoms.arrays["forces"] *= 40.0
    assert "if they are in kcal/mol/Å" in said(check(frames), "warning")
