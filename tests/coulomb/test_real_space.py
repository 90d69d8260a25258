"""Compiled sums over pairs and waves against plain torch."""

from dataclasses import replace

import ase
import numpy as np
import pytest
import torch

from farfield.coulomb import Coulomb
from farfield.coulomb.kernels.numba import radial
from farfield.coulomb.sources import on_atoms
from farfield.coulomb.sums import pair_loops
from farfield.coulomb.sums.structure_factors import PlaneWaves
from farfield.coulomb.terms.real_space import RealSpace
from farfield.geometry import listed_rows, rows
from farfield.geometry.neighbors import with_neighbors
from farfield.system import System, concatenate


@pytest.mark.parametrize("top", [0.7, 10.6, 23.0, radial.ALL])
@pytest.mark.parametrize("order", range(radial.ORDERS))
def test_boys_functions_are_polynomials_to_rounding(order, top):
    form = radial.boys(top)
    assert form.top == max(top, 1)
    z = np.linspace(0, top, 999)
    u = 2 * z / form.top - 1
    even, odd = (np.polyval(form.terms.reshape(-1, 2 * radial.ORDERS)[:, 2 * order + k], u * u) for k in (0, 1))
    np.testing.assert_allclose(even + u * odd, radial.boys_values(order, z), rtol=0, atol=2e-15)
    # F_n from its integral, by Gauss and Legendre
    t, weight = np.polynomial.legendre.leggauss(60)
    t, weight = (t + 1) / 2, weight / 2
    for x in (0.1, 0.5, 2.0):
        integral = (weight * t ** (2 * order) * np.exp(-x * t * t)).sum()
        np.testing.assert_allclose(radial.boys_values(order, np.array([x]))[0], integral, rtol=1e-14)


@pytest.fixture
def batch(rng, apart, triclinic, crystal):
    cells = [triclinic(rng, 5.0), triclinic(rng, 7.0)]
    systems = [with_neighbors(crystal(apart(rng, n, cell), cell), 6.0) for n, cell in zip((5, 9), cells)]
    return concatenate(systems), torch.from_numpy(rng.normal(size=(14, 2)))


@pytest.mark.parametrize("widths", [None, 0.4])
@pytest.mark.parametrize("attached", [True, False])
def test_energies_slopes_and_curvatures_are_those_of_plain_torch(widths, attached, batch):
    system, charges = batch
    plan = Coulomb(error=1e-2).plan(system, None if widths is None else torch.linspace(0.2, widths, 14).double())
    assert 0 < plan.reach < 6.0
    if not attached:
        system = replace(system, neighbors=None)

    def derivatives(energy):
        positions, cell, q = (x.clone().requires_grad_() for x in (system.positions, system.cell, charges))
        moved = replace(system, positions=positions, cell=cell)
        sigma = None if widths is None else torch.linspace(0.2, widths, 14).double()
        total = energy(on_atoms(moved, q, sigma), plan)
        weight = torch.tensor([[1.0, 0.3], [-0.7, 2.0]], dtype=torch.float64, requires_grad=True)
        slopes = torch.autograd.grad((weight * total).sum(), (positions, cell, q), create_graph=True)
        loss = sum((slope * slope.detach().cos()).sum() for slope in slopes)
        return total.detach(), *slopes, *torch.autograd.grad(loss, (positions, cell, q, weight))

    for found, expected in zip(derivatives(pair_loops.energy), derivatives(pair_loops.energy_reference)):
        torch.testing.assert_close(found.detach(), expected.detach(), atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize("widths", [None, 0.4])
def test_dipoles_are_those_of_plain_torch(widths, batch, rng):
    """Energies, slopes and curvatures of two channels of charges and dipoles."""
    system, charges = batch
    sigma = None if widths is None else torch.linspace(0.2, widths, 14).double()
    dipoles = torch.from_numpy(rng.normal(size=(14, 2, 3)))
    plan = Coulomb(error=1e-2).plan(system, sigma, rank=1)
    assert plan.reach > 0

    def derivatives(energy):
        variables = [x.clone().requires_grad_() for x in (system.positions, system.cell, charges, dipoles)]
        positions, cell, q, mu = variables
        total = energy(on_atoms(replace(system, positions=positions, cell=cell), q, sigma, mu), plan)
        slopes = torch.autograd.grad((total * total.detach().cos()).sum(), variables, create_graph=True)
        loss = sum((slope * slope.detach().cos()).sum() for slope in slopes)
        return total.detach(), *slopes, *torch.autograd.grad(loss, variables)

    def by_loops(placed, plan):
        return RealSpace(placed, plan).energy()

    for found, expected in zip(derivatives(by_loops), derivatives(pair_loops.energy_reference)):
        torch.testing.assert_close(found.detach(), expected.detach(), atol=1e-10, rtol=1e-9)


def test_response_is_that_of_plain_torch(batch):
    system, charges = batch
    placed, plan = on_atoms(system, charges, None), Coulomb(error=1e-2).plan(system)
    for found, expected in zip(
        pair_loops.potential_and_field(placed, plan), pair_loops._potential_and_field_reference(placed, plan)
    ):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-10)


