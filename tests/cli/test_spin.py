"""The spin of a structure, along every way into a model: it changes what is predicted, or it is said to go unread."""

import ase
import ase.io
import numpy as np
import pytest
import yaml

import farfield as ff
from farfield.cli.main import main
from farfield.deploy.ase import FarfieldCalculator
from farfield.errors import FarfieldWarning
from farfield.model import load, save

UNREAD = "spins (unpaired electrons: 2) do not reach this model, which was trained on 0"
WAYS = {
    "evaluate": ["evaluate", "model.pt", "triplet.xyz", "--out", "judged"],
    "md": ["md", "model.pt", "triplet.xyz", "--steps", "1", "--every", "1", "--timestep", "0.1", "--temperature", "10"],
    "probe": ["probe", "model.pt", "--structure", "triplet.xyz", "--fast", "--laws", "permutation", "--out", "judged"],
}


def oxygen(spin):
    atoms = ase.Atoms("O2", [[0, 0, 0], [0, 0, 1.21]], info={"spin": spin, "energy": -9.0 - spin})
    atoms.arrays["forces"] = np.zeros((2, 3))
    return atoms


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ase.io.write("triplet.xyz", oxygen(2), format="extxyz")
    return tmp_path


def keep_model(*, sees):
    backbone = {"channels": 8, "layers": 1, "embed_spin": sees}
    model = ff.new_model({"kind": "latent"}, species=["O"], seed=1, backbone=backbone)
    model.training_summary = {"keys": {"spin": "spin"}, "spins": [0.0]}
    save(model, "model.pt")


@pytest.mark.parametrize("way", WAYS)
def test_a_spin_that_the_model_does_not_read_is_said(place, capsys, way):
    keep_model(sees=False)
    assert main(WAYS[way]) == 0
    assert " ".join(capsys.readouterr().err.split()).count(UNREAD) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_spin_that_it_reads_is_not(place, capsys, way):
    keep_model(sees=True)
    assert main(WAYS[way]) == 0
    assert "do not reach" not in capsys.readouterr().err


def test_a_spin_changes_what_a_model_that_reads_it_predicts(place):
    """As much by ``evaluate`` and ``md`` as by the calculator."""
    keep_model(sees=True)
    energies = {}
    for spin in (0, 2):
        atoms = oxygen(spin)
        atoms.calc = FarfieldCalculator("model.pt")
        energies[spin] = atoms.get_potential_energy()
    assert abs(energies[2] - energies[0]) > 1e-6
    assert main(WAYS["evaluate"]) == 0
    assert np.load("judged/predictions.npz")["predicted.energy"] == pytest.approx(energies[2], abs=1e-9)
    assert main(WAYS["md"]) == 0
    first, last = ase.io.read("md.traj", ":")
    assert first.get_potential_energy() == pytest.approx(energies[2], abs=1e-9)
    assert first.info["spin"] == last.info["spin"] == 2


def test_a_multiplicity_that_nobody_reads_is_said_by_probe(place, capsys):
    keep_model(sees=True)
    atoms = oxygen(0)
    atoms.info |= {"multiplicity": 3}
    del atoms.info["spin"]
    ase.io.write("triplet.xyz", atoms, format="extxyz")
    assert main(WAYS["probe"]) == 0
    assert 'info has "multiplicity", 3' in " ".join(capsys.readouterr().err.split())


def test_the_calculator_tells_it_once(place):
    keep_model(sees=False)
    calculator = FarfieldCalculator("model.pt")
    atoms = oxygen(2)
    atoms.calc = calculator
    with pytest.warns(FarfieldWarning, match="do not reach this model") as heard:
        atoms.get_forces()
    assert [one.filename for one in heard] == [__file__]
    atoms.info["spin"] = 4
    atoms.get_forces()
    single = ase.Atoms("O", info={"spin": 2})
    single.calc = FarfieldCalculator("model.pt")
    single.get_potential_energy()  # an atom has the spin it has


def test_training_keeps_what_spins_it_saw(place, capsys):
    frames = [oxygen(2 * (k % 2)) for k in range(12)]
    for k, atoms in enumerate(frames):
        atoms.rattle(0.02, seed=k)
    ase.io.write("oxygen.xyz", frames, format="extxyz")
    model = {"paradigm": {"kind": "short_range"}, "backbone": {"channels": 4, "layers": 1, "cutoff": 4.0}}
    config = {"data": {"train": "oxygen.xyz"}, "model": model, "train": {"epochs": 1, "threads": 1}}
    (place / "run.yaml").write_text(yaml.safe_dump(config))
    assert main(["train", "run.yaml"]) == 0
    assert "spins (unpaired electrons: 0, 2) do not reach the model" in " ".join(capsys.readouterr().err.split())
    assert load("runs/run/model.pt").training_summary["spins"] == [0, 2]
    assert main(["evaluate", "runs/run/model.pt", "triplet.xyz"]) == 0
    assert "do not reach" not in capsys.readouterr().err  # said before training


@pytest.mark.parametrize("suffix", ["xyz", "db", "traj"])
def test_converted_files_keep_it(place, suffix):
    assert main(["data", "convert", "triplet.xyz", f"out.{suffix}"]) == 0
    assert main(["data", "convert", f"out.{suffix}", "back.xyz"]) == 0
    assert ase.io.read("back.xyz").info["spin"] == 2
