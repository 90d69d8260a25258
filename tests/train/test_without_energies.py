"""Data that says something of dipoles and nothing of energies."""

import ase.build
import ase.io
import numpy as np
import pytest

import farfield as ff
from farfield.config import validated
from farfield.errors import InputError
from farfield.system import System
from farfield.train.config import RunConfig
from farfield.train.run import prepare, train

SHARE = {"H": 0.4, "O": -0.8}


@pytest.fixture
def tensors(tmp_path):
    """Water with the Born charges of charges that sit on its atoms."""
    rng, frames = np.random.default_rng(0), []
    for _ in range(12):
        atoms = ase.build.molecule("H2O")
        atoms.positions += rng.normal(scale=0.05, size=(3, 3))
        atoms.arrays["apt"] = np.stack([SHARE[symbol] * np.eye(3).flatten() for symbol in atoms.symbols])
        frames.append(atoms)
    path = tmp_path / "tensors.xyz"
    ase.io.write(path, frames, format="extxyz")
    return path


def asked(path, **data):
    return {
        "data": {"train": str(path), "born_charges": "apt", **data},
        "model": {
            "paradigm": {"kind": "polarization"},
            "backbone": {"channels": 8, "layers": 1, "cutoff": 4.0},
        },
        "train": {"epochs": 30, "batch_size": 4, "threads": 1},
    }


def test_born_charges_alone_are_learned(tensors, tmp_path):
    config = validated(RunConfig, asked(tensors, energy=None, forces=None), "")
    job, latest = prepare(config), []
    assert any("no energies and forces to learn from" in notice.message for notice in job.notices)
    result = train(job, tmp_path / "run", on_progress=lambda *now: latest.append(now[3]))
    found = result.evaluations["test"].compared["born_charges"]
    error = found.predicted - found.reference
    assert np.sqrt((error**2).mean()) < 0.02  # e; formal charges are off by 0.5
    assert any("valid_born_charges_rmse" in now for now in latest)
    model = ff.load(tmp_path / "run" / "model.pt")
    assert float(model(System.from_ase(ase.build.molecule("H2O"))).forces.abs().max()) == 0


def test_energies_that_are_not_there_are_said(tensors):
    """With what to type to do without."""
    with pytest.raises(InputError, match=r"energy: null[\s\S]*forces: null"):
        prepare(validated(RunConfig, asked(tensors), ""))


def test_short_range_learns_nothing_from_them(tensors):
    config = asked(tensors, energy=None, forces=None)
    config["model"]["paradigm"] = {"kind": "short_range"}
    with pytest.raises(InputError, match="learns nothing from born_charges"):
        prepare(validated(RunConfig, config, ""))
