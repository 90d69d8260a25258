"""Dumps of LAMMPS: no energy that nobody computed, no element that nobody named."""

import pytest

from farfield.data.files import load_structures
from farfield.data.keys import results
from farfield.errors import InputError

FRAME = """ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp ff
0 5
0 6
-1 7
ITEM: ATOMS id {columns} x y z fx fy fz q
2 {second} 2.5 0 0 -3 0 0 -1
1 {first} 0 0 1 3 0 0 1
"""


def dump(folder, columns="element", first="Na", second="Cl", before="", frames=2, cut=None):
    path = folder / "a.lammpstrj"
    text = "".join(FRAME.format(step=k, columns=columns, first=first, second=second) for k in range(frames))
    path.write_text((before + text)[:cut])
    notices = []
    return load_structures(path, on_notice=notices.append), [f"{n.grade}: {n.message}" for n in notices]


def test_elements_forces_and_charges(tmp_path):
    frames, notices = dump(tmp_path)
    assert [str(atoms.symbols) for atoms in frames] == ["NaCl", "NaCl"]
    assert "energy" not in results(frames[0])
    assert results(frames[0])["forces"].tolist() == [[3, 0, 0], [-3, 0, 0]]
    assert frames[0].arrays["initial_charges"].tolist() == [1, -1]
    assert frames[0].pbc.tolist() == [True, True, False]
    assert frames[0].cell.lengths().tolist() == [5, 6, 8]
    assert "taken for metal units" in notices[0]


def test_units_of_the_dump(tmp_path):
    frames, notices = dump(tmp_path, before="ITEM: UNITS\nreal\n")
    assert results(frames[0])["forces"][0, 0] == pytest.approx(3 * 0.0433641, rel=1e-5)
    assert not notices


def test_types_are_no_elements(tmp_path):
    with pytest.raises(InputError, match=r"dump_modify ID element Na Cl"):
        dump(tmp_path, "type", 1, 2)


def test_masses_are_said_to_be_a_guess(tmp_path):
    frames, notices = dump(tmp_path, "mass", 22.99, 35.45)
    assert str(frames[0].symbols) == "NaCl"
    assert any("warning" in notice and "guessed from the masses: Cl, Na" in notice for notice in notices)


@pytest.mark.parametrize("cut", [-20, -45, 120])
def test_cut_short(tmp_path, cut):
    with pytest.raises(InputError, match=r"a.lammpstrj"):
        dump(tmp_path, cut=cut)


def test_reduced_units(tmp_path):
    with pytest.raises(InputError, match=r"units 'lj' have no Å and eV"):
        dump(tmp_path, before="ITEM: UNITS\nlj\n")


def test_unknown_element(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .* as lammps-dump-text"):
        dump(tmp_path, first="Qq")
