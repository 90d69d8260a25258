"""Slabs, wires and molecules: no images across open axes, whatever the cell says."""

import itertools
import json
from pathlib import Path

import ase
import numpy as np
import pytest
import torch
from scipy.special import erfc
from torch.autograd import gradcheck, gradgradcheck

from farfield.coulomb import Coulomb, Sources
from farfield.coulomb.functions.truncated_kernel import bessel_j, bessel_k, kernel
from farfield.coulomb.plan.box import box_of
from farfield.errors import InputError
from farfield.system import System, concatenate
from farfield.units import COULOMB

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
METHODS = ["ewald", "mesh"]
SLAB, WIRE, OPEN = (True, True, False), (False, True, False), (False, False, False)
AXES = [(True, True, False), (True, False, True), (False, True, True), (True, False, False), (False, False, True), OPEN]


def _system(positions, cell, pbc):
    return System.from_ase(ase.Atoms([1] * len(positions), positions=positions, cell=cell, pbc=pbc))


@pytest.fixture
def some(rng, apart):
    """Random charges in a skewed cell, not neutral, with the axes asked for."""

    def build(pbc, count=6, edge=5.0):
        cell = edge * (np.eye(3) + 0.15 * rng.normal(size=(3, 3)))
        places = apart(rng, count, cell)
        charges = torch.from_numpy(rng.normal(size=count) + 0.3)
        return _system(places, cell, pbc), charges

    return build


# name: cell of two ions 1 apart, place of the second, periodic axes, -E of the pair
HEX = 3**0.5
CONSTANTS = {
    "square": ([[1, 1, 0], [1, -1, 0], [0] * 3], [1, 0, 0], SLAB, 1.615542626713),  # 4 (√2 - 1) ζ(½) β(½), its size
    "honeycomb": ([[HEX, 0, 0], [HEX / 2, 1.5, 0], [0] * 3], [0, 1, 0], SLAB, 1.542219721707),
    "chain": ([[0] * 3, [0, 2, 0], [0] * 3], [0, 1, 0], WIRE, 2 * np.log(2)),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CONSTANTS)
def test_lattice_sums(name, method):
    cell, second, pbc, expected = CONSTANTS[name]
    scale = 3.0
    system = _system(scale * np.array([[0, 0, 0], second]), scale * np.array(cell), pbc)
    energy = Coulomb(error=1e-10, method=method).energy(system, charges=torch.tensor([1.0, -1.0]).double())
    assert -float(energy) * scale / COULOMB == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_slab_and_wire_of_independent_sums(method):
    """Exact two-dimensional Ewald (Parry) and a sum over images of a wire, computed elsewhere."""
    if not REFERENCE.exists():
        pytest.skip("the reference configurations are not beside this checkout")
    slab, wire = (np.load(REFERENCE / f"{name}.npz") for name in ("slab8", "wire4"))
    exact = Coulomb(error=1e-10, method=method)
    charges = torch.from_numpy(slab["q"].astype(float))
    system = _system(slab["pos"], np.eye(3) * 10, SLAB)
    assert float(exact.energy(system, charges=charges)) / COULOMB == pytest.approx(float(slab["E2d"]), abs=1e-9)
    charges[0] = 2
    known = json.loads((REFERENCE / "anchors2.json").read_text())["charged slab exact 2D (Parry k=0)"]
    assert float(exact.energy(system, charges=charges)) / COULOMB == pytest.approx(known, abs=1e-9)
    system = _system(wire["pos"], np.eye(3) * float(wire["L"]), (False, False, True))
    energy = exact.energy(system, charges=torch.from_numpy(wire["q"].astype(float)))
    assert float(energy) / COULOMB == pytest.approx(float(wire["E"]), abs=1e-9)


