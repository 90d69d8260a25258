"""Dipoles, Born charges and polarizabilities against closed forms and other ways to the same number."""

import math
from dataclasses import replace

import ase
import ase.build
import numpy as np
import pytest
import torch

import farfield as ff
from farfield.derive import with_derivatives
from farfield.errors import InputError
from farfield.field import dielectric_tensor, dipole_of_charges
from farfield.system import System, concatenate
from farfield.testing.structures import crystal, molecule, one_atom, slab, wire
from farfield.units import COULOMB

FIELD = torch.tensor([[0.03, -0.08, 0.05]], dtype=torch.float64)
EYE = torch.eye(3, dtype=torch.float64)


def model_of(kind="latent", conservation=None, species=("Na", "Cl"), **backbone):
    config = {"kind": kind} | ({"conservation": conservation} if conservation else {})
    return ff.new_model(config, species=species, seed=3, backbone={"channels": 8, **backbone}).eval()


def salt(**info):
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.info |= info
    return atoms


def in_field(system, field=FIELD):
    return replace(system, external_field=field.expand(system.n_systems, 3))


def test_rigid_ions_have_the_charge_they_have():
    """Z = q 1, whatever the periodicity; forces in a field are q E, and stress at fixed voltages does not change."""
    model = model_of(conservation="fixed")
    atoms = salt()
    for pbc in (True, (True, True, False), (False, True, False), False):
        atoms.pbc = pbc
        system = System.from_ase(atoms)
        out = model(system, {"forces", "born_charges"})
        torch.testing.assert_close(out.born_charges, out.charges[:, None, None] * EYE, rtol=0, atol=1e-13)
        pulled = model(in_field(system)).forces - out.forces
        torch.testing.assert_close(pulled, out.charges[:, None] * FIELD, rtol=0, atol=1e-12)
    atoms.pbc = True
    system = System.from_ase(atoms)
    stresses = [model(s, {"stress"}).stress for s in (system, in_field(system))]
    torch.testing.assert_close(*stresses, rtol=0, atol=1e-14)


def test_two_equilibrated_atoms_polarize_as_the_closed_form():
    """α = R²/(J₁ + J₂ - 2A₁₂) along the axis, 0 across it; J with the Gaussians' self-energy."""
    model = ff.new_model({"kind": "qeq", "width": 0.8, "coulomb_error": 1e-9}, species=["Na", "Cl"], seed=1)
    distance = 2.4
    system = System.from_ase(ase.Atoms("NaCl", [[0, 0, 0], [0, 0, distance]]))
    hardness = model.paradigm.log_hardness.detach().exp()[[11, 17]]
    stiffness = float(hardness.sum()) + 2 * COULOMB / (0.8 * math.sqrt(math.pi))
    between = COULOMB * math.erf(distance / math.sqrt(2 * (0.8**2 + 0.8**2))) / distance
    found = model(system, {"polarizability"}).polarizability[0]
    expected = torch.diag(torch.tensor([0, 0, distance**2 / (stiffness - 2 * between)], dtype=torch.float64))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    # F(E) = F(0) - d·E - ½ E·α·E exactly: the functional is quadratic
    dipole, pull = model(system, {"dipole"}).dipole[0], FIELD[0]
    change = model(in_field(system), {"energy"}).energy - model(system, {"energy"}).energy
    torch.testing.assert_close(change[0], -dipole @ pull - 0.5 * pull @ expected @ pull, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["charges", "qeq"])
def test_an_ion_feels_its_charge_times_the_field(kind):
    """ΣF = Q E, and the energy of a charged molecule changes by -Q E·t when it is moved by t."""
    model = model_of(kind)
    system = System.from_ase(ase.Atoms("Na2Cl", [[0, 0, 0], [0, 0, 2.5], [2.2, 0, 1]], info={"charge": 1}))
    out = model(in_field(system), {"energy", "forces"})
    torch.testing.assert_close(out.forces.sum(0), FIELD[0], rtol=0, atol=1e-10)
    by = torch.tensor([1.0, 2.0, -3.0], dtype=torch.float64)
    moved = model(in_field(system.with_positions(system.positions + by)), {"energy"})
    assert (moved.energy - out.energy).item() == pytest.approx(-float(by @ FIELD[0]), abs=1e-9)


