"""Projections: the integral that defines them by quadrature, the multipoles that feel them, sums by brute force."""

import itertools
import math
from dataclasses import replace

import ase
import numpy as np
import pytest
import torch
from scipy.special import erf
from torch.autograd import gradcheck, gradgradcheck

from farfield.coulomb import Coulomb
from farfield.coulomb.functions.harmonics import solid_harmonics
from farfield.coulomb.projections import Projections
from farfield.coulomb.projections.kernels import KERNELS
from farfield.coulomb.projections.mesh import by_mesh
from farfield.coulomb.projections.waves import by_waves
from farfield.coulomb.sources import on_atoms
from farfield.errors import InputError
from farfield.system import System, concatenate
from farfield.units import COULOMB

CRYSTAL, SLAB, WIRE, OPEN = (True, True, True), (True, False, True), (False, False, True), (False, False, False)
PLACES = (OPEN, WIRE, SLAB, CRYSTAL)
KINDS = tuple(KERNELS)


@pytest.fixture
def scene(rng, apart, triclinic):
    """Six atoms in a cell of about 6 Å, and charges in two channels, the second of them not neutral."""

    def build(pbc, edge=6.0):
        cell = triclinic(rng, edge)
        charges = rng.normal(size=(6, 2))
        charges[:, 0] -= charges[:, 0].mean()
        atoms = ase.Atoms([1] * 6, apart(rng, 6, cell), cell=cell, pbc=pbc)
        return System.from_ase(atoms), torch.from_numpy(charges)

    return build


