import ase
import ase.io
import numpy as np
import pytest
import torch
from ase.constraints import FixAtoms

import farfield as ff
from farfield.cli.conditions import take_conditions
from farfield.cli.main import main
from farfield.deploy.velocities import unread_velocities
from farfield.model import save

ARGUMENTS = ["md", "model.pt", "pair.xyz", "--steps", "2", "--every", "1", "--timestep", "0.1", "--temperature", "10"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    pair = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.4]], info={"Q": 1})
    ase.io.write(tmp_path / "pair.xyz", pair, format="extxyz")
    monkeypatch.chdir(tmp_path)
    save_model({"total_charge": "Q", "spin": "spin"})
    return tmp_path


def save_model(keys, seed=0):
    model = ff.new_model({"kind": "latent"}, species=["Na", "Cl"], seed=seed, backbone={"channels": 8})
    model.training_summary = {"keys": keys}
    save(model, "model.pt")


def test_total_charge_comes_from_where_training_had_it(place, capsys):
    assert main(ARGUMENTS) == 0
    assert 'total_charge = 1, from "Q" as in training' in capsys.readouterr().err
    for frame in ase.io.read("md.traj", ":"):
        assert frame.info["charge"] == 1
        assert frame.get_charges().sum() == pytest.approx(1)


def test_conditions():
    atoms = ase.Atoms("Na", info={"multiplicity": 2, "charge": 1})
    assert take_conditions(atoms, {}) == []
    assert take_conditions(atoms, {"total_charge": "charge", "spin": None}) == []
    assert "was trained with" in take_conditions(atoms, {"total_charge": "Q"})[0]
    assert atoms.info["charge"] == 1
    take_conditions(atoms, {"spin": "multiplicity"})
    assert atoms.info["spin"] == 2


def test_the_model_is_part_of_the_run(place, capsys):
    assert main(ARGUMENTS) == 0
    save_model({"total_charge": "Q"}, seed=1)
    assert main([*ARGUMENTS, "--steps", "4"]) == 2
    error = capsys.readouterr().err
    assert "model was latent #" in error
    assert "choose another --out" in error
    save_model({"total_charge": "Q"}, seed=0)
    assert main([*ARGUMENTS, "--steps", "4", "--dtype", "float32"]) == 2
    assert main([*ARGUMENTS, "--steps", "4"]) == 0
    assert len(ase.io.read("md.traj", ":")) == 5


def test_options_without_effect_are_named(place, capsys):
    assert main([*ARGUMENTS, "--pressure", "1"]) == 0
    assert "--pressure has no effect in nve; it is for npt" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_no_graphics_card_here(place, capsys):
    assert main([*ARGUMENTS, "--device", "cuda"]) == 2
    assert "there is no device 'cuda' here" in capsys.readouterr().err


def test_a_field_pulls_and_is_part_of_the_run(place, capsys):
    """The centre of mass of a single positive charge accelerates as Q E / m; another field is another run."""
    field = ["--external-field", "0", "0", "2"]
    assert main([*ARGUMENTS, *field, "--temperature", "0"]) == 0
    frames = ase.io.read("md.traj", ":")
    assert all(list(frame.info["external_field"]) == [0, 0, 2] for frame in frames)
    pull = sum(frame.get_forces().sum(0)[2] for frame in frames) / len(frames)
    assert pull == pytest.approx(2.0, abs=1e-6)
    assert main([*ARGUMENTS, "--external-field", "0", "0", "1", "--temperature", "0", "--steps", "4"]) == 2
    assert "external_field was [0.0, 0.0, 2.0], is [0.0, 0.0, 1.0]" in capsys.readouterr().err
    assert main([*ARGUMENTS, *field, "--temperature", "0", "--steps", "4"]) == 0


