"""Dipoles and quadrupoles as files have them: units, forms, orders of six numbers."""

import ase
import ase.io
import numpy as np
import pytest

from farfield.data.check import check_file
from farfield.data.config import DataConfig
from farfield.data.read import read_frames
from farfield.errors import InputError
from farfield.units import BOHR, DEBYE

RNG = np.random.default_rng(5)
CLOUDS = [(RNG.normal(size=5), RNG.normal(size=(5, 3))) for _ in range(3)]
"""Charges about each of three atoms, and where they are."""
PLACES = np.array([[0.0, 0, 0], [0.9, 0.3, 0], [-0.2, 0.1, 1.0]])


def second_moment(charges, places):
    return np.einsum("k,ka,kb->ab", charges, places, places)


def buckingham(charges, places):
    square = (places**2).sum(1)
    return 0.5 * (3 * second_moment(charges, places) - (charges * square).sum() * np.eye(3))


MOMENTS = np.array([second_moment(*cloud) for cloud in CLOUDS])
THETA = np.array([buckingham(*cloud) for cloud in CLOUDS])
DIPOLES = np.array([q @ r for q, r in CLOUDS])


def water(pbc=False, info=None, **arrays):
    atoms = ase.Atoms("OHH", PLACES, cell=[9.0] * 3, pbc=pbc, info={"energy": 1.0} | (info or {}))
    for name, values in arrays.items():
        atoms.arrays[name] = values.reshape(3, -1)
    return atoms


def labels(tmp_path, atoms, **config):
    path = tmp_path / "a.xyz"
    ase.io.write(path, atoms, format="extxyz")
    config = DataConfig(train=path, forces=None, **config)
    return read_frames(path, config)[0].labels


def test_multipoles_of_atoms(tmp_path):
    found = labels(tmp_path, water(mu=DIPOLES, theta=THETA), dipoles="mu", quadrupoles="theta")
    np.testing.assert_allclose(found.dipoles, DIPOLES, atol=1e-7)
    np.testing.assert_allclose(found.quadrupoles, THETA, atol=1e-7)


@pytest.mark.parametrize(("form", "value"), [("buckingham", THETA), ("jackson", 2 * THETA), ("second_moment", MOMENTS)])
def test_every_form_is_the_same_quadrupole(tmp_path, form, value):
    keys = {"quadrupoles": "theta", "quadrupole_form": form}
    np.testing.assert_allclose(labels(tmp_path, water(theta=value), **keys).quadrupoles, THETA, atol=1e-6)


def test_the_traceless_part_of_second_moments_is_one_of_them(tmp_path):
    """Σ q (rr - r²/3), as Gaussian prints it."""
    deviator = MOMENTS - np.trace(MOMENTS, axis1=1, axis2=2)[:, None, None] / 3 * np.eye(3)
    keys = {"quadrupoles": "theta", "quadrupole_form": "second_moment"}
    np.testing.assert_allclose(labels(tmp_path, water(theta=deviator), **keys).quadrupoles, THETA, atol=1e-6)


@pytest.mark.parametrize(("unit", "size"), [("au", BOHR**2), ("debye*angstrom", DEBYE)])
def test_units_are_those_of_atoms_and_molecules(tmp_path, unit, size):
    atoms = water(theta=THETA, info={"total": THETA.sum(0)})
    found = labels(tmp_path, atoms, quadrupoles="theta", quadrupole="total", quadrupole_unit=unit)
    np.testing.assert_allclose(found.quadrupoles, size * THETA, atol=1e-6)
    np.testing.assert_allclose(found.quadrupole, size * THETA.sum(0)[None], atol=1e-6)


def test_the_unit_of_dipoles_is_that_of_the_dipole(tmp_path):
    found = labels(tmp_path, water(mu=DIPOLES), dipoles="mu", dipole_unit="debye")
    np.testing.assert_allclose(found.dipoles, DEBYE * DIPOLES, atol=1e-6)


@pytest.mark.parametrize("order", ["xx xy xz yy yz zz", "xx yy zz xy xz yz", "voigt"])
def test_six_numbers_in_the_order_said(tmp_path, order):
    names = {"voigt": "xx yy zz yz xz xy"}.get(order, order).split()
    place = ["xyz".index(a) * 3 + "xyz".index(b) for a, b in names]
    six = THETA.reshape(3, 9)[:, place]
    atoms = water(theta=six, info={"total": six.sum(0)})
    found = labels(tmp_path, atoms, quadrupoles="theta", quadrupole="total", quadrupole_order=order)
    np.testing.assert_allclose(found.quadrupoles, THETA, atol=1e-6)
    np.testing.assert_allclose(found.quadrupole, THETA.sum(0)[None], atol=1e-6)


