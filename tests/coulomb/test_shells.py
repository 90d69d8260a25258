"""Shells of any angular momentum: the lowest are charges, dipoles and quadrupoles, the others their derivatives."""

from math import gamma, pi, prod

import ase
import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y
from torch.autograd import gradcheck, gradgradcheck

from farfield.coulomb import Coulomb, Shells, Sources, shell_energy
from farfield.coulomb.functions.harmonics import solid_harmonics
from farfield.errors import InputError
from farfield.system import System, concatenate
from farfield.units import COULOMB

CRYSTAL, SLAB, WIRE, OPEN = (True, True, True), (True, False, True), (False, False, True), (False, False, False)
ZERO = torch.zeros(1, dtype=torch.long)


def _system(cell, pbc, positions=((0.0, 0, 0),)):
    return System.from_ase(ase.Atoms([1] * len(positions), positions=positions, cell=cell, pbc=pbc))


def test_solid_harmonics_are_those_of_scipy(rng):
    """Racah's normalisation, real: √2 (-1)^m Re and Im of √(4π/(2l+1)) Y_lm for m > 0."""
    vectors = rng.normal(size=(20, 3))
    r = np.linalg.norm(vectors, axis=1)
    polar, azimuth = np.arccos(vectors[:, 2] / r), np.arctan2(vectors[:, 1], vectors[:, 0])
    found = solid_harmonics(torch.from_numpy(vectors), 6).numpy()
    for n in range(7):
        for m in range(-n, n + 1):
            y = np.sqrt(4 * np.pi / (2 * n + 1)) * sph_harm_y(n, abs(m), polar, azimuth) * r**n
            expected = y.real if m == 0 else np.sqrt(2) * (-1) ** m * (y.real if m > 0 else y.imag)
            np.testing.assert_allclose(found[:, n * n + n + m], expected, rtol=1e-12, atol=1e-12)


def _tensors(moments):
    """Charges, dipoles and Buckingham's quadrupoles of Q_lm, l ≤ 2: Θ is the tensor with r·Θ·r = Σ Q_2m R_2m(r)."""
    charges, dipoles = moments[:, 0], moments[:, [3, 1, 2]]
    quadratic = torch.func.hessian(lambda r: (moments[:, 4:] * solid_harmonics(r, 2)[4:]).sum(1))
    return charges, dipoles, 0.5 * quadratic(torch.zeros(3).double())


@pytest.mark.parametrize("pbc", [CRYSTAL, SLAB, WIRE, OPEN])
def test_the_lowest_are_charges_dipoles_and_quadrupoles(pbc, rng, apart, triclinic):
    cell = triclinic(rng, 7.0)
    places = apart(rng, 4, cell)
    moments = torch.from_numpy(rng.normal(size=(4, 9)))
    if pbc == CRYSTAL:  # the background of Coulomb is that of points
        moments[:, 0] -= moments[:, 0].mean()
    widths = torch.tensor([0.5, 0.7, 0.5, 0.9]).double()
    system, index = _system(cell, pbc), torch.zeros(4, dtype=torch.long)
    charges, dipoles, quadrupoles = _tensors(moments)
    given = Sources(torch.from_numpy(places), index, charges, dipoles, quadrupoles, widths)
    expected = Coulomb(error=1e-9).energy(system, sources=given)
    found = shell_energy(system, Shells(torch.from_numpy(places), index, moments, widths), error=1e-12)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-6)


