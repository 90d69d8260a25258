import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y

from farfield.backbone.angular import cartesian_form, gaunt, paths, spherical_harmonics


def directions(count, seed=0):
    v = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return v / v.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("order", range(7))
def test_harmonics_are_scipys_real_ones(order):
    unit = directions(50)
    x, y, z = unit.numpy().T
    theta, phi = np.arccos(z), np.arctan2(y, x)
    ours = spherical_harmonics(unit, max(order, 3))[:, order**2 : (order + 1) ** 2].numpy()
    for m in range(-order, order + 1):
        value = sph_harm_y(order, abs(m), theta, phi)  # with the Condon-Shortley phase, which real ones leave out
        part = value.real if m == 0 else np.sqrt(2) * (-1) ** m * (value.imag if m < 0 else value.real)
        np.testing.assert_allclose(ours[:, order + m], np.sqrt(4 * np.pi) * part, atol=1e-12)


def test_norm_is_the_same_in_every_direction():
    y = spherical_harmonics(directions(20), 3)
    for order in range(4):
        squares = y[:, order**2 : (order + 1) ** 2].square().sum(1)
        torch.testing.assert_close(squares, torch.full_like(squares, 2 * order + 1))


def test_cartesian_form_of_order_two_is_symmetric_and_traceless():
    form = cartesian_form(2, torch.zeros(0, dtype=torch.float64)).view(3, 3, 5)
    torch.testing.assert_close(form, form.transpose(0, 1))
    torch.testing.assert_close(torch.einsum("aam->m", form), torch.zeros(5, dtype=torch.float64))


@pytest.mark.parametrize("path", paths(3, 3, symmetric=False))
def test_couplings_are_equivariant(path):
    l1, l2, l3 = path
    turn = torch.tensor(Rotation.random(random_state=2).as_matrix())
    unit = directions(40)

    def rotation_of(order):  # D with Y(R r) = D Y(r), by least squares over many directions
        before, after = (spherical_harmonics(u, 3)[:, order**2 : (order + 1) ** 2] for u in (unit, unit @ turn.T))
        return torch.linalg.lstsq(before, after).solution.T

    coupling = torch.tensor(gaunt(l1, l2, l3))
    a, b = torch.randn(2 * l1 + 1, dtype=torch.float64), torch.randn(2 * l2 + 1, dtype=torch.float64)
    here = torch.einsum("abc,a,b->c", coupling, a, b)
    there = torch.einsum("abc,a,b->c", coupling, rotation_of(l1) @ a, rotation_of(l2) @ b)
    torch.testing.assert_close(there, rotation_of(l3) @ here)


def test_gaunt_coefficients_against_wigner():
    sympy = pytest.importorskip("sympy.physics.wigner")
    # ∮ Y10 Y10 Y20, with our norm √(4π) each and the mean over the sphere, up to the common block norm
    exact = float(sympy.gaunt(1, 1, 2, 0, 0, 0)) * np.sqrt(4 * np.pi)
    other = float(sympy.gaunt(1, 1, 2, 1, -1, 0)) * np.sqrt(4 * np.pi)
    block = gaunt(1, 1, 2)
    # component xx (m = 1, 1) to m = 0 is minus the complex (1, -1) one
    assert block[1, 1, 2] / block[2, 2, 2] == pytest.approx(exact / -other)


def test_odd_paths_and_broken_triangles_vanish():
    assert not gaunt(1, 1, 1).any()
    assert not gaunt(1, 1, 3).any()
