"""Potentials as files have them: rows of points, flattened or not, in the file's units."""

import ase
import ase.io
import numpy as np
import pytest

from farfield.data.check import check_file
from farfield.data.config import DataConfig
from farfield.data.convert import Conversion, convert
from farfield.data.files import load_structures
from farfield.data.frame import collate
from farfield.data.read import read_frames
from farfield.errors import InputError
from farfield.system import System
from farfield.units import BOHR, HARTREE

ROWS = np.array([[3.0, 0, 0, 0.21], [0, 3.5, 0, -0.1], [0, 0, 4.0, 0.05]])


def water(esp=ROWS):
    atoms = ase.Atoms("OHH", [[0.0, 0, 0], [0.9, 0.3, 0], [-0.2, 0.1, 1.0]], info={"energy": 1.0})
    if esp is not None:
        atoms.info["esp"] = esp
    return atoms


def frames(tmp_path, atoms, **config):
    ase.io.write(tmp_path / "a.xyz", atoms, format="extxyz")
    config = {"train": tmp_path / "a.xyz", "forces": None, "potential": "esp"} | config
    return read_frames(tmp_path / "a.xyz", DataConfig(**config))


@pytest.mark.parametrize("rows", [ROWS, ROWS.ravel(), ROWS[:1], ROWS[0]])
def test_rows_may_be_flattened(tmp_path, rows):
    (frame,) = frames(tmp_path, water(rows))
    expected = rows.reshape(-1, 4)
    np.testing.assert_allclose(frame.labels.potential, expected[:, 3])
    np.testing.assert_allclose(frame.system.potential_points.positions, expected[:, :3])


def test_units_are_those_of_lengths_and_energies(tmp_path):
    (frame,) = frames(tmp_path, water(), length_unit="bohr", energy_unit="hartree")
    np.testing.assert_allclose(frame.labels.potential, HARTREE * ROWS[:, 3])
    np.testing.assert_allclose(frame.system.potential_points.positions, BOHR * ROWS[:, :3])


def test_frames_have_any_number_of_points(tmp_path):
    found = frames(tmp_path, [water(), water(None), water(ROWS[:2])], allow_missing=("potential",))
    assert [len(frame.labels.potential) for frame in found] == [3, 0, 2]
    system, labels = collate(found)
    assert system.potential_points.system_index.tolist() == [0, 0, 0, 2, 2]
    np.testing.assert_allclose(labels.potential, np.r_[ROWS[:, 3], ROWS[:2, 3]])
    with pytest.raises(InputError, match="2 of 3 frames"):
        frames(tmp_path, [water(), water(None), water(ROWS[:2])])


@pytest.mark.parametrize("none", [None, [], np.zeros((0, 3))])
def test_no_points_are_none(none):
    atoms = ase.Atoms("H", info={"potential_points": none})
    assert System.from_ase(atoms).potential_points is None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS[:, :3], "four numbers a point"),
        (np.full((1, 4), np.nan), "row 0: leave such points away"),
        ("far", "numbers"),
    ],
)
def test_what_is_no_potential_is_named(tmp_path, rows, said):
    with pytest.raises(InputError, match=said) as complaint:
        frames(tmp_path, water(rows))
    assert "esp" in str(complaint.value)


def test_points_are_converted_with_the_atoms(tmp_path):
    ase.io.write(tmp_path / "bohr.xyz", water(ROWS.ravel()), format="extxyz")
    convert(tmp_path / "bohr.xyz", tmp_path / "out.xyz", Conversion(energy_unit="hartree", length_unit="bohr"))
    found = np.asarray(load_structures(tmp_path / "out.xyz")[0].info["esp"])
    np.testing.assert_allclose(found, ROWS * [BOHR, BOHR, BOHR, HARTREE], rtol=1e-6, atol=1e-9)


def test_check_proposes_it(tmp_path):
    ase.io.write(tmp_path / "a.xyz", [water(), water(ROWS[:2])], format="extxyz")
    assert check_file(tmp_path / "a.xyz").config["potential"] == "esp"
