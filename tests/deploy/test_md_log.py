"""The log of a run whose calculator tells the electrostatic part of the energy, from one end to the other."""

import ase
import ase.io
import numpy as np
import pytest
from ase.calculators.lj import LennardJones

from farfield.deploy.md import run_md
from farfield.deploy.md_options import MDOptions
from farfield.units import COULOMB

PLAIN = "step,time_ps,temperature_K,potential_eV,total_eV,volume_A3"


class Ions(LennardJones):
    """Springs that say of themselves what two charges of ±1 e would have."""

    identity = "LennardJones"

    def calculate(self, *args, **options):
        super().calculate(*args, **options)
        self.results["energy_coulomb"] = -COULOMB / self.atoms.get_distance(0, 1)


def go(out, steps, calculator=Ions):
    atoms = ase.Atoms("Ar2", [[0, 0, 0], [0, 0, 3.9]])
    run_md(atoms, calculator(sigma=3.4, epsilon=0.0104, rc=12.0), out, MDOptions(steps=steps, timestep=2.0, every=5))
    return np.genfromtxt(out.with_suffix(".csv"), delimiter=",", names=True)


def expected(out):
    return [-COULOMB / frame.get_distance(0, 1) for frame in ase.io.read(out, ":")]


def test_every_row_and_every_frame_tells_it(tmp_path):
    log = go(tmp_path / "md.traj", 20)
    assert len(log) == 5
    np.testing.assert_allclose(log["energy_coulomb_eV"], expected(tmp_path / "md.traj"), rtol=1e-9)
    frames = ase.io.read(tmp_path / "md.traj", ":")
    np.testing.assert_allclose([frame.info["energy_coulomb"] for frame in frames], expected(tmp_path / "md.traj"))


@pytest.mark.parametrize("cut", [0, 50, 120, -4, -30])
def test_a_torn_log_has_it_again_after_a_restart(tmp_path, cut):
    go(tmp_path / "whole.traj", 40)
    go(tmp_path / "md.traj", 20)
    log = tmp_path / "md.csv"
    log.write_bytes(log.read_bytes()[:cut])
    go(tmp_path / "md.traj", 40)
    assert log.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_run_begun_without_it_goes_on_with_it(tmp_path):
    """As logs of an earlier version do: the rows that were written before say nan, and nothing else of them changes."""
    plain = go(tmp_path / "md.traj", 20, LennardJones)
    assert (tmp_path / "md.csv").read_text().startswith(f"{PLAIN}\n")
    log = go(tmp_path / "md.traj", 40)
    assert (tmp_path / "md.csv").read_text().startswith(f"{PLAIN},energy_coulomb_eV\n")
    assert np.isnan(log["energy_coulomb_eV"][:5]).all()
    np.testing.assert_allclose(log["energy_coulomb_eV"][5:], expected(tmp_path / "md.traj")[5:], rtol=1e-9)
    for name in PLAIN.split(","):
        np.testing.assert_array_equal(log[name][:5], plain[name])


def test_a_finished_run_is_left_as_it_is(tmp_path):
    go(tmp_path / "md.traj", 20)
    before = (tmp_path / "md.csv").read_bytes()
    go(tmp_path / "md.traj", 20)
    assert (tmp_path / "md.csv").read_bytes() == before
