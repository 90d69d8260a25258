"""Every law is held by ions that obey it, and each planted fault is named by the right law alone."""

import json
import math
import re

import numpy as np
import pytest

from farfield.errors import InputError
from farfield.probe import LAWS, scorecard

FULL = tuple(name for name in LAWS if name != "cost")
QUICK = tuple(name for name in FULL if name != "smoothness")  # which takes longer than all the others
REFERENCE_SPLITTING = 71.592  # THz², 4πK/(μv) of rigid-ion NaCl at 5.6165 Å
REFERENCE_CONSTANT = 5.6165  # Å, by LAMMPS


def judged(subject, *laws, **options):
    return scorecard(subject, laws=laws or FULL, fast=True, **options)


def finding(card, law):
    return next(f for f in card.findings if f.law == law)


def test_ions_obey_every_law(ions):
    card = judged(ions())
    assert [f.law for f in card.failed] == []
    skipped = {f.law for f in card.findings if f.status == "skip"}
    assert skipped == {"induced_dipole", "image_charge", "screening"}
    assert all(f.explanation.endswith(".") for f in card.findings)


PLANTED = [
    ("no dq/dR", {"force"}, "dq/dR"),
    ("stress sign", {"stress"}, "wrong sign"),
    ("cut off", {"charge_charge", "charge_dipole", "dipole_dipole", "lo_to"}, "short-ranged"),
    ("not neutral", {"total_charge"}, r"\+0.0080 e where the total is \+0 e: charge is not conserved"),
    ("rotation", {"rotation"}, "axes of the laboratory"),
    ("mirror", {"reflection"}, "triple product"),
    ("permutation", {"permutation", "slab"}, "index|three periodic axes"),
    ("hard k cutoff", {"cell_smoothness"}, "hard cutoff in k"),
    ("half", {"charge_charge", "charge_dipole", "dipole_dipole", "lo_to"}, "half"),
    ("per cell", {"supercell", "size_consistency", "slab"}, "per cell|global|three periodic axes"),
]


@pytest.mark.parametrize(("fault", "laws", "said"), PLANTED, ids=[fault for fault, *_ in PLANTED])
def test_a_planted_fault_is_named_by_the_right_law(ions, fault, laws, said):
    card = judged(ions(fault), *QUICK)
    assert {f.law for f in card.failed} == laws
    for broken in card.failed:
        assert re.search(said, broken.explanation), broken.explanation


def test_swapped_axes_of_born_charges(ions):
    card = judged(ions("swapped axes", 0.02), "rotation", "born_sum", "maxwell", "lo_to")
    assert [f.law for f in card.failed] == ["maxwell"]
    assert "axes are swapped" in card.failed[0].explanation


def test_a_hard_cutoff_of_pairs(ions):
    found = finding(judged(ions("hard cutoff"), "smoothness"), "smoothness")
    assert found.status == "fail"
    assert "at 6.0" in found.explanation
    assert "hard cutoff" in found.explanation


def test_origin_dependence_and_wrapping(ions):
    card = judged(ions("origin"), "rotation", "permutation", "translation", "wrapping")
    assert {f.law for f in card.failed} >= {"translation", "wrapping"}


def test_forces_in_a_field_agree_with_born_charges_and_dipole(in_field):
    assert finding(judged(in_field("", 0.02), "maxwell"), "maxwell").explanation == "Born charge, dd/dR, dF/dE agree."
    wrong = finding(judged(in_field("swapped axes", 0.02), "maxwell"), "maxwell")
    assert wrong.status == "fail"


def test_lo_to_of_rigid_ions_against_lammps(ions):
    subject = ions("", 0.0)
    found = finding(scorecard(subject, laws=["lo_to"]), "lo_to")
    assert found.found == pytest.approx(REFERENCE_SPLITTING, rel=0.01)
    assert found.expected == pytest.approx(found.found, rel=2e-3)
    short = finding(scorecard(ions("cut off", 0.0), laws=["lo_to"]), "lo_to")
    assert short.status == "fail"
    assert short.found == pytest.approx(0.0, abs=0.01 * REFERENCE_SPLITTING)


def test_dispersion_of_the_splitting_is_that_of_lammps(ions):
    """LO² - TO² at n = 4 and 10: 63.96 and 70.32 THz²."""
    from farfield.probe.laws import lo_to
    from farfield.probe.stage import Stage

    stage = Stage(ions("", 0.0))
    salt = stage.rock_salt()
    assert salt.relaxed
    assert salt.constant == pytest.approx(REFERENCE_CONSTANT, rel=2e-3)
    for length, expected in ((4, 63.96), (10, 70.32)):
        waves = lo_to._waves(stage, salt, length)
        assert lo_to._optical(waves.along, salt) - lo_to._optical(waves.across, salt) == pytest.approx(
            expected, rel=0.01
        )


def test_dimers_have_the_exponents_and_sizes_of_theory(ions):
    """K q μ/R² and K μ²/R³ (side by side), -2 as much in a line, from the slopes that the law plots."""
    from farfield.units import COULOMB

    card = judged(ions("", 0.0), "charge_charge", "charge_dipole", "dipole_dipole")
    dipole = 0.88 * 0.5 * 5.6225  # e·Å, of the pair that the law uses
    for law, exponent, size in (
        ("charge_charge", 1, COULOMB),
        ("charge_dipole", 2, 2 * COULOMB * dipole),
        ("dipole_dipole", 3, 3 * 2 * COULOMB * dipole**2),
    ):
        curve = finding(card, law).plot.curves[1]
        slope = np.log(curve.y[0] / curve.y[-1]) / np.log(curve.x[-1] / curve.x[0])
        assert slope - 1 == pytest.approx(exponent, abs=0.05)
        assert curve.y[-1] * curve.x[-1] ** (exponent + 1) == pytest.approx(size, rel=0.02)


def test_a_users_structure_is_judged_instead_of_invented_ones(ions, melt):
    card = judged(ions(), "force", "rotation", "size_consistency", "supercell", structures=[melt])
    assert not card.failed
    assert all("molecule" not in check.what for f in card.findings[:2] for check in f.checks)


def test_what_is_no_law(ions):
    with pytest.raises(InputError, match="there is no law forse; there are force, stress"):
        scorecard(ions(), laws=["forse"])


def test_json_holds_everything_and_no_nan(ions):
    card = judged(ions(), "force", "lo_to", "image_charge")
    plain = json.loads(json.dumps(card.to_json(), allow_nan=False))
    assert [f["status"] for f in plain["findings"]] == ["pass", "pass", "skip"]
    assert plain["findings"][1]["plot"]["curves"][1]["label"] == "found"
    assert math.isclose(plain["findings"][1]["checks"][0]["found"], plain["findings"][1]["found"])


def test_forces_in_a_field_of_a_crystal_alone(in_field):
    """Wrong in crystals only: what a field does there is twice what the Born charges say."""

    class Doubled(type(in_field())):
        def __call__(self, frames, want):
            frames = [frame.copy() for frame in frames]
            for frame in frames:
                if frame.pbc.any() and "external_field" in frame.info:
                    frame.info["external_field"] = 2 * np.asarray(frame.info["external_field"])
            return super().__call__(frames, want)

    right = in_field("", 0.02)
    wrong = Doubled(right.model, "doubled", reach=right.reach, cutoff=right.cutoff)
    found = finding(judged(wrong, "maxwell"), "maxwell")
    assert found.status == "fail"
    assert found.what.startswith("crystal")
    assert [c.off > 1 for c in found.checks if c.what.startswith("molecule")] == [False, False]
