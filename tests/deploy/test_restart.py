"""Trajectories of others are left alone; one's own goes on from its last whole frame, however it ended."""

import json
import signal
import subprocess
import sys
import time

import ase
import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from farfield.deploy.md import NPT_RESTART, run_md
from farfield.deploy.md_options import MDOptions
from farfield.deploy.restart import whole_frames
from farfield.errors import InputError

BASE = {"timestep": 2.0, "temperature": 40.0, "every": 5, "seed": 3}


def argon(distance=3.9, **info):
    return ase.Atoms("Ar2", [[0, 0, 0], [0, 0, distance]], info=info)


def springs():
    return LennardJones(sigma=3.4, epsilon=0.0104, rc=12.0)


def go(out, steps, atoms=None, calculator=None, **options):
    return run_md(atoms or argon(), calculator or springs(), out, MDOptions(steps=steps, **{**BASE, **options}))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


OTHERS = {
    "another structure": ({"atoms": argon(4.0)}, "positions was #.*, is #"),
    "other elements": ({"atoms": ase.Atoms("ArNe", [[0, 0, 0], [0, 0, 3.9]])}, "atoms was Ar2, is ArNe"),
    "another order": ({"atoms": ase.Atoms("Ar2", [[0, 0, 3.9], [0, 0, 0]])}, "positions"),
    "a cell": ({"atoms": ase.Atoms("Ar2", [[0, 0, 0], [0, 0, 3.9]], cell=[9, 9, 9])}, "cell was"),
    "another charge": ({"atoms": argon(charge=1)}, "charge was 0, is 1"),
    "another spin": ({"atoms": argon(spin=2)}, "spin was 0, is 2"),
    "a field": ({"atoms": argon(external_field=[0, 0, 0.1])}, r"external_field was None, is \[0.0, 0.0, 0.1\]"),
    "another model": ({"calculator": EMT()}, "model was LennardJones, is EMT"),
    "another ensemble": ({"ensemble": "nvt"}, "ensemble was nve, is nvt"),
    "another timestep": ({"timestep": 1.0}, "timestep was 2.0, is 1.0"),
    "another temperature": ({"temperature": 50.0}, "temperature was 40.0, is 50.0"),
    "another seed": ({"seed": 4}, "seed was 3, is 4"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_run_is_refused_and_nothing_is_touched(tmp_path, name):
    change, said = OTHERS[name]
    go(tmp_path / "md.traj", 10)
    before = contents(tmp_path)
    with pytest.raises(InputError, match=rf"(?s)another run: .*{said}.*choose another --out"):
        go(tmp_path / "md.traj", 20, **change)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(("ensemble", "other"), [("nvt", {"friction": 0.02}), ("npt", {"pressure": 1.0})])
def test_what_the_ensemble_reads_must_stay(tmp_path, ensemble, other):
    atoms, options = ase.build.bulk("Cu", cubic=True), {"ensemble": ensemble, "every": 1}
    go(tmp_path / "md.traj", 1, atoms, EMT(), **options)
    with pytest.raises(InputError, match=next(iter(other))):
        go(tmp_path / "md.traj", 2, atoms, EMT(), **options, **other)


def test_what_the_ensemble_does_not_read_may_change(tmp_path):
    go(tmp_path / "md.traj", 10)
    go(tmp_path / "md.traj", 20, friction=0.5, pressure=2.0, every=10)
    assert [frame.info["step"] for frame in ase.io.read(tmp_path / "md.traj", ":")] == [0, 5, 10, 20]


@pytest.mark.parametrize("name", ["md.traj", "md.csv", "md.json"])
def test_files_of_others_stay(tmp_path, name):
    """A trajectory without a step, a table, an ASE database: all may be somebody's only copy."""
    if name == "md.traj":
        ase.io.write(tmp_path / name, [argon(), argon(4.0)])
    else:
        (tmp_path / name).write_text('{"1": {"numbers": [18]}}')
    before = contents(tmp_path)
    with pytest.raises(InputError, match="choose another --out"):
        go(tmp_path / "md.traj", 5)
    assert contents(tmp_path) == before


def test_a_foreign_trajectory_put_in_place_stays(tmp_path):
    go(tmp_path / "md.traj", 5)
    for frames in ([argon(), argon(4.0)], [argon(4.0, step=0), argon(4.1, step=5)]):
        ase.io.write(tmp_path / "md.traj", frames)
        before = contents(tmp_path)
        with pytest.raises(InputError, match="choose another --out"):
            go(tmp_path / "md.traj", 10)
        assert contents(tmp_path) == before


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_the_trajectory_is_not_its_own_log(tmp_path, suffix):
    with pytest.raises(InputError, match=r"md\.traj"):
        go(tmp_path / f"md.{suffix}", 5)


def test_what_is_wrong_with_the_structure_leaves_no_files(tmp_path):
    with pytest.raises(NotImplementedError):
        go(tmp_path / "md.traj", 5, ase.Atoms("Cs2", np.eye(3)[:2] * 3), EMT())
    assert not list(tmp_path.iterdir())


def test_charge_and_spin_stay_with_the_frames(tmp_path):
    for steps in (5, 10):
        last = go(tmp_path / "md.traj", steps, argon(charge=np.float64(1), spin=1, note="kept"))
        assert (last.info["charge"], last.info["spin"]) == (1, 1)
    for frame in ase.io.read(tmp_path / "md.traj", ":"):
        assert (frame.info["charge"], frame.info["spin"], frame.info["note"]) == (1, 1, "kept")


def test_time_goes_on(tmp_path):
    for steps in (10, 20, 30):
        go(tmp_path / "md.traj", steps)
    log = np.genfromtxt(tmp_path / "md.csv", delimiter=",", names=True)
    np.testing.assert_allclose(log["time_ps"], 0.002 * np.arange(0, 31, 5))


def test_npt_says_what_it_lost(tmp_path):
    said, atoms = [], ase.build.bulk("Cu", cubic=True)
    for steps in (1, 2, 2):
        options = MDOptions(steps=steps, ensemble="npt", every=1)
        run_md(atoms, EMT(), tmp_path / "md.traj", options, on_note=said.append)
    assert said == [NPT_RESTART]


@pytest.mark.parametrize("frames", [1, 2, 3, 42, 43, 44])  # where the index of the trajectory grows, and beside it
def test_a_torn_trajectory_goes_on_from_its_last_whole_frame(tmp_path, frames):
    """Cut anywhere, it comes to the same end; in NVE that is the uninterrupted one."""
    whole = go(tmp_path / "whole.traj", frames + 2, every=1)
    go(tmp_path / "md.traj", max(frames - 1, 1), every=1)
    content, log = (tmp_path / "md.traj").read_bytes(), (tmp_path / "whole.csv").read_bytes()
    size = len(content)
    for cut in {0, 30, 47, 50, 300, size // 2, size - 900, size - 340, size - 100, size - 9, size - 1}:
        (tmp_path / "md.traj").write_bytes(content[: max(cut, 0)])
        last = go(tmp_path / "md.traj", frames + 2, every=1)
        np.testing.assert_allclose(last.positions, whole.positions, atol=1e-12)
        stored = ase.io.read(tmp_path / "md.traj", ":")
        assert [frame.info["step"] for frame in stored] == list(range(frames + 3))
        assert (tmp_path / "md.csv").read_bytes() == log


def test_only_the_torn_frame_is_lost(tmp_path):
    go(tmp_path / "md.traj", 50)
    before = ase.io.read(tmp_path / "md.traj", ":")
    content = (tmp_path / "md.traj").read_bytes()
    (tmp_path / "md.traj").write_bytes(content[:-5])
    assert whole_frames(tmp_path / "md.traj") == len(before) - 1
    for kept, frame in zip(ase.io.read(tmp_path / "md.traj", ":"), before):
        np.testing.assert_array_equal(kept.get_momenta(), frame.get_momenta())
        assert kept.get_potential_energy() == frame.get_potential_energy()


@pytest.mark.parametrize("cut", [0, 20, 60, -1, -3, -40, -90])
def test_a_torn_log_is_made_whole_from_the_frames(tmp_path, cut):
    go(tmp_path / "whole.traj", 40)
    go(tmp_path / "md.traj", 20)
    log = tmp_path / "md.csv"
    log.write_bytes(log.read_bytes()[:cut])
    go(tmp_path / "md.traj", 40)
    assert log.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_kill_before_the_first_frame_is_no_obstacle(tmp_path):
    go(tmp_path / "whole.traj", 10)
    identity = json.loads((tmp_path / "whole.json").read_text())
    (tmp_path / "md.json").write_text(json.dumps(identity))
    (tmp_path / "md.csv").write_text("step,time_ps\n")
    go(tmp_path / "md.traj", 10)
    assert (tmp_path / "md.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


KILLED = """
from pathlib import Path
import ase
from ase.calculators.lj import LennardJones
from farfield.deploy.md import run_md
from farfield.deploy.md_options import MDOptions
atoms = ase.Atoms("Ar2", [[0, 0, 0], [0, 0, 3.9]])
options = MDOptions(steps=10**7, timestep=2.0, temperature=40.0, every=1, seed=3)
run_md(atoms, LennardJones(sigma=3.4, epsilon=0.0104, rc=12.0), Path("md.traj"), options)
"""


@pytest.mark.slow
def test_killed_for_good(tmp_path):
    """SIGKILL in the middle of writing, again and again: steps and rows go on without a gap or a repetition."""
    seen = 0
    for _ in range(4):
        run = subprocess.Popen([sys.executable, "-c", KILLED], cwd=tmp_path)
        log, until = tmp_path / "md.csv", time.monotonic() + 60
        while (not log.exists() or log.read_bytes().count(b"\n") < seen + 40) and time.monotonic() < until:
            time.sleep(0.003)
        run.send_signal(signal.SIGKILL)
        run.wait()
        now = log.read_bytes().count(b"\n")
        assert now >= seen + 40
        seen = now
    done = ase.io.read(tmp_path / "md.traj", -1).info["step"]
    last = go(tmp_path / "md.traj", done + 10, every=1)
    steps = [frame.info["step"] for frame in ase.io.read(tmp_path / "md.traj", ":")]
    assert steps == list(range(done + 11))
    whole = go(tmp_path / "whole.traj", done + 10, every=1)
    np.testing.assert_allclose(last.positions, whole.positions, atol=1e-9)
    rows = np.genfromtxt(tmp_path / "md.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(rows["step"], steps)
