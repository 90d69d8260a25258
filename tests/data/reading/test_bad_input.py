"""Every way a file can be wrong has a message that names file, frame and remedy."""

import gzip

import ase
import ase.io
import numpy as np
import pytest

from farfield.data.config import DataConfig
from farfield.data.read import read_frames
from farfield.errors import InputError

HEADER = "Properties=species:S:1:pos:R:3:forces:R:3"
ATOMS = "O 0 0 0 0.1 0 0\nH 0.96 0 0 -0.1 0 0\n"
BOX = 'Lattice="5 0 0 0 5 0 0 0 5"'
FRAME = f"2\n{HEADER} energy=-1.5\n{ATOMS}"


@pytest.fixture
def read(tmp_path):
    def read_text(text, **config):
        path = tmp_path / "water.xyz"
        path.write_text(text)
        return read_frames(path, DataConfig(train=path, **config))

    return read_text


def frame(comment="energy=-1.5", atoms=ATOMS, header=HEADER):
    return f"{len(atoms.splitlines())}\n{header} {comment}\n{atoms}"


def test_sound_file_is_read(read):
    (first,) = read(FRAME)
    assert first.labels.energy.item() == -1.5
    assert first.labels.forces[1].tolist() == [-0.1, 0, 0]


def test_missing_file_suggests_the_nearest_name(tmp_path):
    (tmp_path / "water.xyz").write_text(FRAME)
    with pytest.raises(InputError, match=r"waters.xyz does not exist. Did you mean .*water.xyz\?"):
        read_frames(tmp_path / "waters.xyz", DataConfig(train="x"))


def test_missing_folder(tmp_path):
    with pytest.raises(InputError, match=r"nor does its folder"):
        read_frames(tmp_path / "nowhere" / "a.xyz", DataConfig(train="x"))


def test_folder_instead_of_file(tmp_path):
    with pytest.raises(InputError, match=r"is a folder"):
        read_frames(tmp_path, DataConfig(train="x"))


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_empty_file(read, text):
    with pytest.raises(InputError, match=r"water.xyz (is empty|holds no structures)"):
        read(text)


def test_truncated_last_frame(read):
    with pytest.raises(InputError, match=r"frame 1: line 5 announces 2 atoms.*ends after 1 of them.*cut short"):
        read(FRAME + FRAME.rsplit("H", 1)[0])


def test_truncated_inside_a_line(read):
    with pytest.raises(InputError, match=r"frame 1, line 8: atom 1 has 4 columns, expected 7"):
        read(FRAME + FRAME.rsplit(" -0.1", 1)[0])


def test_blank_line_between_frames(read):
    with pytest.raises(InputError, match=r"frame 1, line 5 is blank"):
        read(FRAME + "\n" + FRAME)


def test_trailing_blank_lines_are_harmless(read):
    assert len(read(FRAME + FRAME + "\n\n")) == 2


def test_wrong_atom_count(read):
    with pytest.raises(InputError, match=r"frame 1, line 4: expected the number of atoms of a frame, found 'H"):
        read(FRAME.replace("2\n", "1\n", 1))


def test_undeclared_columns(read):
    with pytest.raises(InputError, match=r"line 3: atom 0 has 7 columns, expected 4 as Properties says"):
        read(frame(header="Properties=species:S:1:pos:R:3"))


def test_word_instead_of_number(read):
    with pytest.raises(InputError, match=r"frame 0, line 3, column 3 \(pos y of atom 0\): 'zero' is no number"):
        read(frame(atoms="O 0 zero 0 0 0 0\n"))


def test_unknown_element(read):
    with pytest.raises(InputError, match=r"frame 0, line 3: atom 0 is 'Qq', which is no element"):
        read(frame(atoms="Qq 0 0 0 0 0 0\n"))


def test_dummy_element(read):
    with pytest.raises(InputError, match=r"frame 0: atomic numbers must lie in 1-118"):
        read(frame(atoms="X 0 0 0 0 0 0\n"))


def test_unknown_format(tmp_path):
    path = tmp_path / "data.weird"
    path.write_text("nothing that anybody knows")
    with pytest.raises(InputError, match=r"what format it is"):
        read_frames(path, DataConfig(train=path))


def test_binary_rubbish(tmp_path):
    path = tmp_path / "data.xyz"
    path.write_bytes(bytes(range(128, 256)))
    with pytest.raises(InputError, match=r"cannot read"):
        read_frames(path, DataConfig(train=path))


def test_broken_gzip(tmp_path):
    path = tmp_path / "data.xyz.gz"
    path.write_bytes(gzip.compress(FRAME.encode())[:-12])
    with pytest.raises(InputError, match=r"cannot read"):
        read_frames(path, DataConfig(train=path))


