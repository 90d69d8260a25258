"""Conversion: energies, forces and lengths in eV and Å, keys under their new names, the file whole or not there."""

import ase
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from farfield.cli.main import main
from farfield.data.config import DataConfig
from farfield.data.convert import Conversion, convert
from farfield.data.files import load_structures
from farfield.data.formats.assembly import spread
from farfield.data.read import read_frames
from farfield.errors import InputError
from farfield.units import BOHR, HARTREE

HEAD = 'Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:dft_forces:R:3:q:R:1'
TEXT = f"""2
{HEAD} dft_energy=-3 dft_virial="1 2 3 4 5 6" v=7
Na 0 0 0 1 0 0 0.9
Cl 2 2 2 -1 0 0 -0.9
"""


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.xyz"
    path.write_text(TEXT * 3)
    return path


@pytest.mark.parametrize("suffix", ["xyz", "extxyz.gz", "db", "traj"])
def test_units_and_names(tmp_path, source, suffix):
    target, notices = tmp_path / f"out.{suffix}", []
    rename = {"dft_energy": "energy", "dft_forces": "forces"}
    written = convert(source, target, Conversion("hartree", "bohr", rename), on_notice=notices.append)
    units = {"energy": "eV", "forces": "eV/Å", "dft_virial": "eV", "v": "as given"}
    if suffix == "traj":
        assert [notice.message for notice in notices] == [f"{target}: the format keeps no q"]
    else:
        units["q"] = "as given"
        assert not notices
    assert written.keys == units
    assert written.frames == 3
    info, arrays = spread(load_structures(target)[2])
    assert info["energy"] == pytest.approx(-3 * HARTREE, rel=1e-15)
    np.testing.assert_allclose(arrays["forces"][0, 0], HARTREE / BOHR, rtol=1e-15)
    np.testing.assert_allclose(info["dft_virial"], HARTREE * np.arange(1, 7), rtol=1e-15)
    assert info["v"] == 7
    np.testing.assert_allclose(load_structures(target)[2].positions[1], 2 * BOHR, rtol=1e-15)
    np.testing.assert_allclose(load_structures(target)[2].cell.lengths(), 4 * BOHR, rtol=1e-15)


def test_results_of_a_calculator_come_along(tmp_path):
    atoms = ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.74]], cell=[5, 5, 5], pbc=True)
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.eye(3)[:2], stress=[1, 2, 3, 4, 5, 6.0])
    ase.io.write(tmp_path / "a.traj", [atoms])
    written = convert(tmp_path / "a.traj", tmp_path / "a.xyz", Conversion())
    assert written.keys == {"energy": "eV", "forces": "eV/Å", "stress": "as given"}
    read = load_structures(tmp_path / "a.xyz")[0]
    np.testing.assert_array_equal(read.get_stress(), [1, 2, 3, 4, 5, 6])


def test_open_units_are_asked_for(tmp_path):
    np.savez(tmp_path / "a.npz", R=np.zeros((1, 1, 3)), z=[1], E=[23.060547830619026])
    with pytest.raises(InputError, match="--energy-unit"):
        convert(tmp_path / "a.npz", tmp_path / "a.xyz", Conversion())
    convert(tmp_path / "a.npz", tmp_path / "a.xyz", Conversion("kcal/mol"))
    assert spread(load_structures(tmp_path / "a.xyz")[0])[0]["energy"] == pytest.approx(1.0)


def test_units_that_the_file_states(tmp_path):
    np.savez(tmp_path / "a.npz", R=np.zeros((1, 1, 3)), z=[1], E=[23.060547830619026], e_unit="kcal/mol")
    with pytest.raises(InputError, match=r"is turned into eV on reading: leave --energy-unit \(hartree\) away"):
        convert(tmp_path / "a.npz", tmp_path / "a.xyz", Conversion("hartree"))
    convert(tmp_path / "a.npz", tmp_path / "a.xyz", Conversion())
    assert spread(load_structures(tmp_path / "a.xyz")[0])[0]["energy"] == pytest.approx(1.0)