def _parry(positions, charges, edges, *, alpha=0.8):
    """Two-dimensional Ewald of a rectangle, term by term (Parry, Surf. Sci. 49, 433 (1975))."""
    area, total = edges[0] * edges[1], 0.0
    separation = positions[None] - positions[:, None]
    z, pairs = separation[..., 2], charges[:, None] * charges
    for a, b in itertools.product(range(-5, 6), repeat=2):
        r = np.linalg.norm(separation + np.array([a * edges[0], b * edges[1], 0]), axis=-1)
        near = np.where(r > 1e-9, erfc(alpha * r) / np.where(r > 1e-9, r, 1), 0)
        total += 0.5 * (pairs * near).sum()
    for a, b in itertools.product(range(-16, 17), repeat=2):
        g = 2 * np.pi * np.array([a / edges[0], b / edges[1]])
        k = np.linalg.norm(g)
        if k == 0:
            flat = z * (1 - erfc(alpha * z)) + np.exp(-((alpha * z) ** 2)) / (alpha * np.sqrt(np.pi))
            total -= np.pi / area * (pairs * flat).sum()
        else:
            both = sum(np.exp(s * k * z) * erfc(k / (2 * alpha) + s * alpha * z) for s in (1, -1))
            total += np.pi / (2 * area * k) * (pairs * both * np.cos(separation[..., :2] @ g)).sum()
    return total - alpha / np.sqrt(np.pi) * (charges**2).sum()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("height", [0.0, 1.0, 4.0, 12.0])
def test_charged_slabs_of_any_thickness(height, method, rng, apart):
    edges = np.array([6.0, 7.0, max(height, 3.0)])
    places = apart(rng, 6, np.diag(edges)) * [1, 1, height / edges[2]]
    charges = rng.normal(size=6) + 0.5
    system = _system(places + 40 * np.eye(3)[2], np.diag([6.0, 7, 0]), SLAB)
    found = Coulomb(error=1e-10, method=method).energy(system, charges=torch.from_numpy(charges))
    assert float(found) / COULOMB == pytest.approx(_parry(places, charges, edges), abs=1e-9)


def test_padding_with_the_planar_correction_agrees(rng, apart):
    """E + 2π/V [M² - Q Σqz² - Q²L²/12] (Yeh and Berkowitz 1999; Ballenegger et al. 2009), vacuum twice the slab's."""
    places = apart(rng, 8, np.diag([6.0, 6, 3]))
    charges = rng.normal(size=8) + 0.2
    exact, given = Coulomb(error=1e-10), torch.from_numpy(charges)
    tall = 40.0
    padded = exact.energy(_system(places, np.diag([6, 6, tall]), True), charges=given)
    z = places[:, 2]
    dipole, total = charges @ z, charges.sum()
    planar = dipole**2 - total * charges @ z**2 - total**2 * tall**2 / 12
    expected = float(padded) + COULOMB * 2 * np.pi / (36 * tall) * planar
    assert float(exact.energy(_system(places, np.eye(3) * 6, SLAB), charges=given)) == pytest.approx(expected, abs=1e-8)


def test_a_wire_is_the_sum_over_its_images(rng, apart):
    """Neutral: images in pairs fall off as 1/n³, and the sum is extrapolated."""
    length, places = 4.0, apart(rng, 5, np.diag([3.0, 4, 3]))
    charges = rng.normal(size=5)
    charges -= charges.mean()
    energies = []
    for last in (200, 400, 800):
        total = 0.0
        for n in range(-last, last + 1):
            r = np.linalg.norm(places[None] - places[:, None] + [0, n * length, 0], axis=-1)
            total += 0.5 * (charges[:, None] * charges * np.where(r > 1e-9, 1 / np.where(r > 1e-9, r, 1), 0)).sum()
        energies.append(total)
    one, two = ((4 * b - a) / 3 for a, b in itertools.pairwise(energies))
    expected = (16 * two - one) / 15
    for method in METHODS:
        found = Coulomb(error=1e-10, method=method).energy(
            _system(places, np.eye(3) * length, WIRE), charges=torch.from_numpy(charges)
        )
        assert float(found) / COULOMB == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("gaussian", [False, True])
