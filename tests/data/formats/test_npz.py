"""Archives in the manner of MD17 are read under any usual names and shapes, or refused for what does not fit."""

import numpy as np
import pytest

from farfield.data.files import leaves_units_open, load_structures
from farfield.errors import InputError

R = np.arange(18.0).reshape(2, 3, 3)
Z = np.array([8, 1, 1], dtype=np.uint8)
E = np.array([-1.0, -2.0])


def load(folder, **arrays):
    np.savez(folder / "a.npz", **arrays)
    notices = []
    return load_structures(folder / "a.npz", on_notice=notices.append), [n.message for n in notices]


@pytest.mark.parametrize(
    "names", ["R z E F", "coords nuclear_charges energies forces", "positions numbers energy force", "pos Z E F"]
)
@pytest.mark.parametrize("energies", [(2,), (2, 1), (2, 1, 1)])
@pytest.mark.parametrize("elements", [(3,), (2, 3)])
def test_usual_names_and_shapes(tmp_path, names, energies, elements):
    arrays = (R, np.broadcast_to(Z, elements), E.reshape(energies), -R)
    frames, notices = load(tmp_path, **dict(zip(names.split(), arrays)))
    assert [str(atoms.symbols) for atoms in frames] == ["OH2", "OH2"]
    assert [atoms.info["energy"] for atoms in frames] == [-1, -2]
    np.testing.assert_array_equal(frames[1].positions, R[1])
    np.testing.assert_array_equal(frames[1].arrays["forces"], -R[1])
    assert not any(atoms.pbc.any() for atoms in frames)
    assert not notices


def test_one_frame_without_labels(tmp_path):
    (atoms,), _ = load(tmp_path, R=R[0], z=Z)
    assert "energy" not in atoms.info
    assert "forces" not in atoms.arrays


@pytest.mark.parametrize("cell", [np.eye(3) * 9, np.eye(3) * np.array([9, 9])[:, None, None], np.array([9.0, 9, 9])])
def test_cells(tmp_path, cell):
    frames, _ = load(tmp_path, R=R, z=Z, cell=cell)
    assert frames[1].cell.lengths().tolist() == [9, 9, 9]
    assert frames[1].pbc.all()
    assert load(tmp_path, R=R, z=Z, cell=cell, pbc=np.array([True, True, False]))[0][0].pbc.tolist() == [
        True,
        True,
        False,
    ]


def test_what_is_not_read_is_named(tmp_path):
    _, notices = load(tmp_path, R=R, z=Z, E=E, old_indices=np.arange(2), e_unit="kcal/mol")
    assert any("arrays that are not read: old_indices (in 2 of 2 frames)" in notice for notice in notices)
    assert any("the file says: e_unit = kcal/mol" in notice for notice in notices)


@pytest.mark.parametrize(
    "arrays, says",
    [
        ({"z": Z}, r"lacks positions as R or coords.*it has: z"),
        ({"R": R}, r"lacks numbers as z or Z"),
        ({"R": R[..., :2], "z": Z}, r"coordinates have the shape \(2, 3, 2\)"),
        ({"R": R, "z": Z[:2]}, r"numbers has the shape \(2,\)"),
        ({"R": R, "z": Z * 0}, r"atomic numbers must be integers in 1-118"),
        ({"R": R, "z": Z, "E": np.zeros(3)}, r"energy has the shape \(3,\)"),
        ({"R": R, "z": Z, "E": np.array(["a", "b"])}, r"energy has the shape"),
        ({"R": R, "z": Z, "F": R[:1]}, r"forces has the shape \(1, 3, 3\)"),
        ({"R": R, "z": Z, "cell": np.zeros((2, 2))}, r"cell has the shape \(2, 2\)"),
        ({"R": R, "z": Z, "x": np.array([None])}, r"cannot read"),
    ],
)
def test_what_does_not_fit(tmp_path, arrays, says):
    with pytest.raises(InputError, match=says):
        load(tmp_path, **arrays)


def test_cut_short(tmp_path):
    load(tmp_path, R=R, z=Z)
    path = tmp_path / "a.npz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"cannot read .*a.npz as numpy arrays"):
        load_structures(path)


def test_units_are_open(tmp_path):
    assert leaves_units_open("a.npz")
    assert not leaves_units_open("a.xyz")