def test_a_field_from_where_training_had_it():
    atoms = ase.Atoms("Na", info={"E": [0, 0, 0.01]})
    said = take_conditions(atoms, {"external_field": "E", "field_unit": "au"})
    assert atoms.info["external_field"].tolist() == pytest.approx([0, 0, 0.514220675])
    assert 'from "E" as in training' in said[0]
    assert take_conditions(atoms, {"external_field": "external_field", "field_unit": "V/angstrom"}) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--temperature", "300"], "--temperature 300 is not used in nve"),
        ([], "the first velocities of the run are those of the file ("),
        (["--ensemble", "nvt", "--temperature", "250"], "--temperature 250 is the thermostat's"),
        (["--ensemble", "nvt"], "--temperature 300 is the thermostat's"),
    ],
)
def test_velocities_of_the_file_count(place, more, said, capsys):
    pair = ase.io.read("pair.xyz")
    pair.set_momenta([[0, 0, 0.3], [0, 0, -0.2]])
    ase.io.write("pair.xyz", pair, format="extxyz")
    assert main(["md", "model.pt", "pair.xyz", "--steps", "1", "--timestep", "0.1", *more]) == 0
    heard = capsys.readouterr().err
    assert said in heard
    assert f"({pair.get_temperature():.0f} K)" in heard
    assert ("not used" in heard) == ("300" in more)
    assert ase.io.read("md.traj", 0).get_temperature() == pytest.approx(pair.get_temperature())


def test_velocities_are_drawn_where_the_file_has_none(place, capsys):
    assert main(ARGUMENTS) == 0
    assert "velocities" not in capsys.readouterr().err


def test_npt_of_fixed_atoms_is_refused_in_words(place, capsys):
    crystal = ase.Atoms("NaCl", [[0, 0, 0], [2.8, 0, 0]], cell=[5.6, 5.6, 5.6], pbc=True)
    crystal.set_constraint(FixAtoms([0]))
    ase.io.write("pair.xyz", crystal, format="extxyz")
    assert main([*ARGUMENTS, "--ensemble", "npt"]) == 2
    assert "constraints (FixAtoms): run nve or nvt" in " ".join(capsys.readouterr().err.split())
    assert not list(place.glob("md.*"))


def test_a_charge_by_another_name_is_a_warning(place, capsys):
    """Before the first step, and once: the calculator would say it too."""
    save_model({"total_charge": "charge"})
    assert main(ARGUMENTS) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert said.count('warning: info has "Q", 1 in 1 of 1 frames; total_charge is read from "charge"') == 1
    assert "FarfieldWarning" not in said
    save_model({"total_charge": "Q"})
    assert main([*ARGUMENTS, "--out", "other.traj"]) == 0
    assert "warning:" not in capsys.readouterr().err


def test_a_multiplicity_of_the_training_data_becomes_2s():
    for key in ("spin", "mult"):
        atoms = ase.Atoms("Na", info={key: 2})
        said = take_conditions(atoms, {"spin": key, "spin_unit": "multiplicity"})
        assert atoms.info["spin"] == 1
        assert f'spin = 1, from "{key}" as in training' in said
    assert take_conditions(ase.Atoms("Na"), {"spin": "spin", "spin_unit": "multiplicity"}) == []


@pytest.mark.parametrize("name", ["velocities", "velo", "vel", "Velocity"])
def test_velocities_that_are_not_read(place, capsys, name):
    pair = ase.io.read("pair.xyz")
    pair.set_array(name, np.ones((2, 3)))
    ase.io.write("pair.xyz", pair, format="extxyz")
    assert main(ARGUMENTS) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert f'warning: the velocities in the column "{name}" are not read' in said
    assert f'atoms.set_velocities(atoms.arrays["{name}"] / ase.units.fs)' in said


def test_velocities_that_need_no_word():
    pair = ase.Atoms("NaCl")
    assert unread_velocities(pair) == ""
    pair.set_array("vel", np.zeros((2, 3)))
    assert unread_velocities(pair) == ""
    pair.set_array("vel", np.ones((2, 3)))
    assert unread_velocities(pair) != ""
    pair.set_velocities(np.ones((2, 3)))
    assert unread_velocities(pair) == ""
