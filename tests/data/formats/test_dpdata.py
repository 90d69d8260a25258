"""DeePMD's folders, and what else dpdata reads."""

import sys

import numpy as np
import pytest

from farfield.data.files import leaves_units_open, load_structures
from farfield.errors import InputError

COORD = np.array([[0.0, 0, 0, 2.5, 0, 0], [0, 0, 0.1, 2.5, 0, 0]])
VIRIAL = np.arange(18.0).reshape(2, 9)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "salt" / "set.000").mkdir(parents=True)
    salt = tmp_path / "salt"
    (salt / "type.raw").write_text("0\n1\n")
    (salt / "type_map.raw").write_text("Na\nCl\n")
    arrays = {"coord": COORD, "box": [np.diag([5.0, 6, 7]).ravel()] * 2, "energy": [-1.0, -2], "force": -COORD}
    for name, array in (arrays | {"virial": VIRIAL}).items():
        np.save(salt / "set.000" / f"{name}.npy", np.array(array))
    return salt


def test_folder_of_deepmd(folder):
    pytest.importorskip("dpdata")
    frames = load_structures(folder)
    assert [str(atoms.symbols) for atoms in frames] == ["NaCl", "NaCl"]
    assert [atoms.info["energy"] for atoms in frames] == [-1, -2]
    np.testing.assert_allclose(frames[1].positions.ravel(), COORD[1])
    np.testing.assert_allclose(frames[1].arrays["forces"].ravel(), -COORD[1])
    np.testing.assert_allclose(frames[1].info["virial"], VIRIAL[1])
    assert frames[0].cell.lengths().tolist() == [5, 6, 7]
    assert frames[0].pbc.all()
    assert not leaves_units_open(folder)


def test_open_folder(folder):
    pytest.importorskip("dpdata")
    (folder / "nopbc").touch()
    atoms = load_structures(folder)[0]
    assert not atoms.pbc.any()
    assert not atoms.cell.array.any()


def test_structures_without_labels(folder):
    pytest.importorskip("dpdata")
    for name in ("energy", "force", "virial"):
        (folder / "set.000" / f"{name}.npy").unlink()
    assert load_structures(folder)[1].info == {}


def test_types_without_elements(folder):
    pytest.importorskip("dpdata")
    (folder / "type_map.raw").unlink()
    with pytest.raises(InputError, match=r"write the element of every type into type_map.raw"):
        load_structures(folder)


def test_folder_with_a_broken_array(folder):
    pytest.importorskip("dpdata")
    (folder / "set.000" / "force.npy").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"cannot read .*salt as deepmd/npy by dpdata"):
        load_structures(folder)


def test_folder_of_folders(folder):
    with pytest.raises(InputError, match=r"holds 1 systems of DeePMD: give a list of them: \[.*salt\]"):
        load_structures(folder.parent)


def test_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "dpdata", None)
    with pytest.raises(InputError, match=r"pip install 'farfield\[formats\]'"):
        load_structures(folder)