def test_a_list_is_read_once_per_pair_and_kept(batch, monkeypatch):
    system, charges = batch
    known = system.neighbors
    once = listed_rows.listed_once(
        known.i.numpy(), known.j.numpy(), known.shift.numpy(), sources=system.n_atoms, twice=True
    )
    assert 2 * once.pairs == len(known.i)
    plan = Coulomb(error=1e-2).plan(system)
    first = pair_loops.energy(on_atoms(system, charges, None), plan)

    def again(*_, **__):
        raise AssertionError("the list has not changed")

    monkeypatch.setattr(listed_rows, "listed_once", again)
    assert torch.equal(pair_loops.energy(on_atoms(system, charges, None), plan), first)


@pytest.mark.parametrize("attached", [True, False])
def test_images_that_lie_wide_apart_are_sorted_instead(attached, batch, monkeypatch):
    system, charges = batch
    system = system if attached else replace(system, neighbors=None)
    plan = Coulomb(error=1e-2).plan(system)
    dense = pair_loops.potential_and_field(on_atoms(system, charges, None), plan)
    monkeypatch.setattr(listed_rows, "DENSE", 0)
    monkeypatch.setattr(rows, "MOST", 0)
    again = on_atoms(replace(system, neighbors=replace(system.neighbors) if attached else None), charges, None)
    for found, expected in zip(pair_loops.potential_and_field(again, plan), dense):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


def test_waves_are_those_of_the_reference(rng):
    phases = torch.from_numpy(rng.uniform(-3, 3, (2, 70, 3)))
    indices = torch.from_numpy(rng.integers(-4, 5, (2, 23, 3)).astype(float))
    moments, cosine, sine = (torch.from_numpy(rng.normal(size=(2, n, 3))) for n in (70, 23, 23))
    waves = PlaneWaves(phases, indices)
    for found, expected in zip(waves.spread(moments), waves.spread_reference(moments)):
        torch.testing.assert_close(found, expected, atol=1e-11, rtol=1e-11)
    torch.testing.assert_close(waves.gather(cosine, sine), waves.gather_reference(cosine, sine), atol=1e-11, rtol=1e-11)
    angle = torch.einsum("ska,sna->skn", indices, phases)
    torch.testing.assert_close(waves.spread(moments)[0], angle.cos() @ moments, atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize("method", ["ewald", "mesh"])
def test_a_system_that_is_lost_takes_no_other_with_it(method, batch):
    system, charges = batch
    coulomb = Coulomb(error=1e-2, method=method)
    plan = coulomb.plan(system)
    system = with_neighbors(system, plan.reach)
    right = coulomb.evaluate(system, charges=charges, plan=plan)
    for lost in (0, 1):
        here = system.system_index == lost
        positions = torch.where(here[:, None], torch.nan, system.positions)
        found = coulomb.evaluate(replace(system, positions=positions), charges=charges, plan=plan)
        torch.testing.assert_close(found.forces[~here], right.forces[~here])
        torch.testing.assert_close(found.energy[1 - lost], right.energy[1 - lost])


def test_charges_that_depend_on_positions_to_third_order():
    """Each partial derivative is taken once: not again by way of the charges."""
    atoms = ase.Atoms("NaCl", [[0.1, 0, 0], [2.1, 2.0, 2.2]], cell=[5.1, 5.2, 5.3], pbc=True)
    system, weights = System.from_ase(atoms), torch.tensor([[1.0, 0.2, 0.1], [-0.7, 0.3, 0.2]], dtype=torch.float64)

    def curvature(positions):
        charges = torch.tensor([1.0, -1.0], dtype=torch.float64) + 0.2 * torch.sin((positions * weights).sum(1))
        energy = Coulomb(error=1e-5).energy(system.with_positions(positions), charges=charges, widths=0.5).sum()
        (slope,) = torch.autograd.grad(energy, positions, create_graph=True)
        (second,) = torch.autograd.grad((slope * weights).sum(), positions, create_graph=True)
        return second

    assert torch.autograd.gradcheck(curvature, system.positions.clone().requires_grad_(), atol=1e-5)