def test_what_cannot_be_meant_is_refused(tmp_path):
    with pytest.raises(InputError, match="has six numbers; say which: quadrupole_order"):
        labels(tmp_path, water(theta=THETA.reshape(3, 9)[:, :6]), quadrupoles="theta")
    with pytest.raises(InputError, match=r"has a trace.*quadrupole_form: second_moment"):
        labels(tmp_path, water(theta=MOMENTS), quadrupoles="theta")
    skew = THETA + np.array([[0, 0.1, 0], [0, 0, 0], [0, 0, 0]])
    with pytest.raises(InputError, match="is not symmetric"):
        labels(tmp_path, water(theta=skew), quadrupoles="theta")
    total = water(pbc=True, info={"total": THETA.sum(0)})
    with pytest.raises(InputError, match=r"the quadrupole of periodic atoms.*quadrupole: null"):
        labels(tmp_path, total, quadrupole="total")
    found = labels(tmp_path, total, quadrupole="total", pbc="F F F")
    assert found.quadrupole.shape == (1, 3, 3)


def test_a_quadrupole_about_the_origin_of_the_positions(tmp_path):
    """Of point charges: about the centre of mass it is the sum over their places from there."""
    charges, atoms = np.array([-0.5, 0.4, 1.1]), water()
    places = PLACES - atoms.get_center_of_mass()
    atoms.info |= {"charge": 1.0, "dipole": charges @ PLACES, "total": buckingham(charges, PLACES)}
    keys = {"quadrupole": "total", "quadrupole_origin": "positions"}
    found = labels(tmp_path, atoms, dipole="dipole", **keys)
    np.testing.assert_allclose(found.quadrupole[0], buckingham(charges, places), atol=1e-6)
    with pytest.raises(InputError, match="give its key, dipole"):
        labels(tmp_path, atoms, **keys)


def test_a_misspelt_key_is_answered_with_the_likely_one(tmp_path):
    with pytest.raises(InputError, match=r"Did you mean dipoles: mbis_dipoles"):
        labels(tmp_path, water(mbis_dipoles=DIPOLES, other=THETA), dipoles="dipole")


def test_an_atom_of_which_nothing_is_known(tmp_path):
    gap = THETA.copy()
    gap[1] = np.nan
    keys = {"quadrupoles": "theta", "quadrupole_form": "second_moment", "allow_missing": ("quadrupoles",)}
    found = labels(tmp_path, water(theta=gap), **keys).quadrupoles
    assert found[1].isnan().all()
    assert found[[0, 2]].isfinite().all()


def check(tmp_path, atoms):
    frames = [atoms, atoms.copy()]
    frames[1].rattle(0.02)
    ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
    return check_file(tmp_path / "a.xyz").config


def test_checks_propose_multipoles_in_their_form(tmp_path):
    info = {"dipole": DIPOLES.sum(0), "quadrupole": MOMENTS.sum(0)}
    found = check(tmp_path, water(info=info, mbis_dipoles=DIPOLES, mbis_quadrupoles=MOMENTS))
    wanted = {"dipole": "dipole", "quadrupole": "quadrupole", "quadrupole_form": "second_moment"}
    wanted |= {"dipoles": "mbis_dipoles", "quadrupoles": "mbis_quadrupoles"}
    assert wanted.items() <= found.items()
    assert check_file(tmp_path / "a.xyz").model == {"paradigm": {"kind": "multipoles"}}
    read_frames(tmp_path / "a.xyz", DataConfig(**found | {"forces": None}))


def test_checks_leave_what_needs_an_answer(tmp_path):
    six = THETA.reshape(3, 9)[:, [0, 4, 8, 1, 2, 5]]
    found = check(tmp_path, water(pbc=True, info={"quadrupole": THETA.sum(0)}, mbis_quadrupoles=six))
    assert not {"quadrupole", "quadrupoles"} & found.keys()
    mixed = check(tmp_path, water(info={"quadrupole": THETA.sum(0)}, mbis_quadrupoles=MOMENTS))
    assert mixed["quadrupoles"] == "mbis_quadrupoles"
    assert "quadrupole" not in mixed
