"""A run folder is this run's, or another's: whatever the version that wrote it called the defaults."""

import csv

import ase
import ase.io
import numpy as np
import pytest
import yaml

from farfield.config import validated
from farfield.errors import InputError
from farfield.evaluation import errors
from farfield.train.config import RunConfig
from farfield.train.run import keys_of, prepare, train


def run(plain, folder):
    return train(prepare(validated(RunConfig, plain, "")), folder, on_progress=lambda *_: None)


def test_a_folder_of_an_earlier_version_is_gone_on_with(tiny, tmp_path):
    run(tiny, tmp_path / "run")
    path = tmp_path / "run" / "config.yaml"
    written = yaml.safe_load(path.read_text())
    for new in ("virial", "stress_order", "spin_unit", "split_by", "pbc", "skip_unreadable"):
        del written["data"][new]
    written["data"] |= {"energy_unit": "eV", "stress_unit": "eV/angstrom^3"}
    path.write_text(yaml.safe_dump(written))
    run(tiny, tmp_path / "run")
    for key, value in {"energy_unit": "hartree", "length_unit": "bohr"}.items():
        with pytest.raises(InputError, match=f"data.{key}: was .*, is {value}"):
            run(tiny | {"data": tiny["data"] | {key: value}}, tmp_path / "run")


def test_what_cannot_be_understood_any_more_is_another_run(tiny, tmp_path):
    run(tiny, tmp_path / "run")
    path = tmp_path / "run" / "config.yaml"
    path.write_text(path.read_text().replace("  seed:", "  formerly: 1\n  seed:", 1))
    with pytest.raises(InputError, match=r"data.formerly: was 1, is None"):
        run(tiny, tmp_path / "run")


def test_a_target_without_values_has_no_error(tiny, argon, tmp_path):
    """One crystal among clusters: it trains, and neither log nor tables know a stress of the others."""
    frames = ase.io.read(argon, ":")
    crystal = ase.Atoms("Ar", cell=3.8 * (np.ones((3, 3)) - np.eye(3)) / 2**0.5, pbc=True)
    crystal.info |= {"energy": -0.5, "stress": 0.01 * np.eye(3)}
    crystal.arrays["forces"] = np.zeros((1, 3))
    ase.io.write(argon, [*frames, crystal], format="extxyz")
    data = tiny["data"] | {"stress": "stress", "allow_missing": ["stress"]}
    result = run(tiny | {"data": data, "train": tiny["train"] | {"epochs": 1}}, tmp_path / "run")
    with (tmp_path / "run" / "log.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert "valid_stress_rmse" not in row
    assert float(row["valid_forces_rmse"]) > 0
    measured = {split: {e.measure: e for e in errors(e)} for split, e in result.evaluations.items()}
    assert measured["train"]["stress"].count == 9
    assert np.isfinite(measured["train"]["stress"].rmse)
    assert "stress" not in measured["valid"] and "stress" not in measured["test"]  # noqa: PT018


def test_a_model_remembers_what_files_like_its_own_mean(tiny):
    plain = tiny["data"] | {"spin_unit": "multiplicity", "pbc": "F F F", "virial": "W", "stress_order": "vasp"}
    keys = keys_of(validated(RunConfig, tiny | {"data": plain}, "").data)
    assert {
        "spin_unit": "multiplicity",
        "pbc": [False] * 3,
        "virial": "W",
        "stress_order": "vasp",
    }.items() <= keys.items()
    assert not {"train", "seed", "split_by", "skip_unreadable", "allow_missing"} & keys.keys()
