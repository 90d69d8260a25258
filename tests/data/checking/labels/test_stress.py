"""Stresses and virials: unit, order and sign, and which of them ``check_file`` proposes."""

import ase.build
import ase.io
import numpy as np
import pytest

from farfield.data.check import check_file

GPA = 160.2176634
"""One eV/Å³."""
VOIGT, VASP = [0, 4, 8, 5, 2, 1], [0, 4, 8, 1, 5, 2]


def crystals(labels, count=8, axes=(True, True, True)):
    rng = np.random.default_rng(1)
    frames = []
    for _ in range(count):
        atoms = ase.build.bulk("NaCl", "rocksalt", 5.6 + 0.2 * rng.random(), cubic=True)
        atoms.rattle(0.1, rng=rng)
        forces = rng.normal(size=(8, 3))
        atoms.arrays["forces"] = forces - forces.mean(0)
        tension = rng.normal(size=(3, 3)) * 0.02
        atoms.info |= {"energy": -60 + rng.normal(), "charge": 0}
        atoms.info |= labels((tension + tension.T) / 2, atoms.get_volume())
        atoms.pbc = axes
        frames.append(atoms)
    return frames


@pytest.fixture
def check(tmp_path):
    def write_and_check(frames):
        ase.io.write(tmp_path / "a.xyz", frames, format="extxyz", write_results=False)
        return check_file(tmp_path / "a.xyz")

    return write_and_check


def said(report, grade):
    return " | ".join(finding.message for finding in report.findings if finding.grade == grade)


def uses(report):
    return {key.name: key.use for key in report.keys}


@pytest.mark.parametrize("key", ["virial", "dft_virial", "REF_virial", "REF_virials"])
def test_a_virial(check, key):
    report = check(crystals(lambda s, v: {key: -s * v}))
    assert report.config["virial"] == key
    assert "stress" not in report.config
    assert said(report, "warning") == ""


def test_six_numbers_of_a_named_stress(check):
    report = check(crystals(lambda s, v: {"REF_stress": s.ravel()[VOIGT]}))
    assert (report.config["stress"], report.config["stress_order"]) == ("REF_stress", "voigt")
    assert "six numbers of REF_stress are taken for xx yy zz yz xz xy" in said(report, "note")


def test_six_numbers_in_kbar_are_asked_for(check):
    report = check(crystals(lambda s, v: {"virial_stress": s.ravel()[VASP] * 10 * GPA}))
    assert "stress" not in report.config
    warning = said(report, "warning")
    assert "is too large for eV/Å³ and the order of its six numbers is open" in warning
    assert "stress: virial_stress; stress_unit: kbar (or GPa); stress_order: vasp (xx yy zz xy yz xz)" in warning
    assert uses(report)["virial_stress"] == "not proposed: unit and order open"


def test_six_numbers_of_open_order_alone(check):
    report = check(crystals(lambda s, v: {"virial_stress": s.ravel()[VOIGT]}))
    assert "stress" not in report.config
    assert "stress: virial_stress; stress_order: voigt" in said(report, "warning")


def test_nine_numbers_in_GPa(check):
    report = check(crystals(lambda s, v: {"dft_stress": s * GPA}))
    assert "stress" not in report.config
    assert "stress: dft_stress; stress_unit: GPa (or kbar)" in said(report, "warning")


def test_a_stress_that_may_be_in_GPa(check):
    report = check(crystals(lambda s, v: {"dft_stress": s * 10}))
    assert report.config["stress"] == "dft_stress"
    assert "if in GPa, stress_unit: GPa" in said(report, "warning")


@pytest.mark.parametrize("key, unit, factor", [("stress_GPa", "GPa", GPA), ("stress_kbar", "kbar", 10 * GPA)])
def test_the_unit_in_the_name_of_a_stress(check, key, unit, factor):
    report = check(crystals(lambda s, v: {key: s * factor}))
    assert (report.config["stress"], report.config["stress_unit"]) == (key, unit)


