"""Vacuum that a frame is periodic through is noted, with what to type; nothing is changed."""

import ase.build
import ase.io
import numpy as np
import pytest

from farfield.data.check import check_file
from farfield.data.config import DataConfig
from farfield.data.read import read_frames


@pytest.fixture
def notes(tmp_path):
    def write_and_check(*frames, **config):
        for k, atoms in enumerate(frames):
            atoms.info = {"energy": -30.0 - 0.1 * k}
            atoms.arrays["forces"] = np.zeros((len(atoms), 3))
        ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
        report = check_file(tmp_path / "a.xyz")
        assert not report.failed
        assert "pbc" not in report.config
        return [finding.message for finding in report.findings if "vacuum" in finding.message]

    return write_and_check


def slab(vacuum, axis=2, shift=0.0, pbc=(True, True, True)):
    """Two layers of rock salt, 2.8 Å apart."""
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    cell = np.full(3, 5.6)
    cell[axis] = 2.8 + vacuum
    atoms.set_cell(cell)
    atoms.positions[:, axis] += shift
    atoms.pbc = pbc
    return atoms


@pytest.mark.parametrize(("axis", "pbc"), [(2, "T T F"), (0, "F T T")])
@pytest.mark.parametrize("shift", [0.0, -1.0])  # across the boundary of the cell
def test_a_slab_that_is_periodic_through_vacuum(notes, axis, pbc, shift, tmp_path):
    (said,) = notes(slab(15.0, axis, shift), slab(12.0, axis, shift))
    assert said.startswith(f"12 Å of vacuum along {'abc'[axis]}, and periodic through it, in frames 0, 1: read as a")
    assert said.endswith(f'data: pbc: "{pbc}"')
    path = tmp_path / "a.xyz"
    for frame in read_frames(path, DataConfig(train=path, pbc=pbc)):
        assert frame.system.periodic.tolist() == [[letter == "T" for letter in pbc.split()]]


def test_some_frames_that_are_slabs_are_to_be_written_as_such(notes):
    (said,) = notes(slab(2.8), slab(12.0))
    assert "in frame 1:" in said
    assert said.endswith('pbc="T T F" in these frames')


def test_a_wire(notes):
    atoms = ase.Atoms("NaCl", [[5, 5, 0], [5, 5, 2.8]], cell=[16, 18, 5.6], pbc=True)
    (said,) = notes(atoms)
    assert "16 Å of vacuum along a and b" in said
    assert "a crystal of wires" in said
    assert said.endswith('data: pbc: "F F T"')


@pytest.mark.parametrize(
    "atoms",
    [slab(2.8), slab(7.5), slab(15.0, pbc=(True, True, False)), slab(15.0, pbc=False)],
    ids=["bulk", "little", "slab", "cluster"],
)
def test_what_is_no_slab_through_vacuum(notes, atoms):
    assert notes(atoms) == []


def test_a_molecule_in_a_box_is_no_wire(notes):
    chain = ase.Atoms("C8", np.outer(np.arange(8), [1.4, 0, 0]), cell=[17.0, 20.0, 20.0], pbc=True)
    assert notes(chain) == []