def test_broken_database(tmp_path):
    path = tmp_path / "data.db"
    path.write_bytes(b"SQLite format 3\0 and then nothing of the kind")
    with pytest.raises(InputError, match=r"cannot read the database"):
        read_frames(path, DataConfig(train=path))


def test_malformed_file_of_another_format(tmp_path):
    path = tmp_path / "POSCAR"
    path.write_text("not a POSCAR\nat all\n")
    with pytest.raises(InputError, match=r"cannot read .* as vasp"):
        read_frames(path, DataConfig(train=path))


def test_wrong_forces_key_names_the_nearest(read):
    with pytest.raises(InputError) as caught:
        read(FRAME, forces="force")
    assert 'water.xyz has no array "force" (it has: forces)' in str(caught.value)
    assert "Did you mean forces: forces (--data.forces forces)?" in str(caught.value)


def test_all_that_is_missing_is_said_at_once_and_nothing_strange_is_suggested(read):
    frame = FRAME.replace("energy=", "REF_energy=").replace("forces", "DFT_forces")
    with pytest.raises(InputError) as caught:
        read(frame, stress="stress")
    for option in ("--data.energy REF_energy", "--data.forces DFT_forces"):
        assert option in str(caught.value)
    assert "Did you mean stress" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 3


def test_wrong_energy_key_names_the_nearest(read):
    with pytest.raises(InputError, match=r'no info "enrgy" \(it has: energy\). Did you mean energy: energy'):
        read(FRAME, energy="enrgy")


def test_default_forces_key_is_never_ignored(read):
    with pytest.raises(InputError, match=r'no array "forces" \(it has none of that kind\).*forces: null'):
        read("1\nenergy=1\nH 0 0 0\n")


def test_key_of_the_wrong_kind_is_no_match(read):
    with pytest.raises(InputError, match=r'no array "charge"'):
        read(frame("energy=1 charge=1"), charges="charge")


@pytest.mark.parametrize("name", ["total_charge", "spin", "group", "distance"])
def test_renamed_info_key_must_be_there(read, name):
    with pytest.raises(InputError, match=rf"has no info 'nonesuch' for {name}"):
        read(FRAME, **{name: "nonesuch"})


def test_label_in_some_frames_is_counted(read):
    with pytest.raises(InputError, match=r"energy = 'energy' is in 2 of 3 frames \(not in frame 1\).*allow_missing"):
        read(FRAME + frame("") + FRAME)


def test_total_charge_in_some_frames(read):
    with pytest.raises(InputError, match=r"total_charge = 'charge' is in 1 of 2 frames \(not in frame 1\)"):
        read(frame("energy=1 charge=1") + FRAME)


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_energy_not_finite(read, value):
    with pytest.raises(InputError, match=f"frame 1: energy = 'energy' is {value}"):
        read(FRAME + frame(f"energy={value}"))


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_forces_not_finite_name_the_atom(read, value):
    with pytest.raises(InputError, match=f"frame 0: forces = 'forces' of atom 1 is {value}"):
        read(frame(atoms=ATOMS.replace("-0.1", value)))


def test_infinity_is_not_a_missing_label(read):
    with pytest.raises(InputError, match=r"of atom 1 is inf"):
        read(frame(atoms=ATOMS.replace("-0.1", "inf")), allow_missing=("forces",))


def test_position_not_finite(read):
    with pytest.raises(InputError, match=r"frame 0: position of atom 1 \(H\) is \[nan"):
        read(frame(atoms=ATOMS.replace("0.96", "nan")))


def test_energy_of_several_numbers(read):
    with pytest.raises(InputError, match=r"energy = 'energy' has shape \(2,\), expected one number"):
        read(frame('energy="1 2"'))


def test_energy_that_is_a_word(read):
    with pytest.raises(InputError, match=r"should hold numbers, it holds 'low'"):
        read(frame("energy=low"))


def test_forces_of_two_columns(read):
    with pytest.raises(InputError, match=r"forces = 'forces' has shape \(2, 2\), expected \(2, 3\)"):
        read(frame(header="Properties=species:S:1:pos:R:3:forces:R:2", atoms="O 0 0 0 1 2\nH 1 0 0 1 2\n"))


def test_asymmetric_stress(read):
    with pytest.raises(InputError, match=r"not symmetric"):
        read(frame(f'energy=1 dft_stress="1 2 0 0 1 0 0 0 1" {BOX}'), stress="dft_stress")


def test_stress_of_four_numbers(read):
    with pytest.raises(InputError, match=r"expected 9, 3 × 3 or 6 numbers"):
        read(frame(f'energy=1 dft_stress="1 2 3 4" {BOX}'), stress="dft_stress")