@pytest.mark.parametrize("conservation", ["bond", "fixed"])
def test_moving_the_origin_and_wrapping_change_nothing_but_the_branch(conservation):
    model = model_of(conservation=conservation)
    system = in_field(System.from_ase(salt()))
    want = {"energy", "forces", "stress", "born_charges", "polarization"}
    here = model(system, want)
    moved = model(system.with_positions(system.positions + 0.7), want)
    for name in want:
        torch.testing.assert_close(getattr(moved, name), getattr(here, name), rtol=1e-9, atol=1e-9)
    positions = system.positions.clone()
    positions[1] += system.cell[0, 2]  # a chloride
    wrapped = model(system.with_positions(positions), want)
    for name in ("forces", "stress", "born_charges"):
        torch.testing.assert_close(getattr(wrapped, name), getattr(here, name), rtol=0, atol=1e-10)
    quantum = (wrapped.polarization - here.polarization)[0] * system.volume()[0]
    torch.testing.assert_close(quantum, -system.cell[0, 2], rtol=0, atol=1e-12)
    assert (wrapped.energy - here.energy).item() == pytest.approx(float(system.cell[0, 2] @ FIELD[0]), abs=1e-9)


def test_the_slope_of_the_bonds_dipole_is_the_formula_along_nearest_images():
    """In a cell wider than twice what a charge sees, Z = q 1 + Σ (R_j - R_i) ⊗ ∂q_j/∂R_i, another way to the number."""
    model = model_of(conservation="bond", layers=1, cutoff=3.0)
    cell = np.array([[13.5, 0, 0], [2.0, 13.5, 0], [-1.0, 3.0, 14.0]])
    places = np.random.default_rng(0).uniform(size=(4, 3)) @ cell
    around = np.array([[0, 0, 0], [1.8, 1.0, 1.1], [-1.4, 1.5, 0.9], [0.5, -1.4, 2.0]])
    ions = (around[:, None] + places).reshape(-1, 3)
    system = System.from_ase(ase.Atoms("Na4Cl4Na4Cl4", ions, cell=cell, pbc=True))

    def of_charges(system):
        found = model._predict(system)
        return replace(found, dipole=dipole_of_charges(found.charges, system))

    slope = model(system, {"born_charges"}).born_charges
    formula = with_derivatives(
        of_charges, system, frozenset({"born_charges"}), single_valued=False, create_graph=False
    ).born_charges
    assert (slope - model(system, {"charges"}).charges[:, None, None] * EYE).abs().max() > 1e-3
    torch.testing.assert_close(formula, slope, rtol=0, atol=1e-12)


def test_bond_born_charges_of_a_crystal_obey_the_sum_rule_and_those_of_a_shift_do_not():
    system = System.from_ase(salt())
    sums = {
        conservation: model_of(conservation=conservation)(system, {"born_charges"}).born_charges.sum(0).abs().max()
        for conservation in ("bond", "shift")
    }
    assert sums["bond"] < 1e-12
    assert sums["shift"] > 1e-3  # an untrained one: what is left tells how far to trust it


@pytest.mark.parametrize("kind", ["latent", "qeq"])
def test_born_charges_of_a_batch_are_those_one_by_one(kind):
    model = model_of(kind, species=("H", "O", "Na", "Cl"))
    members = [molecule(model), crystal(model, atoms=5), slab(model), one_atom(model), wire(model)]
    together = model(in_field(concatenate(members)), {"forces", "born_charges"})
    alone = [model(in_field(member), {"forces", "born_charges"}) for member in members]
    for name in ("forces", "born_charges"):
        apart = torch.cat([getattr(out, name) for out in alone])
        torch.testing.assert_close(getattr(together, name), apart, rtol=1e-9, atol=1e-9)


