"""The compiled far half against plain torch and finite differences."""

from dataclasses import replace

import ase
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from farfield.coulomb import Coulomb
from farfield.coulomb.kernels.numba.wave_rows import rows_of
from farfield.coulomb.sources import on_atoms
from farfield.coulomb.sums import wave_loops
from farfield.coulomb.terms import waves
from farfield.system import System

SPACES = {"crystals": (1, 1, 1), "slabs": (1, 0, 1), "wires": (0, 0, 1)}


@pytest.fixture
def build(rng):
    def build(space, sizes, edge=5.0):
        frames = [
            ase.Atoms(
                f"H{count}", rng.uniform(-3, 9, (count, 3)), pbc=SPACES[space],
                cell=np.diag([edge, edge + 1, edge + 2]) + rng.uniform(-0.8, 0.8, (3, 3)),
            )
            for count in sizes
        ]  # fmt: skip
        return System.from_ase(frames)

    return build


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("width", [None, 0.8])
def test_energies_slopes_and_curvatures_are_those_of_plain_torch(space, width, rng, build):
    system = build(space, (5, 70))  # more than a block, not a multiple of a register
    charges = torch.from_numpy(rng.normal(size=(75, 2)))
    plan = Coulomb(error=1e-3).plan(system, width)
    real = torch.cat([torch.ones(2, 1), plan.multiplicity], 1) > 0  # padding has no weight, and no slope by it here

    def derivatives(energy):
        positions, cell, q, weights = (
            x.clone().requires_grad_()
            for x in (system.positions, system.cell, charges, waves.weights_with_origin(system, plan))
        )
        total = energy(on_atoms(replace(system, positions=positions, cell=cell), q, width), plan, weights)
        scale = torch.tensor([[1.0, 0.3], [-0.7, 2.0]], dtype=torch.float64, requires_grad=True)
        known = (positions, cell, q, weights)
        *slopes, by_weights = torch.autograd.grad((scale * total).sum(), known, create_graph=True)
        slopes.append(by_weights * real)
        loss = sum((slope * slope.detach().cos()).sum() for slope in slopes)
        *bends, twice, to_scale = torch.autograd.grad(loss, (*known, scale))
        return total, *slopes, *bends, twice * real, to_scale

    for found, expected in zip(derivatives(wave_loops.energy), derivatives(wave_loops.energy_reference)):
        torch.testing.assert_close(found, expected, atol=1e-10 * expected.detach().abs().max().item(), rtol=1e-9)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("width", [None, 0.8])
def test_first_and_second_derivatives_by_finite_differences(space, width, rng, build):
    system = build(space, (2, 3), edge=3.0)
    charges = torch.from_numpy(rng.normal(size=(5, 1)))
    plan = Coulomb(error=1e-2).plan(system, width)
    given = (system.positions, system.cell, charges, waves.weights_with_origin(system, plan))
    inputs = tuple(x.clone().requires_grad_() for x in given)

    def energy(positions, cell, q, weights):
        return wave_loops.energy(on_atoms(replace(system, positions=positions, cell=cell), q, width), plan, weights)

    assert gradcheck(energy, inputs, fast_mode=True)
    assert gradgradcheck(energy, inputs, fast_mode=True)


def test_third_derivatives_go_on_in_plain_torch(rng, build):
    system = build("crystals", (3,), edge=3.0)
    charges = torch.from_numpy(rng.normal(size=3)).requires_grad_()
    step = torch.from_numpy(rng.normal(size=(3, 3)))

    def curvature(shift, q):
        positions = (system.positions + shift * step).requires_grad_()
        energy = Coulomb(error=1e-2).energy(replace(system, positions=positions), charges=q, widths=0.7)
        (slope,) = torch.autograd.grad(energy.sum(), positions, create_graph=True)
        (bend,) = torch.autograd.grad((slope * step).sum(), positions, create_graph=True)
        return (bend * step).sum()

    shift = torch.zeros((), dtype=torch.float64, requires_grad=True)
    found = torch.autograd.grad(curvature(shift, charges), (shift, charges))
    with torch.enable_grad():
        slope = (curvature(shift.detach() + 1e-4, charges) - curvature(shift.detach() - 1e-4, charges)) / 2e-4
    torch.testing.assert_close(found[0], slope.detach(), rtol=1e-5, atol=1e-6)


def test_single_precision_is_right_to_its_own_rounding(rng, build):
    system, charges = build("crystals", (64, 40), edge=9.0), torch.from_numpy(rng.normal(size=104))
    found = {}
    for dtype in (torch.float32, torch.float64):
        positions, q = (x.to(dtype).requires_grad_() for x in (system.positions.float(), charges.float()))
        moved = replace(system.to(dtype=torch.float32).to(dtype=dtype), positions=positions)
        energy = Coulomb(error=2e-5).energy(moved, charges=q, widths=0.7, self_energy=False)
        slopes = torch.autograd.grad(energy.sum(), (positions, q), create_graph=True)
        bends = torch.autograd.grad(sum(slope.square().sum() for slope in slopes), (positions, q))
        found[dtype] = [energy, *slopes, *bends]
    for rough, exact in zip(*found.values()):
        assert rough.dtype == torch.float32
        assert (rough - exact).abs().max() < 5e-6 * exact.abs().max()


def test_plans_and_weights_are_made_once_for_the_same_cells(build, monkeypatch):
    system, coulomb = build("crystals", (4, 6)), Coulomb(error=1e-3)
    assert coulomb.plan(system) is coulomb.plan(system.with_positions(system.positions + 0.1))
    assert coulomb.plan(system) is not coulomb.plan(replace(system, cell=1.01 * system.cell))
    charges = torch.linspace(-1, 1, 10).double()
    plan = coulomb.plan(system)
    wide = replace(system, cell=1.1 * system.cell)
    first = coulomb.energy(system, charges=charges, plan=plan)
    wider = coulomb.energy(wide, charges=charges, plan=plan)  # another cell at the same plan has its own weights
    again = coulomb.energy(system, charges=charges, plan=plan)
    assert torch.equal(first, again)
    assert not torch.allclose(first, wider)
    moved = replace(wide, cell=wide.cell.clone().requires_grad_())
    torch.testing.assert_close(coulomb.energy(moved, charges=charges, plan=plan), wider)


def test_rows_hold_every_wave_once(rng):
    indices = np.array([[(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, -4), (0, 1, -3), (0, 1, 1), (2, 1, 7), (2, 1, 6)]])
    rows = rows_of(indices, np.array([8]))
    covered = [
        (*middle[:2], middle[2] + m, wave + m)
        for middle, (wave, above, below) in zip(rows.middle.tolist(), rows.place.tolist())
        for m in range(-below, above + 1)
    ]
    assert sorted(covered, key=lambda one: one[3]) == [(*n, k) for k, n in enumerate(indices[0].tolist())]
    assert rows.highest.tolist() == [[2, 1, 7]]