def test_a_charged_crystal_has_the_background_of_gaussians(rng):
    system = _system(5 * np.eye(3), CRYSTAL)
    moments = torch.tensor([[1.0], [0.5]], dtype=torch.float64)
    widths = torch.tensor([0.6, 0.9], dtype=torch.float64)
    places = torch.tensor([[0.0, 0, 0], [2.0, 1, 2]]).double()
    index = torch.zeros(2, dtype=torch.long)
    found = shell_energy(system, Shells(places, index, moments, widths), error=1e-12)
    given = Sources(places, index, moments[:, 0], widths=widths)
    total, spread = 1.5, float((moments[:, 0] * widths.square()).sum())
    expected = Coulomb(error=1e-9).energy(system, sources=given) + COULOMB * 2 * np.pi / 125 * total * spread
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-7)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 6])
def test_far_from_an_open_shell_its_moment_is_felt(n, rng):
    """A narrow charge beyond the shell has the energy K q Σ Q_lm C_lm(r̂)/r^(l+1)."""
    moments = torch.zeros(2, 49).double()
    moments[0, n * n : (n + 1) ** 2] = torch.from_numpy(rng.normal(size=2 * n + 1))
    moments[1, 0] = 0.7
    where = torch.tensor([3.0, -4.0, 5.0]).double()
    both = Shells(torch.stack([torch.zeros(3).double(), where]), torch.zeros(2, dtype=torch.long), moments, 0.5)
    system = _system(None, False)
    alone = [
        shell_energy(system, Shells(both.positions[k : k + 1], ZERO, moments[k : k + 1], 0.5), error=1e-14)
        for k in (0, 1)
    ]
    found = shell_energy(system, both, error=1e-14) - sum(alone)
    r = float(where.norm())
    expected = COULOMB * 0.7 * (moments[0] * solid_harmonics(where / r, 6)).sum() / r ** (n + 1)
    assert float(found) == pytest.approx(float(expected), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("n", [0, 1, 2, 4, 6])
def test_energy_of_a_shell_with_itself(n):
    """½ ∫ d³k/(2π)³ 4π/k² |ρ(k)|² = K Q² Γ(l+½)/(2π (2l+1) ((2l-1)!!)² σ^(2l+1))."""
    moments = torch.zeros(1, 49).double()
    moments[0, n * n + n] = 1.3
    shell = Shells(torch.zeros(1, 3).double(), ZERO, moments, 0.8)
    found = shell_energy(_system(None, False), shell, error=1e-12)
    size = (2 * n + 1) * prod(range(1, 2 * n, 2)) ** 2 * 0.8 ** (2 * n + 1)
    expected = COULOMB * 1.3**2 * gamma(n + 0.5) / (2 * pi * size)
    assert float(found) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("pbc", [CRYSTAL, SLAB, WIRE, OPEN])
def test_derivatives(pbc, rng, apart, triclinic):
    cell = triclinic(rng, 5.0)
    places = torch.from_numpy(apart(rng, 2, cell))
    moments = torch.from_numpy(rng.normal(size=(2, 16 if pbc == CRYSTAL else 9)))
    system, index = _system(cell, pbc), torch.zeros(2, dtype=torch.long)

    def energy(places, strain, moments):
        moved = system.strained(strain)
        there = places @ (torch.eye(3).double() + strain[0]).T
        return shell_energy(moved, Shells(there, index, moments, torch.tensor([1.0, 1.2])), error=1e-7)

    inputs = [x.clone().requires_grad_() for x in (places, torch.zeros(1, 3, 3).double(), moments)]
    assert gradcheck(energy, inputs, eps=1e-5, atol=1e-5)
    assert gradgradcheck(energy, inputs, eps=1e-5, atol=1e-3, fast_mode=True)


def test_a_batch_of_all_kinds(rng, apart, triclinic):
    systems, parts = [], []
    for k, pbc in enumerate((OPEN, CRYSTAL, WIRE, CRYSTAL)):
        cell = triclinic(rng, 5.0)
        systems.append(_system(cell, pbc))
        places, moments = torch.from_numpy(apart(rng, 3, cell)), torch.from_numpy(rng.normal(size=(3, 9)))
        parts.append((places, torch.full((3,), k), moments))
    order = torch.from_numpy(rng.permutation(12))
    together = (torch.cat(column)[order] for column in zip(*parts))
    found = shell_energy(concatenate(systems), Shells(*together, 0.7))
    alone = [shell_energy(s, Shells(r, 0 * k, q, 0.7)) for s, (r, k, q) in zip(systems, parts)]
    torch.testing.assert_close(found, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_wrong_shells_are_named():
    place, index = torch.zeros(1, 3).double(), ZERO
    for moments, widths, said in (
        (torch.zeros(1, 5), 0.5, r"\(1, 5\)"),
        (torch.zeros(1, 64), 0.5, "from 0 to 6"),
        (torch.zeros(1, 4), 0.0, "width 0.0"),
        (torch.full((1, 4), torch.nan), 0.5, "moments has values"),
        (torch.zeros(1, 4), torch.ones(2), "widths has shape"),
    ):
        with pytest.raises(InputError, match=said):
            Shells(place, index, moments, widths)
    with pytest.raises(InputError, match="must lie in 1e-14"):
        shell_energy(_system(None, False), Shells(place, index, torch.zeros(1, 4).double(), 0.5), error=0.5)
