"""Dialects of extended xyz mean what they say; what says nothing sensible is refused with its line and column."""

import ase
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian

from farfield.data.files import iter_structures, load_structures
from farfield.data.formats.writing import extxyz_text
from farfield.data.keys import results
from farfield.errors import InputError

HEADER = "Properties=species:S:1:pos:R:3:forces:R:3"
ATOMS = "Na 0 0 0 0.1 0 0\nCl 2.4 0 0 -0.1 0 0\n"
FRAME = f"2\n{HEADER} energy=-1.5\n{ATOMS}"


def write(folder, text, name="a.xyz", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.fixture
def load(tmp_path):
    def load_text(text, **options):
        notices = []
        frames = load_structures(write(tmp_path, text), on_notice=notices.append, **options)
        return frames, [f"{n.grade}: {n.message.partition('a.xyz: ')[2]}" for n in notices]

    return load_text


def assert_same(mine, other):
    for one, two in ((mine.info, other.info), (mine.arrays, other.arrays), (results(mine), results(other))):
        assert set(one) == set(two)
        for key in one:
            kinds = [np.asarray(place[key]).dtype.kind.replace("U", "O") for place in (one, two)]
            assert kinds[0] == kinds[1], key
            np.testing.assert_array_equal(one[key], two[key])
    np.testing.assert_array_equal(mine.cell.array, other.cell.array)
    np.testing.assert_array_equal(mine.pbc, other.pbc)


def rich_atoms():
    atoms = ase.Atoms("NaClAr", [[0, 0, 0], [2.4, 0.1, 0], [0, 0, 4]], cell=[[5, 0, 0], [1, 5, 0], [0, 2, 6]])
    atoms.pbc = [True, False, True]
    atoms.info = {"name": "salt water", "n": 3, "x": 0.1, "v": np.array([1.5, 2]), "flag": True, "flags": [True, False],
                  "nested": {"a": [1, 2]}, "virial": np.arange(9.0).reshape(3, 3), "quote": 'say "a=b"'}  # fmt: skip
    atoms.arrays |= {"q": np.array([0.9, -0.9, 0.0]), "label": np.array(["a", "b", "c"]), "m": np.eye(3)}
    atoms.set_momenta(np.ones((3, 3)))
    atoms.calc = SinglePointCalculator(
        atoms, energy=-3.25, forces=np.eye(3), charges=[1, -1, 0], stress=[1, 2, 3, 4, 5, 6.0], dipole=[0, 0, 1.0]
    )
    return atoms


@pytest.mark.parametrize("constraint", [None, FixAtoms([1]), FixCartesian([0, 2], [True, False, True])])
def test_what_ase_writes_is_read_as_ase_reads_it(tmp_path, constraint):
    atoms, path = rich_atoms(), tmp_path / "a.xyz"
    atoms.set_constraint(constraint)
    ase.io.write(path, [atoms, atoms])
    mine, theirs = load_structures(path), ase.io.read(path, ":")
    assert len(mine) == 2
    for one, two in zip(mine, theirs):
        assert_same(one, two)
        one.calc = two.calc = None
        one.arrays["forces"] = two.arrays["forces"] = np.ones((3, 3))
        for atoms in (one, two):
            atoms.calc = SinglePointCalculator(atoms, forces=np.ones((3, 3)))
        np.testing.assert_array_equal(one.get_forces(), two.get_forces())


@pytest.mark.parametrize("constraint", [None, FixAtoms([1]), FixCartesian([0, 2], [True, False, True])])
def test_what_is_written_is_read_again(tmp_path, constraint):
    atoms = rich_atoms()
    atoms.positions /= 3
    atoms.info |= {"code": "007", "lines": "two\nof them", "path": r"C:\data", "one": np.array([1.0]), "empty": ""}
    atoms.set_constraint(constraint)
    read = next(iter_structures(write(tmp_path, extxyz_text(atoms) + extxyz_text(atoms))))
    again = next(iter_structures(write(tmp_path, extxyz_text(read))))
    assert_same(read, again)
    assert_same(read, atoms)
    assert [str(c) for c in read.constraints] == [str(c) for c in again.constraints]


def test_adf_cell_vectors(load):
    ((atoms,), _) = load("1\nany text, it's free\nH 0 0 0\nVEC1 3 0 0\nVEC2 0 4 0\n")
    assert atoms.pbc.tolist() == [True, True, False]
    assert atoms.cell.array.tolist() == [[3, 0, 0], [0, 4, 0], [0, 0, 0]]


def test_lower_case_keys(load):
    frame = '2\nlattice="5 0 0 0 6 0 0 0 7" properties=species:s:1:pos:r:3:force:r:3 PBC="T f True" energy=1\n' + ATOMS
    ((atoms,), notices) = load(frame)
    assert atoms.cell.lengths().tolist() == [5, 6, 7]
    assert atoms.pbc.tolist() == [True, False, True]
    assert atoms.arrays["force"][1, 0] == -0.1
    assert not notices


@pytest.mark.parametrize("pbc, axes", [("F", "FFF"), ("TTF", "TTF"), ('"1 0 1"', "TFT"), ('"[T, F, T]"', "TFT")])
def test_spellings_of_periodicity(load, pbc, axes):
    ((atoms,), _) = load(FRAME.replace("energy", f'Lattice="5 0 0 0 6 0 0 0 7" pbc={pbc} energy'))
    assert "".join("FT"[int(axis)] for axis in atoms.pbc) == axes


@pytest.mark.parametrize(
    "label, symbol",
    [("Na1", "Na"), ("Cl_2", "Cl"), ("na", "Na"), ("NA", "Na"), ("Na+", "Na"), ("O2-", "O"), ("c3", "C")],
)
def test_labels_of_atoms(load, label, symbol):
    frames, notices = load(FRAME + FRAME.replace("Na", label))
    assert [str(atoms.symbols[0]) for atoms in frames] == ["Na", symbol]
    assert notices == [f"note: labels of atoms are read as elements: {label} → {symbol} (in 1 of 2 frames)"]


@pytest.mark.parametrize("label", ["HO1", "HO", "CO", "co", "NB", "SI2", "IN", "CS_1", "hO"])
def test_labels_that_may_be_either_of_two_elements(load, label):
    symbol, one, other = label[:2].capitalize(), label[0].upper(), label[1].upper()
    says = f"line 3: atom 0 is '{label}', which may be .*: write {symbol} if it is that, {one} if it is {one} with a"
    with pytest.raises(InputError, match=f"{says} label of {other}"):
        load(FRAME.replace("Na", label))


@pytest.mark.parametrize("label, symbol", [("Ho1", "Ho"), ("Co", "Co"), ("CA", "Ca"), ("BR3", "Br"), ("cl", "Cl")])
def test_labels_that_are_of_one_element(load, label, symbol):
    assert str(load(FRAME.replace("Na", label))[0][0].symbols[0]) == symbol


@pytest.mark.parametrize("text", ["-316.867144", "E -316.867144", "SCF energy: -316.867144, step 12", "'-316.867144'"])
def test_numbers_without_a_name_are_no_keys(load, text):
    frames, notices = load(f"2\n{text}\nH 0 0 0\nH 0 0 1\n" * 3)
    assert frames[0].info == {"comment": text}
    assert notices == [
        "warning: the comment line holds numbers without a name, energies perhaps: not read (in 3 of 3 frames). "
        "If -316.867144 is an energy, write energy=-316.867144 there"
    ]


def test_numbers_among_keys(load):
    ((atoms,), notices) = load(FRAME.replace("energy", "good -3.5 12 energy"))
    assert atoms.info == {"good": True, "comment": "-3.5 12"}
    assert results(atoms)["energy"] == -1.5
    assert "If -3.5 is an energy" in notices[0]


@pytest.mark.parametrize("text", ["step 12", "made by hand", ""])
def test_comments_of_words(load, text):
    frames, notices = load(f"2\n{text}\nH 0 0 0\nH 0 0 1\n")
    assert frames[0].info == ({"comment": text} if text else {})
    assert notices == []


@pytest.mark.parametrize("label, mass", [("D", 2.014), ("T", 3.016), ("D1", 2.014)])
def test_heavy_hydrogen_keeps_its_mass(load, label, mass):
    ((atoms,), notices) = load(FRAME.replace("Na", label))
    assert atoms.numbers.tolist() == [1, 17]
    assert atoms.get_masses() == pytest.approx([mass, 35.45], abs=1e-3)
    assert any("heavy hydrogen is read as H with its mass" in notice for notice in notices)


def test_masses_of_the_file_win(load):
    text = (
        FRAME.replace("pos:R:3", "pos:R:3:masses:R:1")
        .replace(" 0 0 0 ", " 0 0 0 2.5 ")
        .replace("2.4 0 0", "2.4 0 0 35")
    )
    assert load(text.replace("Na", "D"))[0][0].get_masses().tolist() == [2.5, 35]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-8"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path, encoding, end):
    text = FRAME.replace("energy", 'unit="Å" energy') * 2
    frames = load_structures(write(tmp_path, text.replace("\n", end), encoding=encoding))
    assert [atoms.info["unit"] for atoms in frames] == ["Å", "Å"]


def test_latin1(tmp_path):
    notices = []
    path = write(tmp_path, FRAME + FRAME.replace("energy", 'unit="Å" energy'), encoding="latin-1")
    assert load_structures(path, on_notice=notices.append)[1].info["unit"] == "Å"
    assert notices[0].message.endswith("what is no UTF-8 is read as Latin-1 (in 1 of 2 frames)")


@pytest.mark.parametrize("name", ["a.exyz", "a.extxyz", "a.txt", "a.dat", "a", "a.XYZ", "a.data", "train.2024"])
@pytest.mark.parametrize("text", [FRAME, "2\na comment\nNa 0 0 0\nCl 0 0 2.4\n", "\ufeff" + FRAME])
def test_recognised_by_content(tmp_path, name, text):
    assert str(load_structures(write(tmp_path, text * 2 if text[0] != "\ufeff" else text, name))[0].symbols) == "NaCl"


def test_fortran_exponents(load):
    ((atoms,), _) = load(FRAME.replace("-1.5", "-0.15D+01").replace(" 2.4", " 0.24d+01"))
    assert results(atoms)["energy"] == -1.5
    assert atoms.positions[1, 0] == 2.4


@pytest.mark.parametrize("value", ["********", "None", '"-1.5 eV"', '""', "1.0-100", "1_0"])
def test_energy_that_is_no_number_stays_text(load, value):
    ((atoms,), _) = load(FRAME.replace("-1.5", value))
    assert results(atoms)["energy"] == value.strip('"')


def test_energy_that_is_nan(load):
    assert np.isnan(results(load(FRAME.replace("-1.5", "nan"))[0][0])["energy"])


@pytest.mark.parametrize("key", ["stress", "virial", "dft_stress", "REF_virial"])
def test_six_numbers_stay_as_they_are(load, key):
    ((atoms,), _) = load(FRAME.replace("energy", f'{key}="1 2 3 4 5 6" energy'))
    assert atoms.info[key].tolist() == [1, 2, 3, 4, 5, 6]


def test_nine_numbers_of_a_stress_are_a_result(load):
    ((atoms,), _) = load(FRAME.replace("energy", 'stress="1 6 5 6 2 4 5 4 3" energy'))
    assert results(atoms)["stress"].tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("key", ["dft_stress", "Stress", "virial", "stress"])
def test_nine_numbers_stay_nine_or_become_a_result(load, key):
    ((atoms,), _) = load(FRAME.replace("energy", f'{key}="1 6 5 6 2 4 5 4 3" energy'))
    assert np.size(atoms.info.get(key, np.zeros(9))) == 9
    assert (key in atoms.info) != (key in results(atoms))


def test_infinite_stress_is_kept_whole(load):
    ((atoms,), _) = load(FRAME.replace("energy", 'stress="inf 6 5 6 2 4 5 4 3" energy'))
    assert results(atoms)["stress"].T.tolist() == [[np.inf, 6, 5], [6, 2, 4], [5, 4, 3]]


def test_asymmetric_stress_is_not_cut_to_six(load):
    ((atoms,), _) = load(FRAME.replace("energy", 'stress="1 6 5 0 2 4 0 0 3" energy'))
    assert results(atoms)["stress"].T.tolist() == [[1, 6, 5], [0, 2, 4], [0, 0, 3]]


def test_columns_that_nothing_declares(load):
    frames, notices = load(f"2\nstep=1\n{ATOMS}" * 3)
    assert len(frames) == 3
    assert notices == [
        "warning: 3 columns after x y z are in no Properties=: not read (in 3 of 3 frames). If these are forces, write "
        "Properties=species:S:1:pos:R:3:forces:R:3 (in the order of the columns)"
    ]


def test_two_columns_of_charges_are_both_kept(load):
    header = "Properties=species:S:1:pos:R:3:charges:R:1:charge:R:1"
    ((atoms,), _) = load(f"1\n{header}\nNa 0 0 0 1 2\n")
    assert results(atoms)["charges"].tolist() == [1]
    assert atoms.arrays["charge"].tolist() == [2]


def test_column_and_key_of_one_name_are_both_kept(load):
    ((atoms,), _) = load("1\nProperties=species:S:1:pos:R:3:energy:R:1 energy=-2\nNa 0 0 0 -1\n")
    assert results(atoms)["energy"] == -2
    assert atoms.arrays["energy"].tolist() == [-1]


@pytest.mark.parametrize(
    "old, new, says",
    [
        (" -0.1 ", " ************** ", r"line 4, column 5 \(forces x of atom 1\): '\*+' is no number: Fortran ran out"),
        (" 2.4 ", " 1.0-100 ", r"line 4, column 2 \(pos x of atom 1\).*lost its letter"),
        (" 2.4 ", " 1_0 ", r"line 4, column 2"),
        (
            " 0 -0.1 0 0",
            "-0.1 0 0",
            r"line 4: atom 1 has 5 columns, expected 7 as Properties says \(without forces y, forces z\)",
        ),
        (
            ":forces:R:3",
            "",
            r"line 3: atom 0 has 7 columns, expected 4 as Properties says: 3 more columns: if these are "
            r"forces, write Properties=species:S:1:pos:R:3:forces:R:3 \(in the order of the columns\)",
        ),
        (" 0 0.1 0 0", " 0 0.1 0 0 x", r"expected 7 .*: 1 more column: write Properties=.*:forces:R:3:NAME:S:1"),
        (" 0 0.1 0 0", " 0 0.1 0 0 1", r"expected 7 .*: 1 more column: if these are charges, .*:charges:R:1"),
        ("Cl", "17", r"line 4: atom 1 is '17', which is no element \(for atomic numbers: Properties=Z:I:1"),
        ("Cl", "OW", r"line 4: atom 1 is 'OW', which is no element"),
        ("energy=-1.5", "energy=-1.5 energy=-2", r"line 2: the comment line gives energy twice \('-1.5' and '-2'\)"),
        ("energy", 'Lattice="1 0 0 0 1 0 0 0 1" lattice="1" energy', r"line 2: .* gives lattice twice"),
        ("energy", 'name="salt energy', r'line 2: the comment line opens " at its column \d+ and never closes it'),
        ("pos:R:3", "pos:Q:3", r"line 2: Properties gives pos the type 'Q', expected R, I, S or L"),
        ("pos:R:3", "pos:R:three", r"line 2: .* gives 'three'"),
        ("pos:R:3", "pos:R", r"line 2: Properties should be name:type:columns"),
        ("pos:R:3", "place:R:3", r"line 2: Properties should declare pos:R:3"),
        ("pos:R:3", "pos:R:2:z:R:1", r"line 2: Properties should declare pos:R:3"),
        ("species:S:1", "kind:S:1", r"line 2: Properties should declare the elements"),
        ("forces:R:3", "q:R:1:q:R:2", r"line 2: Properties names q twice"),
        ("energy", 'Lattice="5 5 5" energy', r"line 2: Lattice should be nine numbers.*it is 3 numbers"),
        ("energy", 'Lattice="5 0 0 0 a 0 0 0 5" energy', r"line 2: Lattice should be nine numbers"),
        ("energy", 'pbc="T T" energy', r"line 2: pbc should say of each axis"),
        ("energy", 'x="_JSON [1" energy', r"line 2: x in the comment line should be JSON"),
        ("2\n", "-2\n", r"line 1: expected the number of atoms"),
        ("2\n", "1000000000\n", r"line 1 announces 1000000000 atoms, but the file ends after 2 of them"),
        ("energy", "\0energy", r"frame 0, line 2 holds a byte 0"),
    ],
)
def test_refusals_name_place_and_remedy(load, old, new, says):
    with pytest.raises(InputError, match=says):
        load(FRAME.replace(old, new, 1))


def test_the_frame_is_named(load):
    with pytest.raises(InputError, match=r"frame 2, line 11, column 2 \(pos x of atom 0\)"):
        load(FRAME * 2 + FRAME.replace("Na 0", "Na x"))


def test_z_that_contradicts_the_symbol(load):
    with pytest.raises(InputError, match=r"line 4: atom 1 is 'Cl', but Z says 11"):
        load("2\nProperties=species:S:1:Z:I:1:pos:R:3\nNa 11 0 0 0\nCl 11 0 0 2\n")


BROKEN = {
    "stars": FRAME.replace(" -0.1 ", " *** "),
    "a line lost": FRAME.replace("Cl 2.4 0 0 -0.1 0 0\n", ""),
    "a line too many": FRAME + "Na 1 1 1 0 0 0\n",
    "half a line": FRAME.replace(" -0.1 0 0\n", "\n"),
    "a key twice": FRAME.replace("energy", "energy=3 energy"),
    "no count": FRAME.removeprefix("2\n"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_unreadable_frames_are_left_out_and_counted(load, what):
    good = [FRAME.replace("-1.5", str(k)) for k in range(3)]
    with pytest.raises(InputError):
        load(good[0] + BROKEN[what] + good[1] + good[2])
    frames, notices = load(good[0] + BROKEN[what] + good[1] + good[2], skip_unreadable=True)
    assert {results(atoms)["energy"] for atoms in frames} - {-1.5} == {0, 1, 2}
    assert len(notices) == 1
    assert notices[0].startswith(f"warning: 1 frame that cannot be read left out, {len(frames)} kept")
    assert "frame " in notices[0].partition("the first: ")[2]


def test_a_blank_line_is_no_frame_to_leave_out(load):
    frames, notices = load(FRAME + "\n" + FRAME, skip_unreadable=True)
    assert (len(frames), notices) == (2, [])


def test_nothing_left(load):
    with pytest.raises(InputError, match=r"holds no structures: .*Fortran"):
        load(BROKEN["stars"], skip_unreadable=True)


def test_frames_come_one_by_one(tmp_path):
    frames = iter_structures(write(tmp_path, FRAME * 2 + "rubbish"))
    assert len(next(frames)) == 2  # before anybody has seen the end
    next(frames)
    with pytest.raises(InputError, match="frame 2, line 9"):
        next(frames)