def test_units_of_a_format_that_has_its_own(tmp_path):
    ase.io.write(tmp_path / "POSCAR", ase.Atoms("H", cell=[5, 5, 5], pbc=True))
    with pytest.raises(InputError, match=r"read in eV and Å, whatever the program that wrote it has \(vasp\)"):
        convert(tmp_path / "POSCAR", tmp_path / "a.xyz", Conversion("hartree"))
    assert convert(tmp_path / "POSCAR", tmp_path / "a.xyz", Conversion()).frames == 1


@pytest.mark.parametrize(
    "rename, says",
    [
        ({"nonesuch": "energy"}, r"no nonesuch to rename \(it has: dft_energy"),
        ({"v": "dft_energy"}, "dft_energy already"),
    ],
)
def test_renaming_what_cannot_be(tmp_path, source, rename, says):
    with pytest.raises(InputError, match=says):
        convert(source, tmp_path / "out.xyz", Conversion(rename=rename))
    assert [path.name for path in tmp_path.iterdir()] == ["in.xyz"]


def test_whole_or_not_at_all(tmp_path, source):
    (tmp_path / "out.xyz").write_text("before")
    source.write_text(TEXT + "rubbish")
    with pytest.raises(InputError, match="frame 1"):
        convert(source, tmp_path / "out.xyz", Conversion())
    assert (tmp_path / "out.xyz").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.xyz", "out.xyz"]


@pytest.mark.parametrize("suffix", ["xyz", "db"])
def test_keys_of_some_frames_only(tmp_path, source, suffix):
    source.write_text(TEXT + TEXT.replace("v=7", "w=8"))
    notices = []
    written = convert(source, tmp_path / f"out.{suffix}", Conversion(), on_notice=notices.append)
    assert notices == []
    assert {"v", "w"} <= set(written.keys)


def test_frames_that_cannot_be_read(tmp_path, source):
    source.write_text(TEXT + TEXT.replace(" 0.9", " ***") + TEXT)
    with pytest.raises(InputError, match=r"leave such frames out: --skip-unreadable$"):
        convert(source, tmp_path / "out.xyz", Conversion())
    notices = []
    conversion = Conversion(skip_unreadable=True)
    assert convert(source, tmp_path / "out.xyz", conversion, on_notice=notices.append).frames == 2
    assert "skip" not in notices[0].message
    with pytest.raises(InputError, match=r"leave such frames out: skip_unreadable: true under data:$"):
        read_frames(source, DataConfig(train=source))


def test_a_number_for_a_comment(tmp_path):
    (tmp_path / "a.xyz").write_text("1\n-316.867\nH 0 0 0\n")
    convert(tmp_path / "a.xyz", tmp_path / "b.xyz", Conversion())
    assert load_structures(tmp_path / "b.xyz")[0].info == {"comment": "-316.867"}


@pytest.mark.parametrize("name", ["out.nonesuch", "out", "nowhere/out.xyz", "out.png"])
def test_what_cannot_be_written(tmp_path, source, name):
    with pytest.raises(InputError, match=r"out"):
        convert(source, tmp_path / name, Conversion())
    assert [path.name for path in tmp_path.iterdir()] == ["in.xyz"]


def test_command(tmp_path, source, capsys):
    target = tmp_path / "out.xyz"
    command = ["data", "convert", str(source), str(target), "--rename", "dft_energy=energy", "--energy-unit", "kJ/mol"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "wrote 3 frames" in said
    assert "energy  eV\n" in said
    assert "v  as it was: farfield does not know its unit" in said
    assert main(command) == 2
    assert "--force overwrites it" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    assert main([*command[:4], "--force", "--rename", "energy"]) == 2


def test_external_charges_are_converted_with_the_atoms(tmp_path):
    atoms = ase.Atoms("He", [[0, 0, 0]])
    atoms.info["external_charges"] = np.array([[0.0, 0.0, 10.0, -0.8, 1.0], [0.0, 3.0, 0.0, 0.4, 0.0]])
    ase.io.write(tmp_path / "bohr.xyz", [atoms], format="extxyz")
    convert(tmp_path / "bohr.xyz", tmp_path / "out.xyz", Conversion(energy_unit="hartree", length_unit="bohr"))
    found = np.asarray(load_structures(tmp_path / "out.xyz")[0].info["external_charges"])

    np.testing.assert_allclose(found, [[0, 0, 10 * BOHR, -0.8, BOHR], [0, 3 * BOHR, 0, 0.4, 0]], rtol=1e-7)
