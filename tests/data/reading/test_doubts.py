"""What can be read but may not be what it is taken for is said; what must not be guessed is refused."""

import ase
import ase.io
import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator

from farfield.config import validated
from farfield.coulomb import Coulomb
from farfield.data.config import DataConfig
from farfield.data.read import read_frames
from farfield.errors import InputError

PUSH = np.array([[0.0, 0, 1.5], [0, 0, -1.5]])


def pairs(count=4, **arrays):
    frames = [ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.2 + 0.1 * k]]) for k in range(count)]
    for k, frame in enumerate(frames):
        frame.info["energy"] = float(k)
        frame.arrays |= {"forces": PUSH} | arrays
    return frames


def read(tmp_path, frames, **config):
    ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
    heard = []
    found = read_frames(tmp_path / "a.xyz", DataConfig(train="x", **config), on_notice=heard.append)
    return found, [f"{notice.grade}: {notice.message}" for notice in heard]


def test_sound_files_raise_no_doubts(tmp_path):
    assert read(tmp_path, pairs())[1] == []


def test_conditions_by_another_name(tmp_path):
    frames = pairs()
    frames[1].info["total_charge"] = 1
    _, (said,) = read(tmp_path, frames)
    assert said.startswith("warning: ")
    assert 'a.xyz: info has "total_charge", 1 in 1 of 4 frames' in said


@pytest.mark.parametrize("key", ["free_energy", "REF_free_energy", "FreeEnergy"])
def test_two_energies_of_which_forces_follow_the_other(tmp_path, key):
    frames = pairs()
    for frame in frames:
        frame.info[key] = frame.info["energy"] - 0.2
    _, (said,) = read(tmp_path, frames)
    assert said.startswith("note")
    assert f'"energy" and "{key}" differ by up to 0.1 eV/atom' in said
    assert said.endswith(f"energy: {key}")
    assert read(tmp_path, frames, energy=key)[1] == []
    assert read(tmp_path, frames, forces=None)[1] == []


def test_two_energies_among_the_results_of_a_calculation(tmp_path):
    """As ASE reads them from a vasprun.xml."""
    frames = pairs()
    for frame in frames:
        energy = frame.info.pop("energy")
        results = {"energy": energy, "free_energy": energy - 0.2, "forces": frame.arrays.pop("forces")}
        frame.calc = SinglePointCalculator(frame, **results)
    _, (said,) = read(tmp_path, frames)
    assert '"free_energy" differ by up to 0.1 eV/atom' in said
    for frame in frames:
        frame.calc.results["free_energy"] = frame.calc.results["energy"]
    assert read(tmp_path, frames)[1] == []


def test_labels_that_are_the_same_everywhere(tmp_path):
    frames = pairs(q=np.zeros(2))
    for frame in frames:
        frame.info["energy"] = 0.0
    _, heard = read(tmp_path, frames, charges="q")
    ending = "in all 4 frames while forces reach 1.5 eV/Å: is that a label?"
    assert [said.split(": ", 2)[2] for said in heard] == [f"charges is 0 {ending}", f"energy is 0 {ending}"]


def test_forces_that_are_zero_everywhere(tmp_path):
    _, (said,) = read(tmp_path, pairs(forces=np.zeros((2, 3))))
    assert "forces is 0 in all 4 frames: is that a label?" in said
    crystals = pairs(forces=np.zeros((2, 3)))
    for crystal in crystals:
        crystal.set_cell([5, 5, 5])
        crystal.pbc = True
    assert read(tmp_path, crystals)[1] == []


def test_multiplicities(tmp_path):
    frames = pairs()
    for frame in frames:
        frame.info["mult"] = 3
    found, heard = read(tmp_path, frames, spin="mult", spin_unit="multiplicity")
    assert found[0].system.spin.item() == 2
    assert not heard
    found, (said,) = read(tmp_path, frames, spin="mult")
    assert found[0].system.spin.item() == 3
    assert "spin_unit: multiplicity" in said
    assert read(tmp_path, pairs(), spin_unit="multiplicity")[0][0].system.spin.item() == 0


@pytest.mark.parametrize("wrong", [0, 1.5, -2])
def test_multiplicities_that_are_none(tmp_path, wrong):
    frames = pairs()
    for frame in frames:
        frame.info["mult"] = wrong
    with pytest.raises(InputError, match=r"frame 0: info 'mult' is .* expected a multiplicity 2S \+ 1"):
        read(tmp_path, frames, spin="mult", spin_unit="multiplicity")