def test_a_batch_with_and_without_field():
    model = model_of(conservation="bond")
    free, pulled = System.from_ase(salt()), System.from_ase(salt(external_field=FIELD[0].tolist()))
    together = model(concatenate([free, pulled]), {"energy", "forces", "stress"})
    for name in ("energy", "forces", "stress"):
        alone = torch.cat([getattr(model(s, {"energy", "forces", "stress"}), name) for s in (free, pulled)])
        torch.testing.assert_close(getattr(together, name), alone, rtol=1e-10, atol=1e-10)


def test_forces_can_be_differentiated_by_the_field():
    """∂F/∂E by autograd is Z: forces in a field stay differentiable in it."""
    model = model_of(conservation="bond")
    system = System.from_ase(salt())
    field = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    forces = model(replace(system, external_field=field)).forces
    (slope,) = torch.autograd.grad(forces[2, 1], field)
    torch.testing.assert_close(slope[0], model(system, {"born_charges"}).born_charges[2, :, 1], rtol=0, atol=1e-10)


def test_single_precision():
    system = in_field(System.from_ase(salt()))
    for model in (model_of(conservation="bond"), model_of("qeq")):
        exact = model(system, {"forces", "born_charges"})
        single = model.float()(system, {"forces", "born_charges"})
        torch.testing.assert_close(single.born_charges.double(), exact.born_charges, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(single.forces.double(), exact.forces, rtol=1e-3, atol=1e-3)


def test_what_is_not_defined_is_nan():
    system = concatenate([System.from_ase(salt()), System.from_ase(ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.4]]))])
    out = model_of(conservation="bond")(system, {"dipole", "polarization"})
    assert out.dipole.isnan().all(1).tolist() == [True, False]
    assert out.polarization.isnan().all(1).tolist() == [False, True]
    polarizability = model_of("qeq")(system, {"polarizability"}).polarizability
    assert polarizability.isnan().all(2).all(1).tolist() == [True, False]


def test_dielectric_tensor_is_clausius_mossottis_where_the_field_is_the_macroscopic_one():
    """χ = α/V with α the answer to the field inside: ε = 1 + 4πK α/V."""
    system = concatenate([System.from_ase(salt()), System.from_ase(ase.Atoms("Na"))])
    found = dielectric_tensor(0.5 * EYE.expand(2, 3, 3), system)
    expected = 1 + 4 * math.pi * COULOMB * 0.5 / 5.64**3
    torch.testing.assert_close(found[0], expected * EYE)
    assert found[1].isnan().all()


@pytest.mark.parametrize(
    ("model", "info", "want", "said"),
    [
        (("short_range",), {"external_field": [0, 0, 1]}, {"energy"}, "short_range takes no external_field.*latent"),
        (("latent",), {"fermi_level": -4.0}, {"energy"}, "takes no fermi_level.*qeq"),
        (("latent",), {"electrode_potentials": [0, 0]}, {"energy"}, "takes no electrode_potentials"),
        (("qeq",), {"displacement_field": [0, 0, 0]}, {"energy"}, "takes no displacement_field.*none does yet"),
        (("latent",), {"external_field": [0, 0, 1]}, {"stress"}, "conservation: bond or fixed"),
        (("qeq",), {"external_field": [0, 0, 1]}, {"stress"}, "conservation: bond or fixed"),
        (("latent",), {}, {"polarization"}, "latent gives .* not .*polarization"),
        (("latent", "bond"), {}, {"polarizability"}, "latent gives .* not .*polarizability"),
    ],
)
def test_what_a_model_cannot_be_asked_is_said(model, info, want, said):
    with pytest.raises(InputError, match=said):
        model_of(*model)(System.from_ase(salt(**info)), want)