def test_molecules_without_a_direct_sum(method, gaussian, some):
    system, charges = some(OPEN, 12, 9.0)
    widths = torch.linspace(0.2, 0.6, 12).double() if gaussian else None
    direct = Coulomb(error=1e-10).evaluate(system, charges=charges, widths=widths)
    found = Coulomb(error=1e-10, method=method).evaluate(system, charges=charges, widths=widths)
    for name in ("energy", "potential", "forces", "error_estimate"):
        tolerance = {"atol": 1e-8, "rtol": 1e-9} if name != "error_estimate" else {"atol": 1e-8, "rtol": 1.0}
        torch.testing.assert_close(getattr(found, name), getattr(direct, name), **tolerance)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pbc", AXES)
def test_derivatives(pbc, method, some):
    system, charges = some(pbc, 3)
    # one mesh of a spline with derivatives to spare
    coulomb = Coulomb(error=1e-10 if method == "mesh" else 1e-6, method=method)
    widths = torch.tensor([0.0, 0.4, 0.3]).double()
    plan = coulomb.plan(system, widths)

    def energy(positions, charges, strain, widths):
        moved = system.with_positions(positions).strained(strain)
        return coulomb.energy(moved, charges=charges, widths=widths, plan=plan)

    strain = 0.01 * torch.ones(1, 3, 3, dtype=torch.float64)
    inputs = [x.clone().requires_grad_() for x in (system.positions, charges, strain)]
    assert gradcheck(lambda *x: energy(*x, widths), inputs, eps=1e-5, atol=1e-5, rtol=1e-5)
    assert gradgradcheck(lambda *x: energy(*x, widths), inputs, eps=1e-5, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pbc", [SLAB, WIRE, OPEN])
def test_everything_else_follows_the_energy(pbc, method, some):
    system, charges = some(pbc, 7)
    coulomb, widths = Coulomb(error=1e-9, method=method), torch.linspace(0, 0.5, 7).double()
    positions, variable = system.positions.clone().requires_grad_(), charges.clone().requires_grad_()
    energy = coulomb.energy(system.with_positions(positions), charges=variable, widths=widths)
    slopes = torch.autograd.grad(energy.sum(), (positions, variable))
    found = coulomb.evaluate(system, charges=charges, widths=widths)
    near = {"atol": 1e-9, "rtol": 1e-9}
    torch.testing.assert_close(found.energy, energy.detach(), **near)
    torch.testing.assert_close(found.forces, -slopes[0], **near)
    torch.testing.assert_close(found.potential, slopes[1], **near)
    assert found.stress.isnan().all()
    torch.testing.assert_close(coulomb.operator(system, widths)(charges), slopes[1], **near)
    (matrix,) = coulomb.matrix(system, widths)
    torch.testing.assert_close(matrix @ charges, slopes[1], atol=1e-7, rtol=1e-7)
    probe = torch.tensor([[0.3, 0.4, 9.0], [30.0, -20.0, 50.0]]).double()
    both = Sources(
        torch.cat([system.positions, probe]), torch.zeros(9, dtype=torch.long), torch.cat([charges, torch.zeros(2)]),
        widths=torch.cat([widths, torch.zeros(2)]),
    )  # fmt: skip
    at_probe = coulomb.evaluate(system, sources=both, plan=None).potential[7:]
    sources = Sources(system.positions, torch.zeros(7, dtype=torch.long), charges, widths=widths)
    torch.testing.assert_close(coulomb.potential_at(system, sources, probe), at_probe, atol=1e-7, rtol=1e-7)


def test_far_from_a_charged_plate_the_field_is_that_of_a_sheet(some):
    system, charges = some(SLAB)
    z = torch.tensor([60.0, 90.0, -60.0, -90.0]).double()
    points = torch.stack([torch.zeros(4), torch.zeros(4), z], 1).double()
    sources = Sources(system.positions, torch.zeros(6, dtype=torch.long), charges)
    above, higher, below, lower = Coulomb(error=1e-9).potential_at(system, sources, points).tolist()
    area = float(torch.linalg.cross(system.cell[0, 0], system.cell[0, 1]).norm())
    tilt = float(torch.linalg.cross(system.cell[0, 0], system.cell[0, 1])[2] / area)
    sheet = -2 * np.pi * COULOMB * float(charges.sum()) / area * 30 * tilt
    assert higher - above == pytest.approx(sheet, abs=1e-6)
    assert lower - below == pytest.approx(sheet, abs=1e-6)


@pytest.mark.parametrize("pbc", [SLAB, WIRE])
def test_nothing_depends_on_the_vector_along_an_open_axis(pbc, some):
    system, charges = some(pbc)
    cell = system.cell.clone()
    cell[0, ~torch.tensor(pbc)] = torch.randn(3 - sum(pbc), 3, generator=torch.manual_seed(0)).double() * 3
    other = System(**{**vars(system), "cell": cell})
    shifted = system.with_positions(system.positions + system.cell[0, 1] * torch.arange(6)[:, None] + 1.7)
    one, *rest = (float(Coulomb(error=1e-10).energy(s, charges=charges)) for s in (system, other, shifted))
    assert rest == pytest.approx([one, one], abs=1e-8)


@pytest.mark.parametrize("method", ["auto", "mesh"])
def test_all_kinds_in_one_batch(method, some):
    scenes = [some(pbc, n) for n, pbc in enumerate([(True,) * 3, *AXES, (True,) * 3], start=4)]
    coulomb = Coulomb(error=1e-8, method=method)
    charges = torch.cat([q for _, q in scenes])
    batch = concatenate([s for s, _ in scenes])
    together = coulomb.evaluate(batch, charges=charges)
    alone = [coulomb.evaluate(s, charges=q) for s, q in scenes]
    for name in ("energy", "potential", "forces"):
        expected = torch.cat([getattr(one, name) for one in alone])
        torch.testing.assert_close(getattr(together, name), expected, atol=1e-6, rtol=1e-8)
    planned = coulomb.energy(batch, charges=charges, plan=coulomb.plan(batch))
    torch.testing.assert_close(planned, together.energy, atol=1e-6, rtol=1e-8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("error", [1e-2, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("pbc", [SLAB, WIRE, OPEN])
def test_error_reached(pbc, error, method, rng, apart):
    edges = np.where(pbc, 10.0, 8.0)
    system = _system(apart(rng, 40, np.diag(edges)), np.diag(edges), pbc)
    charges = torch.from_numpy(rng.normal(size=40))
    exact = Coulomb(error=1e-10).evaluate(system, charges=charges).forces
    found = Coulomb(error=error, method=method).evaluate(system, charges=charges).forces
    density = 40 / float(box_of(system).volume[0])
    scale = COULOMB * float(charges.square().mean()) * density ** (2 / 3)
    reached = float((found - exact).square().sum(1).mean().sqrt()) / scale / error
    assert 0.01 < reached < 2


def test_kernels_are_smooth_functions_that_close_under_differentiation():
    s = torch.tensor([0.0, 1e-3, 0.0099, 0.0101, 0.7, 12.0, 300.0]).double().requires_grad_()
    for order in (0, 0.5, 1, 2):
        assert gradgradcheck(lambda x, n=order: bessel_j(x, n), (s + 1e-3).detach().requires_grad_())
    positive = s.detach()[1:].requires_grad_()
    for order in (0, 1, 2):
        assert gradcheck(lambda x, n=order: bessel_k(x, n), positive, eps=1e-8, atol=1e-4)
    around = torch.tensor([0.01 - 1e-12, 0.01 + 1e-12]).double()
    for order in (0, 0.5, 1, 2, 3):
        below, above = bessel_j(around, order)
        assert float(below) == pytest.approx(float(above), rel=1e-12)


@pytest.mark.parametrize("pbc", [SLAB, WIRE, OPEN])
def test_kernel_is_continuous_at_zero(pbc):
    """The value at k = 0 is the limit along open axes of whole-number waves of ever larger boxes."""
    open_axes = (~torch.tensor(pbc)).nonzero()[:, 0]
    cell, radius = torch.eye(3).double() * 1e5, torch.tensor([3.0]).double()
    cell[torch.tensor(pbc)] /= 1e5
    indices = torch.zeros(1, 2, 3).double()
    indices[0, 1, open_axes] = 1
    values, _ = kernel(indices, cell[None], torch.tensor([pbc]), radius)
    # beside the constant that stands there: of -2π|z| from 2π(R - |z|), of -2 ln r from 2 ln(R/r)
    constant = {2: -2 * np.pi * 3.0, 1: -2 * np.log(3.0), 0: 0.0}[sum(pbc)] * 1e5 ** (3 - sum(pbc))
    assert float(values[0, 1]) == pytest.approx(float(values[0, 0]) - constant, rel=1e-5)


def test_thick_wires_and_slabs_keep_their_accuracy(rng):
    """In a cell far smaller than the extent every wave runs across it: a step where the kernel ends would be seen."""
    for pbc, size, error, dtype, method in (
        (WIRE, [120, 3, 120], 1e-4, torch.float64, "ewald"),
        (WIRE, [120, 3, 120], 1e-4, torch.float64, "mesh"),
        (SLAB, [3, 3, 300], 1e-4, torch.float64, "mesh"),
        (SLAB, [3, 3, 300], 2e-5, torch.float32, "ewald"),
    ):
        places = rng.random((60, 3)) * size
        system, charges = _system(places, np.eye(3) * 3.0, pbc), torch.from_numpy(rng.normal(size=60))
        exact = Coulomb(error=1e-10, method="ewald").evaluate(system, charges=charges)
        rough = Coulomb(error=error, method=method).evaluate(system.to(dtype=dtype), charges=charges.to(dtype))
        wrong = float((rough.forces.double() - exact.forces).square().sum(1).mean().sqrt())
        own = float(exact.forces.square().sum(1).mean().sqrt())
        # each charge meets its own images before any other: their errors add up, which random charges' do not
        assert wrong < 4 * float(rough.error_estimate) + 5 * torch.finfo(dtype).eps * own


def test_a_large_cluster_takes_the_mesh(rng):
    side = 18
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)
    system = _system(2.82 * grid + rng.normal(0, 0.1, grid.shape), None, False)
    charges = torch.from_numpy(1.0 - 2 * (grid.sum(1) % 2))
    coulomb = Coulomb(error=1e-5)
    assert bool(coulomb.plan(system).meshed.all())
    found, chosen = coulomb.evaluate(system, charges=charges), rng.permutation(len(grid))[:50]
    vector = system.positions[chosen][:, None] - system.positions
    distance = vector.norm(dim=-1)
    distance[distance == 0] = torch.inf
    direct = COULOMB * (charges / distance**3).unsqueeze(-1).mul(vector).sum(1) * charges[chosen][:, None]
    wrong = float((found.forces[chosen] - direct).square().sum(1).mean().sqrt())
    assert wrong < 2 * float(found.error_estimate)
    assert float(found.error_estimate) < 1e-5 * COULOMB / 2.82**2 * 1.2


def test_a_bad_slab_is_refused(some):
    system, charges = some(SLAB)
    flat = system.cell.clone()
    flat[0, 1] = flat[0, 0]
    with pytest.raises(InputError, match="volume"):
        Coulomb().energy(System(**{**vars(system), "cell": flat}), charges=charges)


ZETA3 = 1.202056903159594
SQUARE = 9.033621683100950  # Σ' (n² + m²)^(-3/2) = 4 ζ(3/2) β(3/2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("pbc", "dipole", "expected"),
    [
        (WIRE, [1, 0, 0], ZETA3),  # across a chain, ½ · 2 ζ(3)
        (WIRE, [0, 1, 0], -2 * ZETA3),  # along it
        (SLAB, [0, 0, 1], SQUARE / 2),  # out of a square plane
        (SLAB, [1, 0, 0], -SQUARE / 4),  # in it
    ],
)
def test_dipole_lattices(pbc, dipole, expected, method):
    system = _system([[0.3, 0.2, 0.1]], 3.0 * np.eye(3), pbc)
    energy = Coulomb(error=1e-10, method=method).energy(system, dipoles=torch.tensor([dipole]).double())
    assert float(energy) * 27 / COULOMB == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pbc", [SLAB, WIRE])
def test_multipoles_are_limits_of_charges(pbc, method, some, rng):
    """Of two, or three: differences of the potential, along a line."""
    system, charges = some(pbc, 4)
    where, along = system.positions[0] + torch.tensor([0.1, -0.2, 2.9]).double(), torch.tensor([0.6, 0.0, 0.8]).double()
    exact = Coulomb(error=1e-10, method=method)
    for kind in ("dipole", "quadrupole"):
        found = []
        for step in (0.08, 0.04, 0.02):
            steps, weights = ((-1, 1), (-0.5, 0.5)) if kind == "dipole" else ((-1, 0, 1), (1, -2, 1))
            places = torch.stack([where + step * k * along for k in steps])
            strength = torch.tensor(weights).double() / step ** (1 if kind == "dipole" else 2)
            index = torch.zeros(4 + len(steps), dtype=torch.long)
            sources = Sources(torch.cat([system.positions, places]), index, torch.cat([charges, 0 * strength]))
            found.append(float(exact.evaluate(system, sources=sources).potential[4:] @ strength))
        one, two = ((4 * b - a) / 3 for a, b in itertools.pairwise(found))
        limit = (16 * two - one) / 15
        pure = torch.zeros(5, 3).double(), torch.zeros(5, 3, 3).double()
        if kind == "dipole":
            pure[0][4] = along
        else:  # ⅓Θ:∇∇ of a harmonic potential is its second derivative along a
            pure[1][4] = 3 * torch.outer(along, along) - torch.eye(3).double()
        sources = Sources(
            torch.cat([system.positions, where[None]]), torch.zeros(5, dtype=torch.long),
            torch.cat([charges, torch.zeros(1)]), *pure,
        )  # fmt: skip
        alone = Sources(where[None], torch.zeros(1, dtype=torch.long), torch.zeros(1).double(), *(x[4:] for x in pure))
        bare = exact.energy(system, charges=charges)
        energy = exact.energy(system, sources=sources) - bare - exact.energy(system, sources=alone)
        assert float(energy) == pytest.approx(limit, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pbc", [SLAB, WIRE])
def test_derivatives_of_multipoles(pbc, method, some, rng):
    system, charges = some(pbc, 2)
    coulomb = Coulomb(error=1e-10 if method == "mesh" else 1e-6, method=method)
    plan = coulomb.plan(system, rank=2)
    tensor = torch.from_numpy(rng.normal(size=(2, 3, 3)))
    tensor = tensor + tensor.mT
    tensor = tensor - tensor.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(3)

    def energy(positions, strain, charges, dipoles):
        moved = system.with_positions(positions).strained(strain)
        return coulomb.energy(moved, charges=charges, dipoles=dipoles, quadrupoles=tensor, plan=plan)

    strain, dipoles = 0.01 * torch.ones(1, 3, 3).double(), torch.from_numpy(rng.normal(size=(2, 3)))
    inputs = [x.clone().requires_grad_() for x in (system.positions, strain, charges, dipoles)]
    assert gradcheck(energy, inputs, eps=1e-5, atol=1e-4, rtol=1e-5)
    assert gradgradcheck(energy, inputs, eps=1e-5, atol=1e-3, rtol=1e-4, fast_mode=True)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pbc", AXES)
def test_a_plan_refuses_sources_it_has_no_room_for(pbc, method, some):
    system, charges = some(pbc)
    coulomb = Coulomb(error=1e-6, method=method)
    plan, away = coulomb.plan(system), torch.zeros_like(system.positions)
    across = torch.from_numpy(box_of(system).frame[0][[not axis for axis in pbc]][0])
    away[0] = 0.3 * across
    slightly = system.with_positions(system.positions + away)
    torch.testing.assert_close(
        coulomb.energy(slightly, charges=charges, plan=plan),
        coulomb.energy(slightly, charges=charges),
        atol=1e-5,
        rtol=0,
    )
    with pytest.raises(InputError, match="room"):
        coulomb.energy(system.with_positions(system.positions + 100 * away), charges=charges, plan=plan)
