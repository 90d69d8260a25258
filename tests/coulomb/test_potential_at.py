"""The potential at points, and averaged over Gaussians around them: the cross term of energies, and its derivatives."""

from dataclasses import replace

import ase
import numpy as np
import pytest
import torch

from farfield.coulomb import Coulomb, Sources
from farfield.errors import InputError
from farfield.system import System

AXES = {"open": (0, 0, 0), "wire": (0, 0, 1), "slab": (1, 1, 0), "crystal": (1, 1, 1)}
WAYS = [
    ("open", "direct"), ("open", "mesh"), ("wire", "ewald"), ("slab", "ewald"), ("slab", "mesh"), ("crystal", "ewald"),
    ("crystal", "mesh"),
]  # fmt: skip
WIDTHS = {
    "points on Gaussians": (0.7, None),
    "Gaussians on points": (None, 0.5),
    "broad": (1.5, 1.5),
    "broad, and points": (1.5, None),
    "unlike": (np.linspace(0.4, 0.9, 6), np.array([0.0, 0.8, 1.1])),
}


@pytest.fixture
def scene(rng, apart, triclinic):
    """Six sources, a charge each, and three points near them, in a skew cell; neither set is neutral."""
    cell = triclinic(rng)
    places = torch.from_numpy(apart(rng, 9, cell))
    charges = torch.from_numpy(rng.normal(size=9)) + 0.3

    def build(place):
        atoms = ase.Atoms([1] * 6, positions=places[:6].numpy(), cell=cell, pbc=AXES[place])
        return System.from_ase(atoms), places, charges

    return build


def widths_of(given, count):
    return torch.zeros(count).double() if given is None else torch.as_tensor(given, dtype=torch.float64).expand(count)


@pytest.mark.parametrize("kind", WIDTHS)
@pytest.mark.parametrize(("place", "method"), WAYS)
def test_charges_times_the_potential_are_the_cross_term_of_the_energy(scene, place, method, kind):
    system, places, charges = scene(place)
    coulomb, widths = Coulomb(error=1e-10, method=method), torch.cat(list(map(widths_of, WIDTHS[kind], (6, 3))))

    def energy(charges):
        sources = Sources(places, torch.zeros(9, dtype=torch.long), charges, widths=widths)
        return coulomb.energy(system, sources=sources, self_energy=False)

    sign = torch.cat([torch.ones(6), -torch.ones(3)]).double()
    expected = (energy(charges) - energy(sign * charges)) / 2
    sigma, sigma_points = (torch.as_tensor(x) if isinstance(x, np.ndarray) else x for x in WIDTHS[kind])
    sources = Sources(places[:6], torch.zeros(6, dtype=torch.long), charges[:6], widths=sigma)
    potential = coulomb.potential_at(system, sources, places[6:], point_widths=sigma_points)
    scale = max(float(potential.abs().max()), 1.0) * float(charges.abs().sum())
    torch.testing.assert_close((charges[6:] @ potential)[None], expected, atol=1e-9 * scale, rtol=0)


@pytest.mark.parametrize(("place", "method"), [("open", "direct"), ("slab", "ewald"), ("crystal", "ewald")])
def test_a_gaussian_on_top_of_a_charge_has_the_closed_form_of_its_pair(scene, place, method):
    system, places, charges = scene(place)
    coulomb, index = Coulomb(error=1e-10, method=method), torch.zeros(6, dtype=torch.long)
    at_rest, near = (
        coulomb.potential_at(system, Sources(places[:6], index, charges[:6]), point, point_widths=0.6)
        for point in (places[:1], places[:1] + 1e-3 * torch.eye(3).double()[:1])
    )
    assert float(at_rest) == pytest.approx(float(near), abs=1e-2)
    if place == "open":
        r = (places[1:6] - places[0]).norm(dim=1)
        inverse = torch.cat([torch.tensor([2 / np.sqrt(np.pi)]) / (np.sqrt(2) * 0.6), torch.erf(r / 0.6 / 2**0.5) / r])
        assert float(at_rest) == pytest.approx(14.399645478425668 * float(charges[:6] @ inverse), rel=1e-9)


@pytest.mark.parametrize(
    ("place", "method"), [("open", "direct"), ("slab", "ewald"), ("crystal", "ewald"), ("crystal", "mesh")]
)
def test_three_derivatives_are_those_of_finite_differences(scene, place, method):
    system, places, charges = scene(place)
    coulomb, index = Coulomb(error=1e-7, method=method), torch.zeros(6, dtype=torch.long)
    generator = torch.Generator().manual_seed(3)
    inputs = [places[6:], places[:6], charges[:6], system.cell * system.periodic.unsqueeze(2), torch.full((3,), 0.5)]
    inputs = [x.double() for x in inputs]
    along = [0.1 * torch.randn(x.shape, generator=generator, dtype=torch.float64) for x in inputs]
    along[3] = along[3] * system.periodic.unsqueeze(2)

    def potential(points, positions, charges, cell, point_widths):
        here = replace(system, cell=cell)
        sources = Sources(positions, index, charges, widths=0.6)
        return coulomb.potential_at(here, sources, points, point_widths=point_widths).sum()

    def directional(order, step):
        x = [(x + step * d).requires_grad_() for x, d in zip(inputs, along)]
        value = potential(*x)
        for _ in range(order):
            value = sum(
                (g * d).sum()
                for g, d in zip(torch.autograd.grad(value, x, create_graph=True, materialize_grads=True), along)
            )
        return value.detach()

    h = 1e-3
    for order in (1, 2, 3):
        finite = (
            8 * (directional(order - 1, h) - directional(order - 1, -h))
            - directional(order - 1, 2 * h)
            + directional(order - 1, -2 * h)
        ) / (12 * h)
        torch.testing.assert_close(directional(order, 0.0), finite, rtol=1e-5, atol=1e-5)


def test_widths_of_points_that_do_not_fit_are_refused(scene):
    system, places, charges = scene("open")
    sources = Sources(places[:6], torch.zeros(6, dtype=torch.long), charges[:6])
    with pytest.raises(InputError, match=r"expected one number or \(3,\)"):
        Coulomb().potential_at(system, sources, places[6:], point_widths=torch.ones(2))