def boxed(offset=0.0):
    frames = pairs()
    for frame in frames:
        frame.info["dipole"] = np.array([0, 0, 1.0])
        frame.set_cell([30, 30, 30])
        frame.pbc = True
        frame.positions += offset
    return frames


def test_molecules_in_boxes_have_dipoles_once_it_is_said(tmp_path):
    with pytest.raises(InputError, match='molecules in a box, data: pbc: "F F F" says so; if not, dipole: null'):
        read(tmp_path, boxed(), dipole="dipole")
    found, heard = read(tmp_path, boxed(15.0), dipole="dipole", pbc="F F F")
    assert found[0].labels.dipole.tolist() == [[0, 0, 1.0]]
    assert not heard
    assert not found[0].system.periodic.any()
    assert found[0].system.volume().item() == 0
    np.testing.assert_allclose(found[0].system.positions, boxed(15.0)[0].positions)


def test_molecules_that_their_box_has_torn_apart(tmp_path):
    frames = boxed()
    frames[2].positions = [[0, 0, 0.5], [0, 0, 29.0]]
    _, (said,) = read(tmp_path, frames, pbc="F F F")
    assert "pbc: F F F tears apart" in said
    assert "in 1 of 4 frames (first: 2)" in said


def test_periodicity_along_some_axes(tmp_path):
    (first, *_), _ = read(tmp_path, boxed(), pbc=[True, True, False])
    assert first.system.periodic.tolist() == [[True, True, False]]
    assert first.system.volume().item() == pytest.approx(27e3)
    with pytest.raises(InputError, match="the cell has no such lattice vector"):
        read(tmp_path, pairs(), pbc="T T T")


@pytest.mark.parametrize(
    ("cell", "pbc", "edges", "axes"),
    [
        (30, None, [30, 30, 30], [True, True, True]),
        ("30 31 32", "T T F", [30, 31, 32], [True, True, False]),
        ([[30, 0, 0], [0, 31, 0], [0, 0, 32]], None, [30, 31, 32], [True, True, True]),
    ],
)
def test_a_cell_that_the_file_has_lost(tmp_path, cell, pbc, edges, axes):
    crystal = boxed()[0]
    del crystal.info["dipole"]
    crystal.cell = [40, 40, 40]
    found, _ = read(tmp_path, [*pairs(), crystal], cell=cell, pbc=pbc)
    assert found[0].system.periodic.tolist() == [axes]
    np.testing.assert_allclose(found[0].system.cell[0].diagonal(), edges)
    assert found[-1].system.cell[0, 0, 0] == 40  # its own


def test_charges_apart_feel_the_images_of_the_cell_given_back(tmp_path):
    (open_pair, *_), _ = read(tmp_path, pairs())
    (pair, *_), _ = read(tmp_path, pairs(), cell=20)
    charges = torch.tensor([1.0, -1.0], dtype=torch.float64)
    energies = [Coulomb(error=1e-8).energy(frame.system, charges=charges).item() for frame in (open_pair, pair)]
    distance = float(open_pair.system.positions.diff(dim=0).norm())
    # two opposite charges, a dipole p = qd in a cubic cell, tin-foil: -2π p²/3V besides, to order (d/L)⁴
    assert energies[1] - energies[0] == pytest.approx(-2 * np.pi / 3 * 14.399645 * distance**2 / 20**3, rel=0.03)


@pytest.mark.parametrize("wrong", [0, -30.0, [30, 30, -30], -1.0j, "big", [1, 2], [[1, 0, 0], [1, 0, 0], [0, 0, 1]]])
def test_cells_that_are_none(wrong):
    with pytest.raises(InputError, match="cell: expected the edge of a cube"):
        validated(DataConfig, {"train": "a.xyz", "cell": wrong}, "data")


def test_a_format_that_leaves_its_units_open(tmp_path):
    np.savez(tmp_path / "a.npz", R=np.eye(2, 3)[None], z=np.array([1, 1]), E=np.zeros(1), F=np.zeros((1, 2, 3)))
    with pytest.raises(InputError, match=r"a.npz does not say in which unit.*energy_unit: kcal/mol"):
        read_frames(tmp_path / "a.npz", DataConfig(train="x"))


def test_a_target_of_which_no_frame_is_left(tmp_path):
    frames = boxed()
    found, (said,) = read(tmp_path, frames, dipole="dipole", allow_missing=("dipole",))
    assert "dipole" not in found[0].labels.targets
    assert said == "warning: dipole is left out: none of 4 frames has one"
