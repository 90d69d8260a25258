"""What is compiled for places that nobody differentiates by, or differentiates by hand, against autograd."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from farfield.coulomb import Coulomb
from farfield.coulomb.padding import Padding
from farfield.coulomb.sources import on_atoms
from farfield.coulomb.terms.fused_waves import FusedWaves
from farfield.coulomb.terms.real_space import RealSpace
from farfield.coulomb.terms.term import Sum
from farfield.geometry.half_list import with_half_list
from farfield.system import concatenate


@pytest.fixture
def batch(rng, apart, triclinic, crystal):
    cells = [triclinic(rng, 5.0), triclinic(rng, 7.0)]
    return concatenate([crystal(apart(rng, n, cell), cell) for n, cell in zip((5, 90), cells)])


@pytest.fixture
def slab(rng, apart, triclinic, crystal):
    cell = triclinic(rng, 6.0)
    return replace(crystal(apart(rng, 20, cell), cell), periodic=torch.tensor([[True, True, False]]))


@pytest.mark.parametrize("widths", [None, "mixed"])
@pytest.mark.parametrize("open_axis", [False, True])
def test_the_matrix_is_that_of_torch(widths, open_axis, batch, slab):
    system = slab if open_axis else batch
    sigma = None if widths is None else torch.linspace(0.2, 0.6, system.n_atoms).double()
    plan, padding = Coulomb(error=1e-6).plan(system, sigma, dense=True), Padding.of(system)
    placed = on_atoms(system, torch.ones(system.n_atoms).double(), sigma)
    moved = replace(system, positions=system.positions.clone().requires_grad_())
    found, expected = (
        Sum(FusedWaves(one, plan), RealSpace(one, plan)).matrix(padding)
        for one in (placed, replace(placed, system=moved))
    )
    torch.testing.assert_close(found, expected.detach(), atol=1e-11, rtol=0)


@pytest.mark.parametrize("widths", [None, "mixed"])
def test_products_with_charges_are_those_of_torch(widths, batch):
    sigma = None if widths is None else torch.linspace(0.2, 0.6, batch.n_atoms).double()
    plan = Coulomb(error=1e-6).plan(batch, sigma, dense=True)
    charges = torch.linspace(-1, 1, batch.n_atoms).double().requires_grad_()
    moved = replace(batch, positions=batch.positions.clone().requires_grad_())
    found, expected = (Coulomb().operator(s, sigma, plan=plan)(charges) for s in (batch, moved))
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)
    way = torch.linspace(1, 2, batch.n_atoms).double()
    gradient = (torch.autograd.grad((way * x).sum(), charges)[0] for x in (found, expected))
    torch.testing.assert_close(*gradient, atol=1e-10, rtol=0)


@pytest.mark.parametrize("widths", [None, "mixed"])
def test_curvature_is_that_of_autograd(widths, rng, batch):
    sigma = None if widths is None else torch.linspace(0.2, 0.6, batch.n_atoms).double()
    solver = Coulomb(error=1e-6)
    plan = solver.plan(batch, sigma, dense=True)
    charges, along = (torch.from_numpy(rng.normal(size=batch.n_atoms)) for _ in range(2))
    way, scale = torch.from_numpy(rng.normal(size=(batch.n_atoms, 3))), torch.tensor([0.7, -1.3]).double()
    curvature = solver.curvature(batch, charges, sigma, plan=plan)
    q, r, s = (x.clone().requires_grad_() for x in (charges, batch.positions, scale))
    energy = solver.energy(replace(batch, positions=r), charges=q, widths=sigma, plan=plan)
    for found, expected in zip(curvature.gradient, torch.autograd.grad(energy.sum(), (q, r), retain_graph=True)):
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)
    grad_charges, grad_positions = torch.autograd.grad(s @ energy, (q, r), create_graph=True)
    directional_derivative = (grad_charges * along).sum() + (grad_positions * way).sum()
    *expected, grad_scale = torch.autograd.grad(directional_derivative, (q, r, s))
    for found, known in zip(curvature.hessian_vector(scale, along, way), expected):
        torch.testing.assert_close(found, known, atol=1e-8, rtol=1e-9)
    torch.testing.assert_close(curvature.directional_derivative(along, way), grad_scale, atol=1e-8, rtol=1e-9)


def test_pairs_are_written_out_when_asked_for(batch):
    known, searched = with_half_list(batch, 4.0).neighbors, with_half_list(batch, 4.0)
    assert "i" not in vars(known)
    distance = batch.positions[known.j] - batch.positions[known.i]
    distance = (distance + torch.einsum("pa,pab->pb", known.shift, batch.cell[batch.system_index[known.i]])).norm(dim=1)
    assert 0 < float(distance.max()) < 4.0
    charges = torch.from_numpy(np.linspace(-1, 1, batch.n_atoms))
    energies = (Coulomb(error=1e-2).energy(s, charges=charges) for s in (batch, searched))
    torch.testing.assert_close(*energies)
