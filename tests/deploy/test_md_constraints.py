"""Runs of structures that ASE's constraints hold, and of structures that move already."""

import ase
import ase.build
import ase.io
import ase.units
import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.constraints import (
    FixAtoms,
    FixBondLengths,
    FixCartesian,
    FixCom,
    FixConstraint,
    FixedPlane,
    Hookean,
    MirrorForce,
)

from farfield.deploy.md import run_md
from farfield.deploy.md_options import MDOptions
from farfield.deploy.velocities import temperature_of
from farfield.errors import InputError

HELD = {
    "FixAtoms": FixAtoms([0, 1, 2]),
    "FixCartesian": FixCartesian([0, 5], mask=(True, False, True)),
    "FixedPlane": FixedPlane([3, 4], (0, 0, 1)),
    "FixBondLengths": FixBondLengths([(0, 1), (2, 3)]),
    "FixCom": FixCom(),
    "Hookean": Hookean(a1=0, a2=7, rt=1.0, k=2.0),
}


def copper(*constraints):
    atoms = ase.build.bulk("Cu", cubic=True).repeat((2, 1, 1))
    atoms.rattle(0.05, seed=2)
    atoms.set_constraint(constraints)
    return atoms


class Bowl(Calculator):
    """Forces that know no history: neighbour lists sum in another order after a restart."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        r = self.atoms.positions
        self.results = {"energy": 1e-3 * (r**2).sum() + 1e-4 * (r**4).sum(), "forces": -2e-3 * r - 4e-4 * r**3}


def go(out, atoms, steps=20, calculator=None, **options):
    return run_md(
        atoms, calculator or EMT(), out, MDOptions(steps=steps, **{"timestep": 2.0, "every": 5, "seed": 3, **options})
    )


@pytest.mark.parametrize("name", HELD)
def test_a_restart_goes_on_to_the_bit(tmp_path, name):
    whole = go(tmp_path / "whole.traj", copper(HELD[name]), 30, Bowl())
    go(tmp_path / "parts.traj", copper(HELD[name]), 10, Bowl())
    parts = go(tmp_path / "parts.traj", copper(HELD[name]), 30, Bowl())
    np.testing.assert_array_equal(parts.positions, whole.positions)
    np.testing.assert_array_equal(parts.get_momenta(), whole.get_momenta())
    assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize("name", HELD)
def test_energy_is_conserved_and_the_first_temperature_is_the_one_asked_for(tmp_path, name):
    go(tmp_path / "md.traj", copper(HELD[name]), 60, timestep=1.0)
    log = np.genfromtxt(tmp_path / "md.csv", delimiter=",", names=True)
    assert log["temperature_K"][0] == pytest.approx(300, abs=1e-6)
    assert np.ptp(log["total_eV"]) < 2e-3


@pytest.mark.parametrize("ensemble", ["nve", "nvt"])
def test_fixed_atoms_never_move(tmp_path, ensemble):
    atoms = copper(FixAtoms([0, 1, 2]))
    go(tmp_path / "md.traj", atoms, ensemble=ensemble, every=1)
    for frame in ase.io.read(tmp_path / "md.traj", ":"):
        np.testing.assert_array_equal(frame.positions[:3], atoms.positions[:3])
        np.testing.assert_array_equal(frame.get_momenta()[:3], 0)
        kinetic = (frame.get_momenta()[3:] ** 2 / frame.get_masses()[3:, None]).sum() / 2
        assert frame.get_temperature() == pytest.approx(2 * kinetic / (15 * ase.units.kB))
    assert np.abs(frame.positions[3:] - atoms.positions[3:]).max() > 1e-2


@pytest.mark.slow
def test_a_thermostat_heats_the_free_atoms_to_its_temperature(tmp_path):
    go(tmp_path / "md.traj", copper(FixAtoms([0, 1, 2])), 6000, ensemble="nvt", friction=0.05, timestep=4.0)
    log = np.genfromtxt(tmp_path / "md.csv", delimiter=",", names=True)
    assert log["temperature_K"][100:].mean() == pytest.approx(300, rel=0.06)


def test_velocities_given_to_fixed_atoms_are_left_out(tmp_path):
    atoms = copper(FixAtoms([0]))
    atoms.set_momenta(np.ones((8, 3)), apply_constraint=False)
    go(tmp_path / "md.traj", atoms, 5)
    first = ase.io.read(tmp_path / "md.traj", 0)
    np.testing.assert_array_equal(first.get_momenta()[0], 0)
    np.testing.assert_array_equal(first.get_momenta()[1:], 1)
    assert temperature_of(atoms) == first.get_temperature()


OTHERS = [
    ((), (FixAtoms([0]),), "constraints was None, is FixAtoms #"),
    ((FixAtoms([0]),), (), "constraints was FixAtoms #.*, is None"),
    ((FixAtoms([0]),), (FixAtoms([0, 1]),), "constraints was FixAtoms #.*, is FixAtoms #"),
    ((FixBondLengths([(0, 1)]),), (FixBondLengths([(0, 1)], bondlengths=[2.0]),), "constraints was"),
    ((Hookean(0, 7, 2.0, 1.0),), (Hookean(0, 7, 2.0, 1.5),), "constraints was Hookean"),
]


@pytest.mark.parametrize(("before", "after", "said"), OTHERS)
def test_other_constraints_are_another_run(tmp_path, before, after, said):
    go(tmp_path / "md.traj", copper(*before), 5)
    with pytest.raises(InputError, match=f"another run: {said}"):
        go(tmp_path / "md.traj", copper(*after), 10)


def test_the_order_of_constraints_does_not_matter(tmp_path):
    go(tmp_path / "md.traj", copper(FixAtoms([0]), FixedPlane([1], (0, 0, 1))), 5)
    last = go(tmp_path / "md.traj", copper(FixedPlane([1], (0, 0, 1)), FixAtoms([0])), 10)
    assert last.info["step"] == 10


class Mine(FixConstraint):
    """Somebody's own, which ASE can neither write nor copy."""

    def get_removed_dof(self, atoms):
        return 0

    def copy(self):
        return self


@pytest.mark.parametrize(
    ("constraints", "options", "said"),
    [
        ((FixAtoms([0, 1]),), {"ensemble": "npt"}, r"npt .* constraints \(FixAtoms\): run nve or nvt"),
        ((FixCom(),), {"ensemble": "npt"}, r"npt .* constraints \(FixCom\)"),
        ((Mine(),), {}, "cannot write the constraint Mine"),
        ((MirrorForce(0, 1),), {}, "how many degrees of freedom MirrorForce takes"),
        ((FixAtoms(range(8)),), {}, r"\(FixAtoms\) leave no atom free to move"),
    ],
)
def test_what_cannot_be_held_is_said_before_anything_is_written(tmp_path, constraints, options, said):
    with pytest.raises(InputError, match=said):
        go(tmp_path / "md.traj", copper(*constraints), **options)
    assert not list(tmp_path.iterdir())


def test_masses_of_the_structure_count(tmp_path):
    atoms = copper()
    atoms.set_masses([2.014] * 8)
    go(tmp_path / "light.traj", atoms, 5)
    go(tmp_path / "heavy.traj", copper(), 5)
    light, heavy = (ase.io.read(tmp_path / f"{name}.traj", 0) for name in ("light", "heavy"))
    np.testing.assert_array_equal(light.get_masses(), 2.014)
    ratio = np.sqrt(2.014 / heavy.get_masses()[:, None])
    np.testing.assert_allclose(light.get_momenta(), ratio * heavy.get_momenta(), atol=1e-12)
