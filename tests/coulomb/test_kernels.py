"""Where the environment says FARFIELD_KERNELS=reference plain torch sums what loops do otherwise."""

import pytest
import torch

from farfield.compiled import has_loops
from farfield.coulomb import Coulomb


@pytest.fixture
def scene(rng, apart, triclinic, crystal):
    cell = triclinic(rng)
    system = crystal(apart(rng, 8, cell), cell)
    return system, {
        "charges": torch.from_numpy(rng.normal(size=8)),
        "dipoles": torch.from_numpy(rng.normal(size=(8, 3))),
    }


def said(coulomb, system, moments, widths):
    with_dipoles, charges = coulomb.evaluate(system, **moments, widths=widths), moments["charges"]
    alone = coulomb.evaluate(system, charges=charges, widths=widths)
    positions = system.positions.clone().requires_grad_()
    energy = coulomb.energy(system.with_positions(positions), charges=charges, widths=widths)
    (slope,) = torch.autograd.grad(energy.sum(), positions, create_graph=True)
    (second,) = torch.autograd.grad(slope.square().sum(), positions)
    with torch.no_grad():
        potential, field = coulomb.interaction(system, widths)(charges, moments["dipoles"])
    return [*vars(with_dipoles).values(), *vars(alone).values(), slope.detach(), second, potential, field,
            coulomb.operator(system, widths)(charges), coulomb.matrix(system, widths)[0]]  # fmt: skip


@pytest.mark.parametrize("method", ["ewald", "mesh"])
@pytest.mark.parametrize("widths", [None, 0.6], ids=["points", "gaussians"])
def test_plain_torch_sums_what_loops_do(scene, method, widths, monkeypatch):
    system, moments = scene
    coulomb = Coulomb(error=1e-6, method=method)
    by_loops = said(coulomb, system, moments, widths)
    monkeypatch.setenv("FARFIELD_KERNELS", "reference")
    assert not has_loops(system.positions)
    for found, expected in zip(said(coulomb, system, moments, widths), by_loops):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