def quadrature(potential, projections, width, points=36):
    """∫ g (r/σ)^l C_lm φ by Gauss and Hermite along each axis; ``potential`` takes (points, 3)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(points)
    r = np.stack(np.meshgrid(*[nodes] * 3, indexing="ij"), -1).reshape(-1, 3)
    weight = np.prod(np.stack(np.meshgrid(*[weights / math.sqrt(2 * np.pi)] * 3, indexing="ij"), -1), -1).reshape(-1)
    harmonics = solid_harmonics(torch.from_numpy(r), projections.order).numpy()
    return (weight * potential(width * r)) @ harmonics


def smeared(distance, width):
    return erf(np.maximum(distance, 1e-12) / (math.sqrt(2) * width)) / np.maximum(distance, 1e-12)


def test_open_space_is_the_integral(scene):
    system, charges = scene(OPEN)
    projections = Projections(widths=(0.8, 1.1), source_width=1.0, order=3, error=1e-10)
    found, places = projections.at_atoms(system, charges).numpy(), system.positions.numpy()
    for atom, (n, width) in itertools.product((0, 3), enumerate(projections.widths)):

        def potential(r, atom=atom):
            distance = np.linalg.norm(places[atom] + r[:, None] - np.delete(places, atom, 0), axis=2)
            return smeared(distance, 1.0) @ np.delete(charges[:, 0].numpy(), atom)

        expected = quadrature(potential, projections, width)
        np.testing.assert_allclose(found[atom, n, :, 0], expected, atol=2e-8)


def test_a_crystal_is_the_integral(scene):
    """φ by an Ewald sum over all waves, written out."""
    system, charges = scene(CRYSTAL, 5.0)
    projections = Projections(widths=(0.9,), source_width=1.0, order=2, error=1e-10)
    found, places, q = (x.numpy() for x in (projections.at_atoms(system, charges), system.positions, charges[:, 0]))
    cell = system.cell[0].numpy()
    whole = np.array([n for n in itertools.product(range(-6, 7), repeat=3) if any(n)])
    k = whole @ (2 * np.pi * np.linalg.inv(cell).T)
    squared = (k**2).sum(1)
    amplitude = 4 * np.pi / squared * np.exp(-squared / 2) / abs(np.linalg.det(cell)) * (np.exp(-1j * k @ places.T) @ q)
    for atom in (0, 4):

        def potential(r, atom=atom):
            wave = np.concatenate([np.exp(1j * some @ k.T) @ amplitude for some in np.split(places[atom] + r, 24)]).real
            return wave - q[atom] * smeared(np.linalg.norm(r, axis=1), 1.0)

        expected = quadrature(potential, projections, 0.9, points=24)
        np.testing.assert_allclose(found[atom, 0, :, 0], expected, atol=2e-8)


@pytest.mark.parametrize("pbc", PLACES)
def test_it_is_what_multipoles_feel(pbc, scene):
    """Gaussian multipoles of variance s²/2 feel each other as orbitals of σ feel charges of s_j; background and all."""
    system, charges = scene(pbc)
    projections = Projections(widths=(0.7, 1.5), source_width=0.9, error=1e-10)
    found = projections.at_atoms(system, charges)
    for n, width in enumerate(projections.widths):
        none = torch.zeros(6, 2, 3, 3, dtype=torch.float64)
        moments = [x.requires_grad_() for x in (charges.clone(), none[..., 0].clone(), none.clone())]
        energy = Coulomb(error=1e-10).energy(
            system, **dict(zip(("charges", "dipoles", "quadrupoles"), moments)),
            widths=projections.pair_widths[n] / math.sqrt(2), self_energy=False,
        )  # fmt: skip
        potential, gradient, curvature = torch.autograd.grad(energy.sum() / COULOMB, moments)
        xx, yy, zz = (3 * curvature).diagonal(dim1=2, dim2=3).unbind(2)
        expected = [potential, *(width * gradient[..., a] for a in (1, 2, 0))]
        torch.testing.assert_close(found[:, n, :4].unbind(1), tuple(expected), rtol=0, atol=1e-8)
        torch.testing.assert_close(found[:, n, 6], width**2 * (zz - 0.5 * (xx + yy)), rtol=0, atol=1e-8)
        torch.testing.assert_close(found[:, n, 8], width**2 * math.sqrt(0.75) * (xx - yy), rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", ["density", "dispersion"])
def test_short_kernels_are_sums_over_images(kind, scene):
    system, charges = scene(CRYSTAL)
    projections = Projections(widths=(0.6, 1.2), source_width=0.8, order=3, kernel=kind, error=1e-10)
    reach = {"density": 2, "dispersion": 12}[kind]
    images = np.array(list(itertools.product(range(-reach, reach + 1), repeat=3))) @ system.cell[0].numpy()
    found, places = projections.at_atoms(system, charges), system.positions
    vector = (places - places[0] + torch.from_numpy(images)[:, None]).flatten(0, 1)
    q = charges.repeat(len(images), 1)
    keep = vector.norm(dim=1) > 1e-6
    pairs = projections.of_pairs(vector[keep])
    expected = torch.einsum("pnl,pc->nlc", pairs, q[keep])
    size = expected.abs().amax((0, 1), keepdim=True)
    tail = {"density": (1e-9, 1e-9), "dispersion": (1e-6, 3e-5)}[kind]  # 1/r⁶ beyond 12 cells, neutral and charged
    assert (((found[0] - expected) / size).abs().amax((0, 1)) < torch.tensor(tail)).all()


def test_dispersion_far_away_is_that_of_points():
    vector = torch.tensor([[0.0, 0.0, 15.0]], dtype=torch.float64)
    found = Projections(widths=(1.0,), source_width=1.0, order=2, kernel="dispersion").of_pairs(vector)
    # v = r⁻⁶, -dv/dr towards the charge, v'' with C_20 = 1/r d/dr(1/r dv/dr)
    expected = torch.tensor([15.0**-6, 6 * 15.0**-7, 48 * 15.0**-8], dtype=torch.float64)
    torch.testing.assert_close(found[0, 0, [0, 2, 6]], expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize(("pbc", "order"), [(SLAB, 2), (CRYSTAL, 0), (CRYSTAL, 3)])
def test_a_mesh_is_what_waves_are(pbc, order, scene):
    system, charges = scene(pbc)
    for width, error in ((1.2, 1e-4), (3.0, 1e-7)):
        placed = on_atoms(system, charges, None)
        sizes = torch.tensor([width**n for n in range(order + 1) for _ in range(2 * n + 1)]).unsqueeze(1)
        exact = by_waves(placed, KERNELS["coulomb"], width, order, 1e-12)
        wrong = (by_mesh(placed, width, order, error) - exact) * sizes / KERNELS["coulomb"].at_origin(width)
        assert wrong.abs().max() < 20 * error * max(order, 1) ** 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pbc", [OPEN, SLAB, CRYSTAL])
def test_derivatives(kind, pbc, scene):
    if kind == "dispersion" and pbc == SLAB:
        return
    system, charges = scene(pbc)
    projections = Projections(widths=(0.8, 1.5), source_width=1.0, order=3, kernel=kind, error=1e-10)
    scale = 1 / max(projections.own)

    def values(positions, cell, charges):
        moved = replace(system, positions=positions, cell=cell)
        return scale * projections.at_atoms(moved, charges)[:2]

    inputs = [x.clone().requires_grad_() for x in (system.positions, system.cell, charges)]
    assert gradcheck(values, inputs, eps=1e-5, atol=1e-6, fast_mode=True)
    assert gradgradcheck(values, inputs, eps=1e-5, atol=1e-5, fast_mode=True)


@pytest.mark.parametrize("pbc", [WIRE, SLAB, CRYSTAL])
def test_a_supercell_and_other_lattice_vectors_change_nothing(pbc, scene):
    system, charges = scene(pbc)
    projections = Projections(widths=(0.8, 2.0), source_width=1.0, error=1e-9)
    found = projections.at_atoms(system, charges)
    atoms = ase.Atoms([1] * 6, system.positions.numpy(), cell=system.cell[0].numpy(), pbc=pbc)
    twice = projections.at_atoms(System.from_ase(atoms.repeat((1, 1, 2))), charges.repeat(2, 1))
    torch.testing.assert_close(twice, found.repeat(2, 1, 1, 1), rtol=0, atol=1e-7)
    turned = atoms.copy()
    turned.set_cell(np.array([[1, 0, int(pbc[0])], [0, 1, 0], [0, 0, -1]]) @ atoms.cell)
    torch.testing.assert_close(projections.at_atoms(System.from_ase(turned), charges), found, rtol=0, atol=1e-7)


def test_a_batch_is_one_by_one(scene):
    systems, charges = zip(*(scene(pbc) for pbc in PLACES))
    projections = Projections(widths=(0.8, 2.0), source_width=1.0, error=1e-9)
    together = projections.at_atoms(concatenate(list(systems)), torch.cat(charges))
    apart = torch.cat([projections.at_atoms(*one) for one in zip(systems, charges)])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-8)


def test_far_away_all_widths_say_the_same():
    vector = torch.tensor([[3.0, -8.0, 20.0]], dtype=torch.float64)
    projections = Projections(widths=(0.5, 1.0, 2.0), source_width=1.0, order=2)
    of_powers = projections.of_pairs(vector)[0, :, 4:] / torch.tensor(projections.widths).unsqueeze(1) ** 2
    torch.testing.assert_close(of_powers, of_powers[:1].expand(3, -1), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"widths": ()}, "widths greater than zero"),
        ({"widths": (1.0, -1.0)}, "widths greater than zero"),
        ({"order": 4}, "highest order"),
        ({"kernel": "gravity"}, "there are coulomb"),
        ({"error": 1.0}, "the error asked"),
    ],
)
def test_what_cannot_be_is_said(keys, said):
    with pytest.raises(InputError, match=said):
        Projections(**{"widths": (1.0,), "source_width": 1.0, **keys})


def test_dispersion_of_a_slab_is_refused(scene):
    with pytest.raises(InputError, match="structure 0 is periodic along"):
        Projections(widths=(1.0,), source_width=1.0, kernel="dispersion").at_atoms(*scene(SLAB))
