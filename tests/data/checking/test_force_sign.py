"""Forces that are gradients are told from forces by what the energy does from frame to frame; where it is plain."""

import ase
import ase.io
import numpy as np
import pytest

from farfield.data.check import check_file


def walk(sign, steps=40, size=0.05, noise=0.0, cell=None):
    """Two atoms on springs of 5 eV/Å² about their places, walking at random; ``sign`` of what is written as forces."""
    rng = np.random.default_rng(0)
    places, away, frames = np.array([[0.05, 0, 0], [0, 0, 3.0]]), np.zeros((2, 3)), []
    for _ in range(steps):
        away = away + rng.normal(scale=size, size=(2, 3))
        atoms = ase.Atoms("Ar2", places + away, cell=cell, pbc=cell is not None)
        atoms.info["energy"] = 2.5 * (away**2).sum() + noise * rng.normal()
        atoms.arrays["forces"] = sign * -5.0 * away
        if cell is not None:
            atoms.wrap()
        frames.append(atoms)
    return frames


@pytest.fixture
def uphill(tmp_path):
    def write_and_check(frames):
        ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
        found = [finding for finding in check_file(tmp_path / "a.xyz").findings if "uphill" in finding.message]
        assert all(finding.grade == "warning" for finding in found)
        return [finding.message for finding in found]

    return write_and_check


@pytest.mark.parametrize("cell", [None, [8.0, 9.0, 10.0]], ids=["open", "wrapped into a cell"])
def test_gradients_are_told_from_forces(uphill, cell):
    (said,) = uphill(walk(-1, cell=cell))
    assert "forces points uphill: over 39 small steps" in said
    assert "correlation -1.00" in said
    assert uphill(walk(+1, cell=cell)) == []


def test_nothing_is_said_without_many_steps(uphill):
    assert uphill(walk(-1, steps=20)) == []


def test_nothing_is_said_of_energies_that_do_something_else(uphill):
    assert uphill(walk(-1, noise=1.0)) == []


def test_nothing_is_said_of_structures_that_do_not_follow_each_other(uphill):
    assert uphill(walk(-1, size=0.5)) == []
    mixed = [frame for pair in zip(walk(-1), [ase.Atoms("Ar", info={"energy": 0.0})] * 40) for frame in pair]
    for frame in mixed[1::2]:
        frame.arrays["forces"] = np.zeros((1, 3))
    assert uphill(mixed) == []
