import itertools

import ase
import ase.build
import ase.calculators.fd
import ase.io
import ase.units
import numpy as np
import pytest
from ase.md.verlet import VelocityVerlet

import farfield as ff
from farfield.deploy.ase import FarfieldCalculator
from farfield.deploy.md import MDOptions, run_md
from farfield.errors import ConvergenceError, InputError


def calculator(kind="latent", **options):
    model = ff.new_model({"kind": kind}, species=["Na", "Cl"], seed=1, backbone={"channels": 8})
    return FarfieldCalculator(model, **options)


def crystal(rattle=0.05):
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms.rattle(rattle, seed=1)
    return atoms


@pytest.mark.parametrize("kind", ["short_range", "latent", "qeq"])
def test_ase_agrees_that_forces_and_stress_are_slopes(kind):
    atoms = crystal()
    atoms.calc = calculator(kind)
    numeric = ase.calculators.fd.calculate_numerical_forces(atoms, eps=1e-3, iatoms=[2])
    np.testing.assert_allclose(atoms.get_forces()[2], numeric[0], rtol=1e-4, atol=1e-4)
    stress = ase.calculators.fd.calculate_numerical_stress(atoms, eps=1e-4)
    np.testing.assert_allclose(atoms.get_stress(), stress, rtol=1e-3, atol=1e-4)


def test_reused_neighbours_change_nothing():
    """A walk with a skin against a fresh search at every step, through a breathing cell."""
    rng = np.random.default_rng(0)
    atoms, fresh = crystal(), crystal()
    atoms.calc, fresh.calc = calculator(skin=1.0), calculator(skin=0.0)
    lists = []
    for _ in range(25):
        atoms.positions += rng.normal(scale=0.06, size=atoms.positions.shape)
        atoms.set_cell(atoms.cell * (1 + rng.normal(scale=0.005)), scale_atoms=True)
        fresh.positions, fresh.cell = atoms.positions, atoms.cell
        assert atoms.get_potential_energy() == pytest.approx(fresh.get_potential_energy(), abs=1e-8)
        np.testing.assert_allclose(atoms.get_forces(), fresh.get_forces(), atol=1e-8)
        lists.append(atoms.calc.known)
    searches = 1 + sum(now is not before for before, now in itertools.pairwise(lists))
    assert 1 < searches < 20  # it did reuse, and it did search again


def test_an_atom_that_wraps_keeps_the_energy():
    atoms = crystal()
    atoms.calc = calculator()
    before = atoms.get_potential_energy()
    atoms.positions[0] += atoms.cell[0] - atoms.cell[2]
    assert atoms.get_potential_energy() == pytest.approx(before, abs=1e-8)


def test_a_new_total_charge_is_a_new_system():
    atoms = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.4]], info={"charge": 0})
    atoms.calc = calculator()
    neutral = atoms.get_potential_energy()
    assert atoms.get_charges().sum() == pytest.approx(0, abs=1e-10)
    atoms.info["charge"] = 1
    assert atoms.get_charges().sum() == pytest.approx(1)
    assert atoms.get_potential_energy() != neutral


def test_ase_names():
    pair = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.4]])
    pair.calc = calculator()
    charges = pair.get_charges()
    np.testing.assert_allclose(pair.get_dipole_moment(), charges @ pair.positions, atol=1e-12)
    assert pair.get_potential_energy(force_consistent=True) == pair.get_potential_energy()
    single = crystal()
    single.calc = calculator(dtype="float32")
    double = crystal()
    double.calc = calculator(dtype="float64")
    np.testing.assert_allclose(single.get_forces(), double.get_forces(), atol=2e-4)
    assert "charges" not in calculator("short_range").implemented_properties


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: calculator(dtype="half"), "float32"),
        (lambda: calculator(external_field=[0, 0, 0.1]), "external_field"),
        (lambda: FarfieldCalculator("nowhere.pt"), "no model at nowhere.pt"),
    ],
)
def test_what_it_cannot_do_is_said(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_unknown_element():
    atoms = ase.Atoms("KCl", [[0, 0, 0], [0, 0, 3]])
    atoms.calc = calculator()
    with pytest.raises(InputError, match="knows Na, Cl; it was not trained on K"):
        atoms.get_potential_energy()


def test_no_model_in_the_file(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"not a model")
    with pytest.raises(InputError, match="not a farfield model"):
        FarfieldCalculator(tmp_path / "model.pt")


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
    calc = calculator()
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