@pytest.mark.parametrize("key", ["virial", "REF_virial", "dft-Virial", "virials"])
def test_virial_is_not_a_stress(read, key):
    with pytest.raises(InputError, match=f"looks like a virial.*write virial: {key}"):
        read(FRAME, stress=key)


def test_stress_is_not_a_virial(read):
    with pytest.raises(InputError, match=r"looks like a stress.*write stress: dft_stress"):
        read(FRAME, virial="dft_stress")


def test_periodic_without_a_cell(read):
    with pytest.raises(InputError, match=r"frame 0: periodic along a, b, c but the cell has no such lattice vector"):
        read(frame('energy=1 pbc="T T T"'))


def test_flat_cell(read):
    with pytest.raises(InputError, match=r"frame 0: the periodic lattice vectors .* span no volume"):
        read(frame('energy=1 Lattice="5 0 0 0 5 0 5 5 0"'))


def test_atoms_on_top_of_each_other(read):
    with pytest.raises(InputError, match=r"frame 1: atoms 0 and 1 are .* Å apart"):
        read(FRAME + frame(atoms="O 0 0 0 0 0 0\nH 0 0 1e-5 0 0 0\n"))


def test_atoms_on_top_of_each_other_through_an_image(read):
    with pytest.raises(InputError, match=r"frame 0: atoms 0 and 1 are .* Å apart"):
        read(frame('energy=1 Lattice="5 0 0 0 5 0 0 0 5"', atoms="O 0 0 0 0 0 0\nH 5 5 -5 0 0 0\n"))


def test_dipole_of_a_periodic_frame(read):
    with pytest.raises(InputError, match=r"dipole: null"):
        read(frame('energy=1 dipole="1 2 3" Lattice="5 0 0 0 5 0 0 0 5"'), dipole="dipole")


@pytest.mark.parametrize("value", ["nan", "inf", "plus", '"1 2"'])
def test_total_charge_that_is_no_number(read, value):
    with pytest.raises(InputError, match=r"frame 0: info 'charge' should be one finite number"):
        read(frame(f"energy=1 charge={value}"))


def test_field_that_is_no_vector(read):
    with pytest.raises(InputError, match=r"frame 0: info\['external_field'\] should be three finite numbers"):
        read(frame('energy=1 external_field="0 1"'))


def test_fragments_that_do_not_fit(read):
    header = "Properties=species:S:1:pos:R:3:fragment:I:1:forces:R:3"
    atoms = "O 0 0 0 0 0 0 0\nH 1 0 0 2 0 0 0\n"
    with pytest.raises(InputError, match=r"belong to fragments \[0, 2\], but there are 2 fragment charges"):
        read(frame('energy=1 fragment_charges="0 0" fragment_energies="1 2"', atoms=atoms, header=header))


def test_lettered_fragments_that_do_not_fit(read):
    with pytest.raises(InputError, match=r"lacks chargeB"):
        read(frame("energy=1 chargeA=1 energyA=1 energyB=2 indexB=1"))
    with pytest.raises(InputError, match=r"start at atoms \[0, 7\]"):
        read(frame("energy=1 chargeA=1 energyA=1 chargeB=0 energyB=2 indexB=7"))


def test_no_target_at_all(read):
    with pytest.raises(InputError, match=r"no target is asked for"):
        read(FRAME, energy=None, forces=None)


def test_allow_missing_without_a_key(read):
    with pytest.raises(InputError, match=r"allow_missing names charges"):
        read(FRAME, allow_missing=("charges",))


def test_same_file_twice(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(FRAME)
    with pytest.raises(InputError, match=r"different files"):
        read_frames([path, path], DataConfig(train=path))


def test_misspelt_configuration():
    with pytest.raises(ValueError, match=r"energi"):
        DataConfig(train="a.xyz", energi="E")
    with pytest.raises(ValueError, match=r"hartrees"):
        DataConfig(train="a.xyz", energy_unit="hartrees")


def test_empty_database(tmp_path):
    with ase.db.connect(tmp_path / "a.db") as database:
        database.delete([database.write(ase.Atoms("H"))])
    with pytest.raises(InputError, match=r"holds no structures"):
        read_frames(tmp_path / "a.db", DataConfig(train="x"))


def test_frame_without_atoms(tmp_path):
    ase.io.write(tmp_path / "a.traj", ase.Atoms())
    with pytest.raises(InputError, match=r"a.traj"):
        read_frames(tmp_path / "a.traj", DataConfig(train="x"))


def test_labels_of_the_wrong_length_in_a_database(tmp_path):
    with ase.db.connect(tmp_path / "a.db") as database:
        database.write(ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), data={"E": 1.0, "f": np.zeros((3, 3))})
    with pytest.raises(InputError, match=r'has no array "f"'):
        read_frames(tmp_path / "a.db", DataConfig(train="x", energy="E", forces="f"))