@pytest.mark.parametrize(
    "factor, unit, axes, order",
    [
        (1.0, None, None, None),
        (GPA, "GPa", None, None),
        (10 * GPA, "kbar", VASP, "vasp"),
        (1.0, None, VASP, "vasp"),
        (1.0, None, VOIGT, "voigt"),
    ],
)
def test_a_virial_tells_unit_and_order_of_the_stress_beside_it(check, factor, unit, axes, order):
    def labels(s, v):
        return {"dft_virial": -s * v, "dft_stress": s * factor if axes is None else s.ravel()[axes] * factor}

    report = check(crystals(labels))
    assert report.config["stress"] == "dft_stress"
    assert "virial" not in report.config
    assert report.config.get("stress_unit") == unit
    assert report.config.get("stress_order") == order
    assert uses(report)["dft_virial"] == "not proposed: dft_stress says the same"


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda s, v: -s, "is +dft_virial / volume (one of the two has the wrong sign)"),
        (lambda s, v: s * v, "is -dft_virial (dft_stress is not divided by the volume)"),
        (lambda s, v: -s * v, "the wrong sign and dft_stress is not divided by the volume"),
        (lambda s, v: -s * GPA, "is +dft_virial / volume in GPa"),
        (lambda s, v: s * 7, "is -dft_virial / volume × 7 (an unknown unit)"),
        (lambda s, v: np.diag([v / 1e4, 0.02, 0.01]), "is not related to it"),
    ],
)
def test_a_stress_and_a_virial_that_contradict_each_other(check, wrong, message):
    report = check(crystals(lambda s, v: {"dft_virial": -s * v, "dft_stress": wrong(s, v)}))
    assert message in said(report, "warning")
    assert not {"stress", "virial"} & report.config.keys()
    assert uses(report)["dft_stress"].startswith("not proposed: stress and virial contradict")


def test_a_virial_that_cannot_be_in_eV(check):
    report = check(crystals(lambda s, v: {"virial": -s * v * GPA}))
    assert "virial" not in report.config
    assert "is in another unit than eV, or a stress" in said(report, "warning")


def test_a_stress_that_is_not_symmetric(check):
    report = check(crystals(lambda s, v: {"dft_stress": s + np.array([[0, 0.01, 0], [0, 0, 0], [0, 0, 0]])}))
    assert "stress" not in report.config
    assert "its nine numbers are not symmetric" in said(report, "warning")


@pytest.mark.parametrize("axes", [(False, False, False), (True, True, False)])
def test_what_is_no_crystal_has_no_stress(check, axes):
    report = check(crystals(lambda s, v: {"dft_stress": s}, axes=axes))
    assert "stress" not in report.config
    assert "no frame is periodic along three axes" in said(report, "note")


def test_the_stress_of_the_crystals_among_slabs(check):
    slabs = crystals(lambda s, v: {"dft_stress": s}, count=3, axes=(True, True, False))
    report = check([*crystals(lambda s, v: {"dft_stress": s}), *slabs])
    assert report.config["stress"] == "dft_stress"
    assert "dft_stress means nothing in the 3 frames that are not periodic" in said(report, "note")


def test_a_stress_of_zeros_was_never_calculated(check):
    report = check(crystals(lambda s, v: {"dft_stress": 0 * s}))
    assert "stress" not in report.config
    assert "dft_stress is 0 in all frames" in said(report, "warning")


def test_a_pressure_is_no_stress(check):
    report = check(crystals(lambda s, v: {"pressure_tensor": -s}))
    assert "stress" not in report.config
    assert uses(report)["pressure_tensor"] == "not proposed: a pressure, which is minus the stress"


def test_six_numbers_in_kbar_by_name_are_vasps_habit(check):
    report = check(crystals(lambda s, v: {"stress_kbar": s.ravel()[VASP] * 10 * GPA}))
    assert "stress" not in report.config
    assert "stress_unit: kbar; stress_order: vasp (xx yy zz xy yz xz) or voigt" in said(report, "warning")


def test_nine_numbers_that_ASE_keeps_as_six_have_an_order(check):
    report = check(crystals(lambda s, v: {"stress": s * 10 * GPA}))
    assert "stress: stress; stress_unit: kbar (or GPa)" in said(report, "warning")
    assert "stress_order" not in said(report, "warning")


def test_a_stress_that_has_its_volume_in_it_still(check):
    report = check(crystals(lambda s, v: {"dft_stress": s * v}))
    assert "stress" not in report.config
    assert "divide them by the volume" in said(report, "warning")
