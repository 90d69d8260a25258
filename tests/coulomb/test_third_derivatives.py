"""Derivatives whose inputs depend on one another are the same with and without a graph kept."""

from dataclasses import replace

import pytest
import torch

from farfield.coulomb import Coulomb


@pytest.mark.parametrize("method", ["ewald", "mesh"])
@pytest.mark.parametrize("width", [None, 0.5])
@pytest.mark.parametrize("case", ["independent", "charges of positions", "square", "strain"])
def test_second_derivatives_do_not_depend_on_whether_a_graph_is_kept(
    method, width, case, rng, apart, triclinic, crystal
):
    cell = triclinic(rng, 7.0)
    system = crystal(apart(rng, 6, cell), cell)
    charges, way = (torch.from_numpy(rng.normal(size=size)) for size in (6, (6, 3)))
    coulomb = Coulomb(error=1e-4, method=method)
    plan = coulomb.plan(system, width)

    def product(*, create_graph):
        variable = torch.zeros(3, 3).double() if case == "strain" else system.positions.clone()
        variable.requires_grad_()
        moved = system.strained(variable) if case == "strain" else replace(system, positions=variable)
        q = charges + 0.1 * (variable.sum(1).sin() if case == "charges of positions" else 0)
        energy = coulomb.energy(moved, charges=q, widths=width, plan=plan).sum()
        energy = energy**2 if case == "square" else energy
        (slope,) = torch.autograd.grad(energy, variable, create_graph=True)
        along = way[:3] if case == "strain" else way
        return torch.autograd.grad((slope * along).sum(), variable, create_graph=create_graph)[0].detach()

    torch.testing.assert_close(product(create_graph=True), product(create_graph=False), atol=1e-9, rtol=1e-9)
