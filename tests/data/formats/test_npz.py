"""Archives in the manner of MD17 are read under any usual names and shapes, or refused for what does not fit."""

import numpy as np
import pytest

from farfield.data.config import DataConfig
from farfield.data.conversion import ENERGY
from farfield.data.files import leaves_units_open, load_structures
from farfield.data.read import read_frames
from farfield.errors import InputError
from farfield.units import BOHR, HARTREE

R = np.arange(18.0).reshape(2, 3, 3)
Z = np.array([8, 1, 1], dtype=np.uint8)
E = np.array([-1.0, -2.0])
KCAL = ENERGY["kcal/mol"]


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
    _, notices = load(tmp_path, R=R, z=Z, E=E, idx_train=np.arange(7), pos=R, theory="PBE", d_unit="debye")
    assert any("arrays that are not read: idx_train, pos (in 2 of 2 frames)" in notice for notice in notices)
    assert any("the file says: theory = PBE, d_unit = debye" in notice for notice in notices)


@pytest.mark.parametrize(
    "key, word, factor",
    [
        ("e_unit", "kcal/mol", KCAL),
        ("e_unit", b"kcal mol-1", KCAL),
        ("energy_unit", "kcal mol^-1", KCAL),
        ("E_units", "kcal·mol⁻¹", KCAL),
        ("energy_units", "Kcal per mole", KCAL),
        ("units", ["kcal/mol", "Angstrom"], KCAL),
        ("units", "energy: kcal/mol, length: Ang, forces: kcal/mol/Ang", KCAL),
        ("unit_energy", "Hartree", HARTREE),
        ("energyUnit", "a.u.", HARTREE),
        ("e_unit", ["Eh"], HARTREE),
        ("e_unit", "eV", 1.0),
    ],
)
def test_energies_in_the_unit_that_is_stated(tmp_path, key, word, factor):
    frames, notices = load(tmp_path, R=R, z=Z, E=E, F=-R, Q=E, **{key: np.array(word)})
    assert [atoms.info["energy"] for atoms in frames] == pytest.approx((E * factor).tolist(), rel=1e-12)
    np.testing.assert_allclose(frames[1].arrays["forces"], -R[1] * factor, rtol=1e-12)
    np.testing.assert_array_equal(frames[1].positions, R[1])
    assert frames[1].info["Q"] == E[1]
    assert any("as the file says, are turned into eV" in notice for notice in notices) == (factor != 1)
    assert not leaves_units_open(tmp_path / "a.npz")


@pytest.mark.parametrize("word", ["bohr", "a0", "a.u.", "Bohr"])
def test_lengths_in_the_unit_that_is_stated(tmp_path, word):
    frames, _ = load(tmp_path, R=R, z=Z, E=E, F=-R, cell=np.eye(3), r_unit=word, e_unit="Ha")
    np.testing.assert_allclose(frames[1].positions, R[1] * BOHR, rtol=1e-12)
    np.testing.assert_allclose(frames[1].cell.array, np.eye(3) * BOHR, rtol=1e-12)
    np.testing.assert_allclose(frames[1].arrays["forces"], -R[1] * HARTREE / BOHR, rtol=1e-12)


def test_forces_in_a_unit_of_their_own(tmp_path):
    frames, _ = load(tmp_path, R=R, z=Z, E=E, F=-R, e_unit="Hartree", f_unit="eV/Å")
    np.testing.assert_allclose(frames[1].arrays["forces"], -R[1], rtol=1e-12)


@pytest.mark.parametrize(
    "units, says",
    [
        ({"e_unit": "furlong"}, "a.npz: e_unit is 'furlong', which no unit is known by here: energies may be in eV"),
        ({"e_unit": "1e-3 eV"}, "which no unit is known by"),
        ({"r_unit": "eV"}, "which no unit is known by"),
        ({"e_unit": "eV", "energy_unit": "Ha"}, "two units of energy are stated: eV and hartree"),
        ({"f_unit": "eV/Ang"}, "add e_unit"),
    ],
)
def test_units_that_are_not_understood(tmp_path, units, says):
    with pytest.raises(InputError, match=says):
        load(tmp_path, R=R, z=Z, E=E, **units)


@pytest.mark.parametrize("stated, given", [("e_unit", "energy_unit"), ("r_unit", "length_unit")])
def test_file_and_configuration_disagree(tmp_path, stated, given):
    path, word = tmp_path / "a.npz", {"e_unit": "kcal/mol", "r_unit": "Ang"}[stated]
    load(tmp_path, R=R, z=Z, E=E, F=-R, **{stated: word})
    other = {"energy_unit": "hartree"} | ({given: "bohr"} if given == "length_unit" else {})
    with pytest.raises(InputError, match=f"leave {given} .* away"):
        read_frames(path, DataConfig(train=path, **other))


def test_stated_units_need_no_configuration(tmp_path):
    path = tmp_path / "a.npz"
    load(tmp_path, R=R, z=Z, E=E, F=-R, e_unit="kcal/mol", r_unit="Ang")
    assert read_frames(path, DataConfig(train=path))[0].labels.energy.item() == pytest.approx(-KCAL)


def test_other_arrays_keep_their_names(tmp_path):
    given = {"Q": np.array([0, 1]), "D": R[:, 0] + 0.5, "q": R[:, :, 0], "apt": np.zeros((2, 3, 3, 3)),
             "S": np.ones((2, 9)), "kind": np.array(["a", "b"]), "mult": np.array(3), "c": E[:, None]}  # fmt: skip
    frames, notices = load(tmp_path, R=R, z=Z, E=E, **given)
    info, arrays = frames[1].info, frames[1].arrays
    assert (info["Q"], info["kind"], info["mult"], info["c"]) == (1, "b", 3, -2)
    np.testing.assert_array_equal(info["D"], R[1, 0] + 0.5)
    assert info["S"].shape == (9,)
    np.testing.assert_array_equal(arrays["q"], R[1, :, 0])
    assert arrays["apt"].shape == (3, 3, 3)
    said = "D (2, 3) as one of every frame, q (2, 3) as one of every atom"
    assert [said in notice for notice in notices] == [True]


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
    load(tmp_path, R=R, z=Z, E=E, d_unit="debye")
    assert leaves_units_open(tmp_path / "a.npz")
    assert not leaves_units_open("a.xyz")
