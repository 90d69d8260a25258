"""What a run says of parts that nothing joins."""

import ase
import ase.io
import numpy as np
import pytest

from farfield.config import validated
from farfield.train.config import RunConfig
from farfield.train.run import prepare, train

AMMONIUM = 0.59 * np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
COULOMB = 14.399645


@pytest.fixture
def ions(tmp_path):
    """Ammonium and hydroxide beyond 6 Å: charges at N and O alone, and nothing else but rigid bodies."""
    frames = []
    for distance in np.linspace(6.0, 12.0, 16):
        atoms = ase.Atoms("NH4OH", np.concatenate([AMMONIUM, [[distance, 0, 0], [distance + 0.97, 0, 0]]]))
        forces = np.zeros((7, 3))
        forces[0, 0], forces[5, 0] = COULOMB / distance**2, -COULOMB / distance**2
        atoms.arrays["forces"] = forces
        atoms.info["energy"] = -COULOMB / distance
        frames.append(atoms)
    path = tmp_path / "ions.xyz"
    ase.io.write(path, frames, format="extxyz")
    return path


def configured(path, **train):
    backbone = {"channels": 4, "layers": 1, "cutoff": 4.0}
    plain = {
        "data": {"train": str(path)},
        "model": {"paradigm": {"kind": "latent"}, "backbone": backbone},
        "train": {"batch_size": 4, "threads": 1, **train},
    }
    return validated(RunConfig, plain, "")


def test_ions_that_nobody_labelled_come_out_whole(ions, tmp_path):
    job = prepare(configured(ions, epochs=80))
    assert any("carry H4N +1, HO -1" in notice.message for notice in job.notices)
    result = train(job, tmp_path / "run", on_progress=lambda *_: None)
    (said,) = (note for note in result.notes if "at worst" in note)
    assert "H4N" in said
    found = result.evaluations["valid"].compared["charges"].predicted.reshape(-1, 7)
    np.testing.assert_allclose(found[:, :5].sum(1), 1.0, atol=0.02)


def test_a_file_that_swaps_charges_is_told(ions, tmp_path):
    frames = ase.io.read(ions, ":")
    for atoms in frames[:3]:
        atoms.set_array("fragment", np.repeat([0, 1], [5, 2]))
        atoms.info["fragment_charges"] = np.array([-1.0, 1.0])
    ase.io.write(tmp_path / "swapped.xyz", frames, format="extxyz")
    job = prepare(configured(tmp_path / "swapped.xyz", epochs=1))
    (warning,) = (notice for notice in job.notices if "bonds say" in notice.message)
    assert warning.grade == "warning"
    assert "charges -1, +1 of its parts, where bonds say +1, -1" in warning.message
