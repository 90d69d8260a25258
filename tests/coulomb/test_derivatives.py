"""Every derivative is that of the energy: by finite differences, to second order, and without a graph."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from farfield.coulomb import Coulomb, Sources
from farfield.coulomb.functions.radial import screened, smeared
from farfield.coulomb.sums.structure_factors import PlaneWaves, gather, spread

KINDS = [("open", False), ("open", True), ("periodic", False), ("periodic", True)]
COULOMB_EXACT = Coulomb(error=1e-8)


@pytest.fixture
def scene(rng, apart, triclinic, crystal):
    def build(kind, gaussian, count=4):
        cell = triclinic(rng, 5.0)
        places = apart(rng, count, cell)
        system = crystal(places, cell if kind == "periodic" else None)
        charges = torch.from_numpy(rng.normal(size=count))
        widths = torch.from_numpy(rng.uniform(0.3, 0.6, count)) if gaussian else None
        return system, charges, widths

    return build


@pytest.mark.parametrize("kind, gaussian", KINDS)
def test_first_and_second_derivatives(kind, gaussian, scene):
    system, charges, widths = scene(kind, gaussian)
    plan = COULOMB_EXACT.plan(system, widths) if kind == "periodic" else None

    def energy(positions, charges, strain, *widths):
        moved = system.with_positions(positions).strained(strain)
        return COULOMB_EXACT.energy(moved, charges=charges, widths=widths[0] if widths else None, plan=plan)

    strain = 0.02 * torch.ones(1, 3, 3, dtype=torch.float64)
    inputs = [system.positions, charges, strain, *([] if widths is None else [widths])]
    inputs = [x.clone().requires_grad_() for x in inputs]
    assert gradcheck(energy, inputs, eps=1e-5, atol=1e-5, rtol=1e-5)
    assert gradgradcheck(energy, inputs, eps=1e-5, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kernel", [screened, smeared])
def test_kernels_close_under_differentiation(kernel):
    squared = torch.tensor([0.09, 0.7, 2.0, 9.0], dtype=torch.float64, requires_grad=True)
    rate = torch.tensor([0.8, 0.6, 0.5, 0.7], dtype=torch.float64, requires_grad=kernel is smeared)
    inputs = (squared, rate) if kernel is smeared else (squared,)
    value = kernel(squared, rate)
    for order in (1, 2, 3):
        (value,) = torch.autograd.grad(value.sum(), squared, create_graph=True)
        torch.testing.assert_close(value, (-0.5) ** order * kernel(squared, rate, order), rtol=1e-11, atol=1e-11)
    assert gradgradcheck(lambda s, a=rate: kernel(s, a), inputs, eps=1e-6)


def test_smeared_kernel_joins_its_series():
    rate = torch.ones(2, dtype=torch.float64)
    around = torch.tensor([0.5 - 1e-9, 0.5 + 1e-9], dtype=torch.float64)
    for order in range(5):
        below, above = smeared(around, rate, order)
        assert float(below) == pytest.approx(float(above), rel=1e-7)
    at_zero = smeared(torch.zeros(1, dtype=torch.float64), rate[:1])
    assert float(at_zero) == pytest.approx(2 / np.sqrt(np.pi), rel=1e-14)


def test_waves_are_adjoint_and_close_under_differentiation(rng):
    phases = torch.from_numpy(rng.uniform(-3, 3, (2, 3, 3))).requires_grad_()
    moments, cosine, sine = (torch.from_numpy(rng.normal(size=(2, n, 2))).requires_grad_() for n in (3, 5, 5))
    waves = PlaneWaves(phases, torch.from_numpy(rng.integers(-2, 3, (2, 5, 3)).astype(float)))
    there = spread(phases, moments, waves)
    back = gather(phases, cosine, sine, waves)
    torch.testing.assert_close((there[0] * cosine + there[1] * sine).sum(), (back * moments).sum())

    def fresh(phases):
        return PlaneWaves(phases, waves.indices)

    assert gradcheck(lambda x, m: spread(x, m, fresh(x)), (phases, moments))
    assert gradgradcheck(lambda x, m: spread(x, m, fresh(x)), (phases, moments))
    assert gradgradcheck(lambda x, c, s: gather(x, c, s, fresh(x)), (phases, cosine, sine))


def test_waves_block_by_block(monkeypatch, rng):
    phases, moments = torch.from_numpy(rng.normal(size=(1, 6, 3))), torch.from_numpy(rng.normal(size=(1, 6, 2)))
    indices = torch.from_numpy(rng.integers(-3, 4, (1, 23, 3)).astype(float))
    whole = PlaneWaves(phases, indices)
    monkeypatch.setattr("farfield.coulomb.sums.structure_factors.BLOCK", 6 * 5)
    blocks = PlaneWaves(phases, indices)
    for one, other in zip(whole.spread(moments), blocks.spread(moments)):
        torch.testing.assert_close(one, other)
    amplitudes = whole.spread(moments)
    torch.testing.assert_close(whole.gather(*amplitudes), blocks.gather(*amplitudes))
    weight = torch.from_numpy(rng.random((1, 23, 1)))
    torch.testing.assert_close(whole.products(weight), blocks.products(weight))


@pytest.mark.parametrize("kind, gaussian", KINDS)
def test_evaluation_is_the_gradient_of_the_energy(kind, gaussian, scene):
    system, charges, widths = scene(kind, gaussian, 6)
    positions, variable = system.positions.clone().requires_grad_(), charges.clone().requires_grad_()
    strain = torch.zeros(1, 3, 3, dtype=torch.float64, requires_grad=True)
    energy = COULOMB_EXACT.energy(system.with_positions(positions).strained(strain), charges=variable, widths=widths)
    slopes = torch.autograd.grad(energy.sum(), (positions, variable, strain))
    found = COULOMB_EXACT.evaluate(system, charges=charges, widths=widths)
    torch.testing.assert_close(found.energy, energy.detach(), atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(found.forces, -slopes[0], atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(found.potential, slopes[1], atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(found.forces, charges[:, None] * found.field, atol=1e-12, rtol=0)
    if kind == "periodic":
        torch.testing.assert_close(found.stress, slopes[2] / system.volume()[:, None, None], atol=1e-10, rtol=1e-10)
    else:
        assert found.stress.isnan().all()


def test_stress_by_finite_strain(scene):
    system, charges, _ = scene("periodic", False, 6)
    stress = COULOMB_EXACT.evaluate(system, charges=charges).stress[0]
    plan = COULOMB_EXACT.plan(system)
    for a, b in ((0, 0), (1, 2), (2, 1)):
        strain = torch.zeros(3, 3, dtype=torch.float64)
        strain[a, b] = 1e-4
        plus, minus = (
            COULOMB_EXACT.energy(system.strained(sign * strain), charges=charges, plan=plan) for sign in (1, -1)
        )
        slope = float((plus - minus) / 2e-4 / system.volume())
        assert slope == pytest.approx(float(stress[a, b]), abs=1e-6)


def test_matrix_and_operator_give_the_energy_and_its_derivatives(scene):
    for kind, gaussian in KINDS:
        system, charges, widths = scene(kind, gaussian, 5)
        positions = system.positions.clone().requires_grad_()
        moved = system.with_positions(positions)
        (matrix,) = COULOMB_EXACT.matrix(moved, widths)
        quadratic = 0.5 * charges @ matrix @ charges
        energy = COULOMB_EXACT.energy(moved, charges=charges, widths=widths)
        torch.testing.assert_close(quadratic, energy[0])
        slopes = [torch.autograd.grad(e.sum(), positions, retain_graph=True)[0] for e in (quadratic, energy)]
        torch.testing.assert_close(*slopes, atol=1e-9, rtol=1e-9)
        torch.testing.assert_close(matrix, matrix.T)
        with torch.no_grad():
            torch.testing.assert_close(COULOMB_EXACT.matrix(system, widths)[0], matrix.detach(), atol=1e-10, rtol=1e-10)
        potential = COULOMB_EXACT.operator(moved, widths)(charges)
        torch.testing.assert_close(potential, matrix @ charges, atol=1e-10, rtol=1e-10)


def test_works_where_no_graph_is_allowed(scene):
    system, charges, widths = scene("periodic", True)
    expected = COULOMB_EXACT.evaluate(system, charges=charges.requires_grad_(), widths=widths)
    assert not expected.energy.requires_grad
    with torch.inference_mode():
        found = COULOMB_EXACT.evaluate(system, charges=charges * 1, widths=widths)
    torch.testing.assert_close(found.forces.clone(), expected.forces)


def test_coincident_gaussians_have_smooth_derivatives(crystal):
    """The pair energy of two Gaussians at the same place is K q q' 2a/√π, and its curvature K q q' (4a³/3√π)."""
    system = crystal([[0.0, 0, 0]])
    positions = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    index, charges = torch.zeros(2, dtype=torch.long), torch.tensor([1.0, 1.0], dtype=torch.float64)
    sources = Sources(positions, index, charges, widths=0.5)
    energy = Coulomb().energy(system, sources=sources, self_energy=False)
    rate, constant = 1.0, 14.399645478425668
    assert energy.item() == pytest.approx(constant * 2 * rate / np.sqrt(np.pi))
    (force,) = torch.autograd.grad(energy.sum(), positions, create_graph=True)
    assert force.abs().max() == 0
    (curvature,) = torch.autograd.grad(force[0, 0], positions)
    assert curvature[0, 0].item() == pytest.approx(-constant * 4 * rate**3 / (3 * np.sqrt(np.pi)))
