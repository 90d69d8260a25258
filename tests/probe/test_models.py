"""Our own models on trial: short_range breaks exactly the laws of the long range; the others keep to consistency."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

import farfield as ff
from farfield.deploy.ase import FarfieldCalculator
from farfield.probe import LAWS, CalculatorSubject, ModelSubject, scorecard
from farfield.probe.law import CONSISTENCY

LONG_RANGE = {"charge_charge", "charge_dipole", "dipole_dipole", "lo_to"}
CONSISTENT = [law.name for law in LAWS.values() if law.chapter == CONSISTENCY]


def model(kind, species=("Na", "Cl"), **options):
    return ff.new_model({"kind": kind, **options}, species=species, seed=1, backbone={"channels": 8})


def statuses(card):
    return {f.law: f.status for f in card.findings}


def test_short_range_breaks_exactly_the_laws_of_the_long_range():
    card = scorecard(ModelSubject.of(model("short_range")), fast=True)
    assert {f.law for f in card.failed} == LONG_RANGE
    assert all("short-ranged" in f.explanation for f in card.failed)
    assert statuses(card)["cost"] == "info"


@pytest.mark.parametrize("kind", ["charges", "latent", "qeq"])
def test_models_with_charges_are_consistent(kind):
    card = scorecard(
        ModelSubject.of(model(kind)), fast=True, laws=[*CONSISTENT, "supercell", "smoothness", "cell_smoothness"]
    )
    assert not card.failed


@pytest.mark.parametrize("conservation", ["shift", "bond", "fixed"])
def test_energies_are_those_of_latent_charges(conservation):
    laws = ["charge_charge", "charge_dipole", "dipole_dipole", "lo_to"]
    card = scorecard(ModelSubject.of(model("latent", conservation=conservation)), fast=True, laws=laws)
    assert set(statuses(card).values()) == {"pass"}


def test_charge_that_flows_is_found_out():
    card = scorecard(ModelSubject.of(model("qeq")), fast=True, laws=["dissociation", "induced_dipole", "lo_to"])
    assert set(statuses(card).values()) == {"fail"}
    assert "charge flow at any distance" in card.failed[0].explanation


def test_covalent_elements_have_laws_too():
    """No salt, no ions: random structures, water, and reasons for the rest."""
    card = scorecard(ModelSubject.of(model("short_range", ("H", "C", "O"))), fast=True)
    said = statuses(card)
    assert said["force"] == said["stress"] == said["supercell"] == "pass"
    assert said["dipole_dipole"] == "fail"
    assert said["lo_to"] == said["slab"] == "skip"
    reasons = {f.law: f.explanation for f in card.findings}
    assert "no rock salt" in reasons["lo_to"]
    assert "--fragments" in reasons["charge_charge"]


def test_fragments_of_the_users_own():
    from ase import Atoms

    ion = Atoms("H4N", [[0.6, 0.6, 0.6], [-0.6, -0.6, 0.6], [-0.6, 0.6, -0.6], [0.6, -0.6, -0.6], [0, 0, 0]])
    other = Atoms("OH", [[0, 0, 0], [0, 0, 0.97]])
    ion.info["charge"], other.info["charge"] = 1, -1
    card = scorecard(
        ModelSubject.of(model("latent", ("H", "N", "O"))), fast=True, laws=["charge_charge"], fragments=[ion, other]
    )
    (found,) = card.findings
    assert found.status == "pass"
    assert found.what.startswith("NH4+ and OH-") or found.what.startswith("H4N+ and")


def test_an_ase_calculator_is_judged_as_the_model_behind_it():
    ours = model("latent")
    laws = ["force", "stress", "rotation", "total_charge", "charge_charge", "batch"]
    calculator = CalculatorSubject(FarfieldCalculator(ours, dtype="float64"), "ours", ours.species, 10.0, 5.0)
    through, direct = (scorecard(s, fast=True, laws=laws) for s in (calculator, ModelSubject.of(ours)))
    assert statuses(through) == {**statuses(direct), "batch": "skip"}
    assert through.findings[0].found == pytest.approx(direct.findings[0].found, abs=1e-6)


def test_single_precision_is_forgiven():
    """Rounding is no broken law."""
    ours = model("short_range")
    calculator = CalculatorSubject(FarfieldCalculator(ours, dtype="float32"), "ours", ours.species, 10.0, 5.0)
    assert not scorecard(calculator, fast=True, laws=["force", "stress", "rotation", "translation"]).failed


def test_classical_calculators():
    copper = bulk("Cu", cubic=True)
    copper.rattle(0.1, seed=2)
    laws = ["force", "stress", "rotation", "permutation", "supercell", "charge_charge", "lo_to"]
    card = scorecard(CalculatorSubject(EMT(), "EMT", (29,)), fast=True, laws=laws, structures=[copper])
    assert not card.failed
    assert statuses(card)["charge_charge"] == "skip"
    truncated = CalculatorSubject(LennardJones(sigma=2.5, epsilon=0.1, rc=6.0, smooth=False), "LJ", (18,))
    assert not scorecard(truncated, fast=True, laws=["rotation"]).failed


def test_a_model_that_refuses_is_skipped_with_its_reason():
    card = scorecard(CalculatorSubject(EMT(), "EMT", (11, 17)), fast=True, laws=["force"])
    assert card.findings[0].status == "skip"
    assert "EMT gave up on" in card.findings[0].explanation


def test_steps_are_told_from_steep_places():
    from farfield.probe.measures.smooth import largest_steps

    def function(x):
        return [np.exp(-8 * x) + 1e-4 * (x > 0.503), np.exp(-8 * x)]

    _, (step, none) = largest_steps(function, np.arange(0, 1, 0.01))
    assert step.size == pytest.approx(1e-4, rel=0.02)
    assert step.at == pytest.approx(0.5, abs=0.03)
    assert none.size < 1e-7


def test_induced_dipoles_are_judged_by_the_models_own_polarizability():
    induced = model("polarizable", conservation="fixed", formal_charges={"Na": 1.0, "Cl": 0.0})
    card = scorecard(ModelSubject.of(induced), fast=True, laws=["induced_dipole"])
    assert statuses(card) == {"induced_dipole": "pass"}
    rigid = model("charges", conservation="fixed", formal_charges={"Na": 1.0, "Cl": 0.0})
    card = scorecard(ModelSubject.of(rigid), fast=True, laws=["induced_dipole"])
    assert statuses(card) == {"induced_dipole": "skip"}


@pytest.mark.parametrize("conservation", ["shift", "bond"])
def test_permanent_dipoles_count_as_they_are_in_the_pair(conservation):
    options = {"conservation": conservation, "residual_weight": 0.0}
    card = scorecard(
        ModelSubject.of(model("polarizable", **options)), fast=True, laws=["charge_dipole", "dipole_dipole"]
    )
    assert set(statuses(card).values()) == {"pass"}
