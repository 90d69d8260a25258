"""Labelling many structures: what fails, what is stopped, what is shared."""

import os
import time

import ase
import ase.io
import numpy as np
import pytest

from farfield.errors import InputError
from farfield.reference.contract import Label
from farfield.reference.run import label_structures, parts_folder


class Chain:
    """Labels a chain of hydrogen atoms as it is told for its length; others get energy = -length."""

    provides = frozenset({"energy", "forces"})
    description = "a test engine"

    def __init__(self, told=None, *, wrong=""):
        self.told, self.wrong = told or {}, wrong

    def check(self, elements):
        if self.wrong:
            raise InputError(f"{self.wrong} for {', '.join(sorted(elements))}")

    def label(self, atoms):
        self.told.get(len(atoms), _nothing)()
        return Label(
            energy=-float(len(atoms)),
            forces=np.full((len(atoms), 3), 0.25),
            charges=np.linspace(-1, 1, len(atoms)),
            scheme="mbis",
            dipole=np.array([0.0, 1.0, 2.0]),
            fragment_energies=np.array([-0.5]),
        )


def _nothing():
    pass


def _raise_runtime_error():
    raise RuntimeError("Electron number 16 and spin 1 are not consistent")


def _die():
    os._exit(9)


def _sleep():
    time.sleep(120)


def chain(length, **info):
    return ase.Atoms("H" * length, np.arange(3.0 * length).reshape(length, 3), info=info)


def test_any_exception_is_the_failure_of_its_frame_only(tmp_path):
    out = tmp_path / "out.xyz"
    outcome = label_structures([chain(n) for n in (1, 2, 3)], Chain({2: _raise_runtime_error}), out)
    assert outcome.labelled == 2
    assert outcome.failures == {1: "RuntimeError: Electron number 16 and spin 1 are not consistent"}
    assert [len(frame) for frame in ase.io.read(out, ":")] == [1, 3]


def test_a_worker_that_dies_loses_no_finished_frame(tmp_path):
    out = tmp_path / "out.xyz"
    outcome = label_structures([chain(1), chain(2)], Chain({2: _die}), out)
    assert "worker process died" in outcome.failures[1]
    assert label_structures([chain(1), chain(2)], Chain(), out).labelled == 2


def test_frames_that_differ_in_name_only_keep_their_names(tmp_path):
    """Solved once, and each comes out as it came in, with the labels beside what it carried."""
    calls = tmp_path / "calls"
    frames = [chain(2, group="A", charge=0), chain(2, group="B", charge=0), chain(2, group="C", charge=1)]
    for k, frame in enumerate(frames):
        frame.arrays["site"] = np.array([k, k])
    told = {2: _Note(calls)}
    outcome = label_structures(frames, Chain(told), tmp_path / "out.xyz")
    assert outcome.labelled == 3
    assert len(calls.read_text().split()) == 2  # another charge is another calculation
    for k, frame in enumerate(ase.io.read(tmp_path / "out.xyz", ":")):
        assert frame.info["group"] == "ABC"[k]
        assert list(frame.arrays["site"]) == [k, k]
        assert frame.get_potential_energy() == -2
        np.testing.assert_array_equal(frame.get_forces(), 0.25)
        np.testing.assert_array_equal(frame.arrays["mbis_charges"], [-1, 1])
        assert float(frame.info["fragment_energies"]) == -0.5
        np.testing.assert_array_equal(frame.get_dipole_moment(), [0, 1, 2])


class _Note:
    """A line in a file: workers are other processes."""

    def __init__(self, path):
        self.path = path

    def __call__(self):
        with self.path.open("a") as file:
            file.write("called\n")


def test_fragments_and_their_spins_are_part_of_what_is_solved(tmp_path):
    calls = tmp_path / "calls"
    frames = [chain(2, spin=0, fragment_charges=[0, 0], fragment_spins=s) for s in ([1, -1], [0, 0], [0, 0])]
    for frame, owner in zip(frames, ([0, 1], [0, 1], [1, 0]), strict=True):
        frame.arrays["fragment"] = np.array(owner)
    label_structures(frames, Chain({2: _Note(calls)}), tmp_path / "out.xyz")
    assert len(calls.read_text().split()) == 3


def test_what_fails_on_every_frame_is_said_once_and_leaves_nothing(tmp_path):
    out = tmp_path / "out.xyz"
    with pytest.raises(InputError, match="no basis for H"):
        label_structures([chain(1), chain(2)], Chain(wrong="no basis"), out)
    assert not list(tmp_path.iterdir())  # not even a claim: the corrected engine may have the place


def test_nothing_labelled_nothing_written(tmp_path):
    out = tmp_path / "out.xyz"
    outcome = label_structures([chain(1)], Chain({1: _raise_runtime_error}), out)
    assert outcome.labelled == 0
    assert not out.exists()


@pytest.mark.parametrize("workers", [0, -1])
def test_workers_are_counted_from_one(tmp_path, workers):
    with pytest.raises(InputError, match=f"at least 1 worker, not {workers}"):
        label_structures([chain(1)], Chain(), tmp_path / "out.xyz", workers=workers)


def test_a_place_that_cannot_be_written_is_refused_first(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "out.xyz.parts").touch()
    for out, said in (("file/out.xyz", "no folder"), ("gone/out.xyz", "mkdir -p"), ("out.xyz", "cannot write into")):
        with pytest.raises(InputError, match=said):
            label_structures([chain(1)], Chain(), tmp_path / out)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_is_refused_first(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        label_structures([chain(1)], Chain(), tmp_path / "out.xyz")


def test_stopping_waits_for_no_frame_and_keeps_the_finished(tmp_path):
    def stop(done, total):
        if done == 1:
            raise KeyboardInterrupt

    out, began = tmp_path / "out.xyz", time.monotonic()
    frames = [chain(n) for n in (1, 2, 3, 4)]
    with pytest.raises(KeyboardInterrupt):
        label_structures(frames, Chain(dict.fromkeys((2, 3, 4), _sleep)), out, workers=2, on_frame=stop)
    assert time.monotonic() - began < 30
    assert len(list(parts_folder(out).glob("*.xyz"))) == 1
    assert label_structures(frames, Chain(), out).labelled == 4
