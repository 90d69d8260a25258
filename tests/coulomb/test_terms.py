"""Every term answers all questions alike: potentials are derivatives of its energy, matrices its maps written down."""

from dataclasses import replace

import ase
import pytest
import torch

from farfield.coulomb import Coulomb
from farfield.coulomb.padding import Padding
from farfield.coulomb.sources import Sources, elsewhere, on_atoms
from farfield.coulomb.terms.background import Background
from farfield.coulomb.terms.boundary import Vacuum
from farfield.coulomb.terms.direct import Direct
from farfield.coulomb.terms.fused_waves import FusedWaves
from farfield.coulomb.terms.gaussian_self import GaussianSelf
from farfield.coulomb.terms.mesh import Mesh
from farfield.coulomb.terms.real_space import RealSpace
from farfield.coulomb.terms.term import Sum
from farfield.coulomb.terms.waves import WaveSum
from farfield.system import System, per_system

PERIODIC = {
    "real space": RealSpace,
    "waves": WaveSum,
    "fused waves": FusedWaves,
    "background": Background,
    "mesh": Mesh,
}
TERMS = ["direct", *PERIODIC, "vacuum", "Gaussians", "sum"]


@pytest.fixture
def scene(rng, apart, triclinic):
    """Two systems of five and eight atoms, neutral, as sources of a term of that name."""
    frames = []
    for n, cell in zip((5, 8), (triclinic(rng), triclinic(rng))):
        frames.append(ase.Atoms([1] * n, positions=apart(rng, n, cell), cell=cell, pbc=True))
    periodic = System.from_ase(frames)
    charges = torch.from_numpy(rng.normal(size=(13, 2)))
    charges = charges - (per_system(charges, periodic) / torch.tensor([[5.0], [8.0]]))[periodic.system_index]
    widths = torch.from_numpy(rng.uniform(0.3, 0.5, 13))

    def build(name, system=periodic, charges=charges, dipoles=None):
        if name == "direct":
            system = replace(system, periodic=torch.zeros_like(system.periodic))
        placed = replace(on_atoms(system, charges, widths, dipoles), charges=charges)
        plan = Coulomb(error=1e-4, method="mesh" if name == "mesh" else "ewald").plan(periodic, widths, rank=1)
        others = {
            "direct": Direct,
            "vacuum": lambda s: Vacuum(s, torch.arange(2)),
            "Gaussians": lambda s: GaussianSelf(s, widths),
        }
        if name == "sum":
            return Sum(RealSpace(placed, plan), FusedWaves(placed, plan))
        return PERIODIC[name](placed, plan) if name in PERIODIC else others[name](placed)

    return build, periodic, charges


@pytest.mark.parametrize("name", TERMS)
def test_potential_field_and_virial_are_derivatives_of_the_energy(name, scene):
    build, system, charges = scene
    q, r, strain = (
        charges.clone().requires_grad_(),
        system.positions.clone().requires_grad_(),
        torch.zeros(2, 3, 3).double(),
    )
    moved = replace(system, positions=r).strained(strain.requires_grad_())
    energy = build(name, moved, q).energy()
    expected = torch.autograd.grad(energy[:, 0].sum(), (q, r, strain), materialize_grads=True)
    found = build(name).potential_and_field()
    assert torch.allclose(found.potential[:, 0], expected[0][:, 0], atol=1e-9)
    field = torch.zeros(13, 3).double() if found.field is None else found.field[:, 0]
    assert torch.allclose(-charges[:, :1] * field, expected[1], atol=1e-9)
    assert torch.allclose(found.virial[:, 0], expected[2], atol=1e-9)


@pytest.mark.parametrize("name", TERMS)
def test_maps_and_matrices_are_those_of_the_energy(name, scene):
    build, system, charges = scene
    term, padding = build(name), Padding.of(system)
    potential = term.operator()(charges)
    assert torch.allclose(0.5 * per_system(charges * potential, system), term.energy(), atol=1e-10)
    written = padding.unpad(term.matrix(padding) @ padding.pad(charges))
    assert torch.allclose(written, potential, atol=1e-10)


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("graph", [True, False])
def test_charges_and_dipoles_interact_by_the_derivatives_of_their_energy(name, graph, scene, rng):
    build, system, charges = scene
    dipoles = torch.from_numpy(rng.normal(size=(13, 2, 3)))
    q, mu = charges.clone().requires_grad_(), dipoles.clone().requires_grad_()
    if name in ("fused waves", "sum"):  # the energy of charges alone
        q, mu = charges.clone().requires_grad_(), None
    energy = build(name, system, q, mu).energy()
    given = [x for x in (q, mu) if x is not None]
    expected = torch.autograd.grad(energy.sum(), given, materialize_grads=True)
    with torch.set_grad_enabled(graph):
        linear = build(name, dipoles=torch.zeros_like(dipoles)).interaction()
        columns = torch.cat([charges.unsqueeze(1), (dipoles if mu is not None else 0 * dipoles).transpose(1, 2)], 1)
        found = linear(columns)
    assert torch.allclose(found[:, 0], expected[0], atol=1e-9)
    if mu is not None:
        assert torch.allclose(found[:, 1:].transpose(1, 2), expected[1], atol=1e-9)
    if linear.dipoles is not None:
        alone = torch.cat([torch.zeros_like(charges).unsqueeze(1), dipoles.transpose(1, 2)], 1)
        padding = Padding.of(system)
        whole = linear.dipoles(padding).flatten(3).flatten(1, 2)
        written = padding.unpad((whole @ padding.pad(alone[:, 1:]).flatten(1, 2)).reshape(2, -1, 3, 2))
        assert torch.allclose(written, linear(alone)[:, 1:], atol=1e-9)


@pytest.mark.parametrize("name", [name for name in TERMS if name != "Gaussians"])
def test_the_potential_at_points_is_what_a_charge_there_adds(name, scene, rng):
    build, system, charges = scene
    points = torch.from_numpy(rng.normal(size=(3, 3)) + 2)
    index = torch.tensor([0, 1, 1])
    probes, _ = elsewhere(system, Sources(points, index, torch.zeros(3).double()))
    found = build(name).potential_at(probes)
    q = charges.clone().requires_grad_()
    moved = build(name, system, q).potential_at(probes)
    (by_charges,) = torch.autograd.grad(moved[:, 0].sum(), q)
    assert torch.allclose((by_charges * charges).sum(), found[:, 0].sum(), atol=1e-10)
