import ase
import ase.io
import ase.units
import numpy as np
import pytest
from ase.md.verlet import VelocityVerlet

import farfield as ff
from farfield.deploy.ase import FarfieldCalculator
from farfield.deploy.md import run_md
from farfield.deploy.md_options import MDOptions
from farfield.errors import ConvergenceError, InputError


def pair():
    """Light charges on a soft spring: an untrained model is too rough to integrate."""
    from ase.calculators.lj import LennardJones

    atoms = ase.Atoms("Ar2", [[0, 0, 0], [0, 0, 3.9]])
    return atoms, LennardJones(sigma=3.4, epsilon=0.0104, rc=12.0)


def test_md_restarts_where_it_was(tmp_path):
    """In NVE the interrupted run ends in the same place as the uninterrupted one."""
    atoms, lj = pair()
    options = MDOptions(steps=40, timestep=2.0, temperature=40.0, every=5, seed=3)
    whole = run_md(atoms, lj, tmp_path / "whole.traj", options)
    run_md(atoms, lj, tmp_path / "parts.traj", MDOptions(steps=15, timestep=2.0, temperature=40.0, every=5, seed=3))
    parts = run_md(atoms, lj, tmp_path / "parts.traj", options)
    np.testing.assert_allclose(parts.positions, whole.positions, atol=1e-12)
    assert (tmp_path / "parts.csv").read_text() == (tmp_path / "whole.csv").read_text()
    frames = ase.io.read(tmp_path / "parts.traj", ":")
    assert [frame.info["step"] for frame in frames] == list(range(0, 41, 5))


def test_md_conserves_energy(tmp_path):
    atoms, lj = pair()
    run_md(atoms, lj, tmp_path / "md.traj", MDOptions(steps=200, timestep=2.0, temperature=40.0, every=10))
    energies = np.genfromtxt(tmp_path / "md.csv", delimiter=",", names=True)["total_eV"]
    assert np.ptp(energies) < 1e-5


def test_md_of_a_model_follows_its_forces(tmp_path):
    """One step of velocity Verlet by hand."""
    atoms = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 3.2]])
    model = ff.new_model({"kind": "latent"}, species=["Na", "Cl"], seed=1, backbone={"channels": 8})
    calc = FarfieldCalculator(model)
    atoms.calc = calc
    forces, masses, dt = atoms.get_forces(), atoms.get_masses()[:, None], 0.1 * ase.units.fs
    atoms.set_velocities(np.zeros((2, 3)))
    VelocityVerlet(atoms, dt).run(1)
    np.testing.assert_allclose(atoms.positions - [[0, 0, 0], [0, 0, 3.2]], 0.5 * dt**2 * forces / masses, atol=1e-12)


def test_md_of_other_atoms_is_not_appended(tmp_path):
    atoms, lj = pair()
    run_md(atoms, lj, tmp_path / "md.traj", MDOptions(steps=5, every=5))
    with pytest.raises(InputError, match="choose another --out"):
        run_md(ase.Atoms("Ar3", np.eye(3) * 4), lj, tmp_path / "md.traj", MDOptions(steps=5, every=5))


def test_md_that_explodes_stops(tmp_path):
    atoms, lj = pair()
    atoms.positions[1] = [0, 0, 1.0]
    with pytest.raises(ConvergenceError, match="left what the model"):
        run_md(atoms, lj, tmp_path / "md.traj", MDOptions(steps=500, timestep=5.0, every=5))


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"timestep": -1.0}, {"ensemble": "nvx"}, {"temperature": -1.0}])
def test_bad_options(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        MDOptions(**wrong)


def test_npt_needs_a_crystal(tmp_path):
    atoms, lj = pair()
    with pytest.raises(InputError, match="periodic"):
        run_md(atoms, lj, tmp_path / "md.traj", MDOptions(ensemble="npt", steps=5))
