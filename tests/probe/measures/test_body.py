"""What two fragments imply for one another, against the formulas for points."""

import ase
import numpy as np
import pytest
from ase.build import molecule

from farfield.probe import CalculatorSubject, scorecard
from farfield.probe.measures.body import between, body
from farfield.probe.structures.fragments import Fragment
from farfield.units import COULOMB

DIPOLE = np.array([0.4, 0.0, 0.0])  # e·Å


def ion(charge):
    return body(Fragment(ase.Atoms("Na"), charge), np.array([charge]), np.zeros(3))


def polar(dipole):
    return body(Fragment(ase.Atoms("Ar"), 0.0), np.zeros(1), dipole)


def test_dipoles_that_no_charge_makes():
    assert between(ion(1.0), ion(-1.0), 10.0) == pytest.approx(-COULOMB / 10)
    assert between(ion(1.0), polar(-DIPOLE), 10.0) == pytest.approx(COULOMB * 0.4 / 100, rel=1e-4)  # facing away
    assert between(ion(1.0), polar(DIPOLE), 10.0) == pytest.approx(-COULOMB * 0.4 / 100, rel=1e-4)
    assert between(polar(DIPOLE), polar(DIPOLE), 10.0) == pytest.approx(-2 * COULOMB * 0.16 / 1000, rel=1e-4)
    aside = np.array([0.0, 0.4, 0.0])
    assert between(polar(aside), polar(aside), 10.0) == pytest.approx(COULOMB * 0.16 / 1000, rel=1e-4)


@pytest.mark.slow
def test_water_of_tight_binding_has_the_dipole_it_states():
    """GFN2-xTB has dipoles on its atoms besides charges: the law counts both."""
    tblite = pytest.importorskip("tblite.ase")
    subject = CalculatorSubject(tblite.TBLite(method="GFN2-xTB", verbosity=0), "GFN2-xTB", (1, 8), 6.0, 6.0)
    (found,) = scorecard(subject, fast=True, laws=["dipole_dipole"], fragments=[molecule("H2O")]).findings
    assert found.status == "pass", found
