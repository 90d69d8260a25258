"""Displacements of Wannier centroids as files have them: zeros or nan where there are none, DeePMD's folders."""

import ase
import ase.io
import numpy as np
import pytest
import yaml

from farfield.data.check import check_file
from farfield.data.config import DataConfig
from farfield.data.files import load_structures
from farfield.data.read import read_frames
from farfield.errors import InputError
from farfield.units import BOHR

PLACES = np.array([[0.0, 0, 0], [0.9, 0.3, 0], [-0.2, 0.1, 1.0]])
ROW = np.array([0.03, -0.05, 0.04])


def water(row=ROW, others=0.0, name="wannier_displacement"):
    atoms = ase.Atoms("OHH", PLACES, cell=[9.0] * 3, pbc=True, info={"energy": 1.0, "charge": 0})
    atoms.arrays[name] = np.array([row, [others] * 3, [others] * 3])
    return atoms


def labels(tmp_path, atoms, **config):
    ase.io.write(tmp_path / "a.xyz", atoms, format="extxyz")
    config = {"train": tmp_path / "a.xyz", "forces": None, "wannier_displacement": "wannier_displacement"} | config
    return [frame.labels.wannier_displacement for frame in read_frames(tmp_path / "a.xyz", DataConfig(**config))]


@pytest.mark.parametrize("others", [0.0, np.nan])
def test_elements_without_a_centroid_have_no_label(tmp_path, others):
    (found,) = labels(tmp_path, water(others=others))
    np.testing.assert_allclose(found[0], ROW)
    assert found[1:].isnan().all()


def test_an_element_with_a_centroid_may_be_undisplaced(tmp_path):
    atoms = water() + water(np.zeros(3))
    atoms.positions[3:] += 4.0
    (found,) = labels(tmp_path, atoms)
    np.testing.assert_allclose(found[[0, 3]], [ROW, np.zeros(3)])
    assert found[[1, 2, 4, 5]].isnan().all()


def test_displacements_are_lengths(tmp_path):
    (found,) = labels(tmp_path, water(), length_unit="bohr", pbc="F F F")
    np.testing.assert_allclose(found[0], BOHR * ROW, rtol=1e-6)


def test_infinities_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"wannier_displacement.*of atom 0 is inf"):
        labels(tmp_path, water(np.array([np.inf, 0, 0])))


@pytest.mark.parametrize("name", ["wannier_displacement", "wc_displacement_pbe", "atomic_dipole"])
def test_check_proposes_the_room(tmp_path, name):
    frames = [water(ROW * k, others=np.nan, name=name) for k in (1, 2, 3)]
    for k, atoms in enumerate(frames):
        atoms.info["energy"] += 0.1 * k
        atoms.positions[1] += 0.01 * k
    ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
    report = check_file(tmp_path / "a.xyz")
    assert not [finding for finding in report.findings if finding.grade != "note"]
    assert report.config["wannier_displacement"] == name
    assert "allow_missing" not in report.config
    assert report.model == {"paradigm": {"kind": "wannier"}}
    config = DataConfig(**yaml.safe_load(yaml.safe_dump(report.config)) | {"forces": None})
    assert len(read_frames(config.train_paths, config)) == 3


def test_places_of_centroids_are_no_displacements(tmp_path):
    ase.io.write(tmp_path / "a.xyz", water(name="wannier_centers"), format="extxyz")
    report = check_file(tmp_path / "a.xyz")
    assert "wannier_displacement" not in report.config
    (use,) = [key.use for key in report.keys if key.name == "wannier_centers"]
    assert "where centroids are" in use


@pytest.fixture
def folder(tmp_path):
    """A folder of DeePMD's: two frames, types H O H O F."""
    (tmp_path / "set.000").mkdir(parents=True)
    (tmp_path / "type.raw").write_text("1\n0\n1\n0\n2\n")
    (tmp_path / "type_map.raw").write_text("O\nH\nF\n")
    places = np.random.default_rng(1).normal(size=(2, 15))
    for name, array in {"coord": places, "box": [np.eye(3).ravel() * 9] * 2, "energy": [-1.0, -2.0]}.items():
        np.save(tmp_path / "set.000" / f"{name}.npy", np.array(array))
    return tmp_path


ALL = np.random.default_rng(2).normal(size=(2, 5, 3))


@pytest.mark.parametrize("rows", [[4], [1, 3, 4], [0, 1, 2, 3, 4]])
def test_folders_of_deepmd_have_all_atoms_or_those_with_centroids(folder, rows):
    pytest.importorskip("dpdata")
    np.save(folder / "set.000" / "atomic_dipole.npy", ALL[:, rows].reshape(2, -1))
    if len(rows) == 3:  # three atoms are O and F, or H and F
        with pytest.raises(InputError, match="3 rows a frame, and several elements"):
            load_structures(folder)
        return
    for frame, expected in zip(load_structures(folder), ALL):
        found = frame.arrays["atomic_dipole"]
        np.testing.assert_allclose(found[rows], expected[rows])
        assert not np.delete(found, rows, axis=0).any()


def test_rows_that_no_elements_have_are_refused(folder):
    pytest.importorskip("dpdata")
    (folder / "type.raw").write_text("1\n0\n1\n0\n0\n")
    (folder / "type_map.raw").write_text("O\nH\n")
    np.save(folder / "set.000" / "atomic_dipole.npy", ALL[:, :4].reshape(2, -1))
    with pytest.raises(InputError, match="4 rows a frame, and no elements"):
        load_structures(folder)
