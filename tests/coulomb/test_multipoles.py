"""Dipoles and quadrupoles: limits of finite clusters of charges, closed forms, and derivatives of one energy."""

import itertools

import numpy as np
import pytest
import torch
from scipy.special import erf, k0, zeta
from torch.autograd import gradcheck, gradgradcheck

from farfield.coulomb import Coulomb, Sources
from farfield.coulomb.plan import mesh_error
from farfield.coulomb.plan.grid import Grid
from farfield.coulomb.plan.plan import make_plan
from farfield.coulomb.sources import on_atoms
from farfield.coulomb.terms import direct
from farfield.errors import InputError
from farfield.system import concatenate
from farfield.units import COULOMB

TIGHT = Coulomb(error=1e-10, method="auto")
SHAPES = [[[1, 0, 0], [0, -1, 0], [0, 0, 0]], [[1, 0, 0], [0, 1, 0], [0, 0, -2]]]
SHAPES += [[[0, 1, 0], [1, 0, 0], [0, 0, 0]], [[0, 0, 1], [0, 0, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 1], [0, 1, 0]]]
BASIS = torch.tensor(SHAPES, dtype=torch.float64)
"""Five tensors that span the symmetric and traceless ones."""


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def quadrupoles_of(components):
    return torch.einsum("...k,kab->...ab", components, BASIS)


@pytest.fixture
def carried(rng):
    """Random charges, dipoles and quadrupoles up to a rank, as keywords."""

    def build(count, rank=2, channels=()):
        values = {
            "charges": torch.from_numpy(rng.normal(size=(count, *channels))),
            "dipoles": torch.from_numpy(rng.normal(size=(count, *channels, 3))),
            "quadrupoles": quadrupoles_of(torch.from_numpy(rng.normal(size=(count, *channels, 5)))),
        }
        return dict(list(values.items())[: rank + 1])

    return build


@pytest.fixture
def scene(rng, apart, triclinic, crystal, carried):
    """A system open or periodic, moments and perhaps widths on it, a solver for it and a plan."""

    def build(method, gaussian=False, rank=2, count=3, error=1e-6, edge=5.0):
        cell = triclinic(rng, edge)
        system = crystal(apart(rng, count, cell), None if method == "direct" else cell)
        widths = torch.from_numpy(rng.uniform(0.3, 0.6, count)) if gaussian else None
        coulomb = Coulomb(error=error, method=method)
        plan = None if method == "direct" else coulomb.plan(system, widths, rank=rank)
        return system, carried(count, rank), widths, coulomb, plan

    return build


def _cluster(places, moments, step):
    """Charges that have these moments about each place, and error in ``step``² only."""
    found, values = [], []
    for r, q, dipole, quadrupole in zip(places, *(moments[k] for k in ("charges", "dipoles", "quadrupoles"))):
        length = np.linalg.norm(dipole)
        strengths, axes = np.linalg.eigh(quadrupole)
        found.append(r)
        values.append(q)  # traceless: what the pairs below leave at the centre adds up to nothing
        for sign in (1, -1):
            found.append(r + sign * step / 2 * dipole / length)
            values.append(sign * length / step)
            found.extend(r + sign * step * axes.T)
            values.extend(strengths / 3 / step**2)
    return np.array(found), np.array(values)


def _vacuum(places, charges):
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    inverse = np.where(distance > 0, 1 / np.where(distance > 0, distance, 1), 0)
    return 0.5 * charges @ inverse @ charges


@pytest.mark.parametrize("kind", ["open points", "points", "Gaussians", "wide Gaussians"])
def test_multipoles_are_limits_of_clusters(kind, rng, apart, triclinic, crystal, carried, brute_energy):
    cell, count = triclinic(rng), 3
    places, moments = apart(rng, count, cell), carried(3)
    widths = {"Gaussians": np.array([0.3, 0.5, 0.9]), "wide Gaussians": np.full(3, 0.9)}.get(kind)
    system = crystal(places, None if kind == "open points" else cell)
    given = None if widths is None else torch.from_numpy(widths)
    energy = float(TIGHT.energy(system, **moments, widths=given)) / COULOMB
    known = {name: value.numpy() for name, value in moments.items()}

    def finite(step):
        there, charges = _cluster(places, known, step)
        if kind == "open points":
            total = _vacuum(there, charges)
        else:
            spread = None if widths is None else widths.repeat(len(there) // count)
            total = brute_energy(there, charges, cell, widths=spread)
        if widths is None:  # a Gaussian cluster's energy with itself is part of the Gaussian multipole's
            total -= sum(_vacuum(*pair) for pair in zip(np.split(there, count), np.split(charges, count)))
        return total

    values = [finite(0.2 / 2**n) for n in range(4)]
    for order in (4, 16, 64):  # Richardson's, the error being even in the step
        values = [(order * finer - coarser) / (order - 1) for coarser, finer in itertools.pairwise(values)]
    assert values[0] == pytest.approx(energy, rel=1e-7, abs=3e-7)


@pytest.mark.parametrize("method", ["ewald", "mesh"])
def test_cubic_lattice_of_parallel_dipoles(method, crystal):
    """Tin-foil: minus the Lorentz field, E = -2πμ²/3a³."""
    energy = Coulomb(error=1e-10, method=method).energy(
        crystal([[0, 0, 0]], np.eye(3) * 3), dipoles=tensor([[1, 2, 2]])
    )
    assert float(energy) / COULOMB == pytest.approx(-2 * np.pi * 9 / (3 * 27), abs=1e-9)


@pytest.mark.parametrize("method", ["ewald", "mesh"])
def test_columns_of_dipoles_in_turn(method, crystal):
    """Luttinger and Tisza's ground state of a cubic lattice (Phys. Rev. 70, 954 (1946)), -2.676 μ²/a³.

    Summed column by column: a dipole with its own, -2ζ(3), and with one at distance ρ, 8π² Σ m² K₀(2πmρ).
    """
    columns = [(i, j) for i in range(-7, 8) for j in range(-7, 8) if i or j]
    others = sum((-1) ** (i + j) * m**2 * k0(2 * np.pi * m * np.hypot(i, j)) for i, j in columns for m in range(1, 8))
    expected = -2 * zeta(3) + 8 * np.pi**2 * others
    assert expected == pytest.approx(-2.676, abs=1e-3)
    system = crystal([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.diag([2.0, 2.0, 1.0]))
    dipoles = tensor([[0, 0, 1], [0, 0, -1], [0, 0, -1], [0, 0, 1]])
    energy = Coulomb(error=1e-10, method=method).energy(system, dipoles=dipoles)
    assert float(energy) / 4 / COULOMB == pytest.approx(expected, abs=1e-8)


LINEAR = [[-0.5, 0, 0], [0, -0.5, 0], [0, 0, 1]]
NONE = torch.zeros(3, 3).tolist()
PAIRS = {
    "head to tail": (dict(dipoles=[[0, 0, 1], [0, 0, 2]]), lambda r: -4 / r**3),
    "side by side": (dict(dipoles=[[0, 1, 0], [0, 2, 0]]), lambda r: 2 / r**3),
    "charge and dipole": (dict(charges=[0, 3], dipoles=[[0, 0, 2], [0, 0, 0]]), lambda r: 6 / r**2),
    "charge and quadrupole": (dict(charges=[0, 3], quadrupoles=[LINEAR, NONE]), lambda r: 3 / r**3),
    "dipole and quadrupole": (dict(dipoles=[[0] * 3, [0, 0, 2]], quadrupoles=[LINEAR, NONE]), lambda r: -6 / r**4),
    "quadrupoles": (dict(quadrupoles=[LINEAR, LINEAR]), lambda r: 6 / r**5),
}


@pytest.mark.parametrize("case", PAIRS)
def test_pairs_on_an_axis(case, crystal):
    moments, expected = PAIRS[case]
    energy = TIGHT.energy(crystal([[0, 0, 0], [0, 0, 1.7]]), **{name: tensor(x) for name, x in moments.items()})
    assert float(energy) / COULOMB == pytest.approx(expected(1.7), rel=1e-12)


def test_gaussian_dipole_and_a_charge(crystal):
    """By the charge inside a sphere: erf(ar)/r² - 2a exp(-a²r²)/(√π r)."""
    r, rate = 1.1, 1 / np.sqrt(2 * (0.6**2 + 0.8**2))
    energy = TIGHT.energy(
        crystal([[0, 0, 0], [0, 0, r]]),
        charges=tensor([0, 1]),
        dipoles=tensor([[0, 0, 1], [0, 0, 0]]),
        widths=tensor([0.6, 0.8]),
        self_energy=False,
    )
    expected = erf(rate * r) / r**2 - 2 * rate / np.sqrt(np.pi) * np.exp(-((rate * r) ** 2)) / r
    assert float(energy) / COULOMB == pytest.approx(expected, rel=1e-12)


def test_gaussians_with_themselves(crystal):
    system, width = crystal([[0, 0, 0]]), 0.7
    dipole, quadrupole = tensor([[1, 2, 2]]), quadrupoles_of(tensor([[0, 1, 0, 0, 0]]))
    of_dipole = TIGHT.energy(system, dipoles=dipole, widths=width)
    of_quadrupole = TIGHT.energy(system, quadrupoles=quadrupole, widths=width)
    assert float(of_dipole) == pytest.approx(COULOMB * 9 / (12 * np.sqrt(np.pi) * width**3))
    assert float(of_quadrupole) == pytest.approx(COULOMB * 6 / (180 * np.sqrt(np.pi) * width**5))
    assert float(TIGHT.energy(system, dipoles=dipole, widths=width, self_energy=False)) == 0
    assert float(TIGHT.energy(system, dipoles=dipole, widths=0.0)) == 0


def test_energy_does_not_depend_on_the_splitting(scene):
    system, moments, _, coulomb, plan = scene("ewald", error=1e-10)
    energies = [float(coulomb.energy(system, **moments, plan=plan))]
    for width in (0.6, 1.0):  # a Gaussian among them forces another splitting
        other = coulomb.plan(system, tensor([0, 0, width]), rank=2)
        energies.append(float(coulomb.energy(system, **moments, plan=other)))
    assert np.ptp(energies) < 1e-7


@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("method", ["direct", "ewald", "mesh"])
def test_nothing_depends_on_the_frame(method, gaussian, scene, rng, crystal):
    system, moments, widths, coulomb, _ = scene(method, gaussian, count=5, error=1e-9, edge=6.0)
    turn = torch.from_numpy(np.linalg.qr(rng.normal(size=(3, 3)))[0])  # or a reflection
    cell = None if method == "direct" else (system.cell[0] @ turn.T).numpy()
    other = crystal((system.positions @ turn.T).numpy(), cell)
    turned = {
        "charges": moments["charges"],
        "dipoles": moments["dipoles"] @ turn.T,
        "quadrupoles": turn @ moments["quadrupoles"] @ turn.T,
    }
    one, two = coulomb.evaluate(system, **moments, widths=widths), coulomb.evaluate(other, **turned, widths=widths)
    torch.testing.assert_close(one.energy, two.energy, atol=1e-6, rtol=1e-8)
    torch.testing.assert_close(one.potential, two.potential, atol=1e-6, rtol=1e-7)
    torch.testing.assert_close(one.forces @ turn.T, two.forces, atol=1e-5, rtol=1e-7)
    torch.testing.assert_close(one.field @ turn.T, two.field, atol=1e-6, rtol=1e-7)
    if method != "direct":
        torch.testing.assert_close(turn @ one.stress @ turn.T, two.stress, atol=1e-6, rtol=1e-7)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("method", ["direct", "ewald", "mesh"])
def test_first_and_second_derivatives(method, gaussian, rank, scene, rng):
    system, moments, widths, coulomb, plan = scene(method, gaussian, rank, error=1e-8)
    if rank == 2:
        moments["quadrupoles"] = torch.from_numpy(rng.normal(size=(3, 5)))  # components, so that steps stay traceless
    names = list(moments)

    def energy(positions, strain, *rest):
        given = dict(zip(names, rest))
        if rank == 2:
            given["quadrupoles"] = quadrupoles_of(given["quadrupoles"])
        moved = system.with_positions(positions).strained(strain)
        return coulomb.energy(moved, **given, widths=rest[-1] if gaussian else None, plan=plan)

    strain = 0.02 * torch.ones(1, 3, 3, dtype=torch.float64)
    inputs = [system.positions, strain, *moments.values(), *([widths] if gaussian else [])]
    inputs = [x.clone().requires_grad_() for x in inputs]
    assert gradcheck(energy, inputs, eps=1e-5, atol=1e-4, rtol=1e-5)
    assert gradgradcheck(energy, inputs, eps=1e-5, atol=1e-3, rtol=1e-4, fast_mode=True)


@pytest.mark.parametrize("method", ["direct", "ewald", "mesh"])
def test_third_derivatives(method, scene):
    """By finite differences of the second."""
    system, moments, _, coulomb, plan = scene(method)
    along = torch.linspace(-1, 1, 9, dtype=torch.float64).reshape(3, 3)

    def curvature(positions, graph):
        energy = coulomb.energy(system.with_positions(positions), **moments, plan=plan).sum()
        (slope,) = torch.autograd.grad(energy, positions, create_graph=True)
        (product,) = torch.autograd.grad((slope * along).sum(), positions, create_graph=graph)
        return (product * along.roll(1, 0)).sum()

    positions = system.positions.clone().requires_grad_()
    (third,) = torch.autograd.grad(curvature(positions, True), positions)
    step = 1e-5 * along.flip(0)
    plus, minus = (curvature((system.positions + sign * step).requires_grad_(), False) for sign in (1, -1))
    assert float((plus - minus) / 2) == pytest.approx(float((third * step).sum()), rel=1e-5)


@pytest.mark.parametrize("gaussian", [False, True])
def test_mesh_agrees_with_waves_in_everything(gaussian, scene):
    system, moments, widths, by_waves, _ = scene("ewald", gaussian, count=20, error=1e-9, edge=8.0)
    by_mesh = Coulomb(error=1e-9, method="mesh")
    one, two = (solver.evaluate(system, **moments, widths=widths) for solver in (by_mesh, by_waves))
    for name in ("energy", "potential", "field", "forces", "stress"):
        torch.testing.assert_close(getattr(one, name), getattr(two, name), atol=1e-5, rtol=1e-6)
    sources = Sources(system.positions, system.system_index, **moments, widths=widths)
    points = system.positions[:5] + 0.6
    torch.testing.assert_close(
        by_mesh.potential_at(system, sources, points), by_waves.potential_at(system, sources, points), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("given", [("dipoles",), ("quadrupoles",), ("charges", "dipoles", "quadrupoles")])
@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("method", ["direct", "ewald", "mesh"])
def test_evaluation_is_the_gradient_of_the_energy(method, gaussian, given, scene):
    system, moments, widths, coulomb, plan = scene(method, gaussian, count=4)
    moments = {name: moments[name] for name in given}
    zeros = {"charges": torch.zeros(4).double(), "dipoles": torch.zeros(4, 3).double()}
    variable = {name: x.clone().requires_grad_() for name, x in {**zeros, **moments}.items()}
    positions = system.positions.clone().requires_grad_()
    strain = torch.zeros(1, 3, 3, dtype=torch.float64, requires_grad=True)
    moved = system.with_positions(positions).strained(strain)
    energy = coulomb.energy(moved, **variable, widths=widths, plan=plan)
    leaves = (positions, strain, variable["charges"], variable["dipoles"])
    slopes = torch.autograd.grad(energy.sum(), leaves)
    with torch.inference_mode():
        found = coulomb.evaluate(system, **moments, widths=widths, plan=plan)
    found = {name: getattr(found, name).clone() for name in vars(found)}
    torch.testing.assert_close(found["energy"], energy.detach())
    torch.testing.assert_close(found["forces"], -slopes[0], atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(found["potential"], slopes[2], atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(found["field"], -slopes[3], atol=1e-9, rtol=1e-9)
    if method == "direct":
        assert found["stress"].isnan().all()
    else:
        torch.testing.assert_close(found["stress"], slopes[1] / system.volume()[:, None, None], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("method", ["ewald", "mesh"])
def test_stress_at_fixed_dipoles_holds_their_torque(method, scene):
    """Turning everything changes nothing, so the antisymmetric part of dE/dε is that of Σ field⊗μ."""
    system, moments, _, coulomb, _ = scene(method, rank=1, count=6)
    found = coulomb.evaluate(system, **moments)
    virial = found.stress[0] * system.volume()
    torque = found.field.T @ moments["dipoles"]
    torch.testing.assert_close(virial - virial.T, torque - torque.T, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("method", ["direct", "ewald", "mesh"])
def test_potential_anywhere_is_what_a_lone_charge_would_feel(method, gaussian, scene):
    system, moments, widths, coulomb, _ = scene(method, gaussian, count=5, error=1e-9, edge=6.0)
    sources = Sources(system.positions[1:], system.system_index[1:], **{n: x[1:] for n, x in moments.items()})
    spread = None
    if widths is not None:
        spread = torch.cat([torch.zeros(1).double(), widths[1:]])
        sources = Sources(**{**vars(sources), "widths": widths[1:]})
    empty = {name: torch.cat([torch.zeros_like(x[:1]), x[1:]]) for name, x in moments.items()}
    expected = coulomb.evaluate(system, **empty, widths=spread)
    point = system.positions[:1].clone().requires_grad_()
    potential = coulomb.potential_at(system, sources, point)
    (slope,) = torch.autograd.grad(potential.sum(), point)
    torch.testing.assert_close(potential.detach(), expected.potential[:1], atol=1e-6, rtol=1e-8)
    torch.testing.assert_close(-slope, expected.field[:1], atol=1e-6, rtol=1e-8)


def _over_asked(scale_and_system, moments, error, method):
    scale, system = scale_and_system
    tight = make_plan(
        on_atoms(system, *(moments.get(n) for n in ("charges", "widths", "dipoles", "quadrupoles"))), 1e-12
    )
    exact = Coulomb(error=1e-10).evaluate(system, **moments, plan=tight).forces
    found = Coulomb(error=error, method=method).evaluate(system, **moments)
    reached = float((found.forces - exact).square().sum(1).mean().sqrt())
    assert reached < 3 * float(found.error_estimate)
    return reached / scale / error


@pytest.mark.parametrize("given", [("dipoles",), ("quadrupoles",), ("charges", "dipoles", "quadrupoles")])
@pytest.mark.parametrize("error", [1e-2, 1e-4, 1e-8])
@pytest.mark.parametrize("method", ["ewald", "mesh"])
def test_error_asked_is_error_reached(method, error, given, rng, apart, triclinic, crystal, carried):
    cell = triclinic(rng, 9.0)
    system, count = crystal(apart(rng, 40, cell), cell), 40
    density = count / float(system.volume())
    moments = {name: x for name, x in carried(count).items() if name in given}
    for power, name in enumerate(("charges", "dipoles", "quadrupoles")):
        if name in moments:  # each as large as the others, in units of the distance between sources
            moments[name] = moments[name] * density ** (-power / 3)
    scale = sum(
        float(x.square().sum()) / count * density ** (2 * (1 + ("charges", "dipoles", "quadrupoles").index(name)) / 3)
        for name, x in moments.items()
    )
    assert 0.05 < _over_asked((COULOMB * scale, system), moments, error, method) < 2


@pytest.mark.parametrize("name", ["dipoles", "quadrupoles"])
def test_gaussians_of_one_width_leave_no_pairs(name, rng, apart, triclinic, crystal, carried):
    """And the mesh alone reaches the error asked."""
    cell, count = triclinic(rng, 9.0), 40
    system = crystal(apart(rng, count, cell), cell)
    given = {name: carried(count)[name], "widths": torch.full((count,), 0.7, dtype=torch.float64)}
    rank = 1 if name == "dipoles" else 2
    plan = Coulomb(error=1e-4).plan(system, given["widths"], rank=rank)
    assert plan.on_mesh
    assert plan.reach == 0
    scale = float(given[name].square().sum()) / count * (count / float(system.volume())) ** (2 * (1 + rank) / 3)
    assert _over_asked((COULOMB * scale, system), given, 1e-4, "auto") < 2


@pytest.mark.parametrize("rank", [1, 2])
def test_error_of_the_mesh_is_a_sum_over_aliases(rank):
    """The estimate, sampled in k-space and free of cancellation, against every wave and alias of a small mesh."""
    cell, alpha, form = np.array([[8.0, 0, 0], [2, 7, 0], [1, -1, 9]]), 0.6, Grid((12, 10, 14), 8)
    waves = np.stack(np.meshgrid(*[np.arange(-(n // 2) + 1, n // 2) for n in form.shape], indexing="ij"), -1)
    waves = waves.reshape(-1, 3)
    waves = waves[waves.any(1)]
    reciprocal, shape = 2 * np.pi * np.linalg.inv(cell).T, np.array(form.shape)
    rows = []
    for m in itertools.product(range(-2, 3), repeat=3):
        n = waves + np.array(m) * shape
        squared = np.square(n @ reciprocal).sum(1)
        u = (np.sinc(n / shape) ** (2 * form.spline)).prod(1)
        f = squared / 3 if rank == 1 else 2 / 135 * squared**2
        rows.append((squared, 4 * np.pi * np.exp(-squared / (4 * alpha**2)) / squared, u, f))
    squared, kernel, u, f = (np.array(column) for column in zip(*rows))
    here = len(rows) // 2
    weight = kernel[here] * u[here] / u.sum(0) ** 2
    total = (squared * kernel**2 * f**2 - 2 * weight * squared * kernel * u * f**2).sum(0)
    total = total + weight**2 * (u * f).sum(0) * (squared * u * f).sum(0)
    expected = np.sqrt(total.sum() / abs(np.linalg.det(cell)))
    assert mesh_error.mesh_error(cell, alpha, form, rank) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("method", ["direct", "ewald", "mesh"])
def test_channels_do_not_see_each_other(method, scene, carried):
    system, _, _, coulomb, _ = scene(method)
    moments = carried(3, channels=(2,))
    both = coulomb.evaluate(system, **moments, widths=0.4)
    for channel in (0, 1):
        one = coulomb.evaluate(system, **{name: x[:, channel] for name, x in moments.items()}, widths=0.4)
        for name in ("energy", "potential", "field", "forces", "error_estimate"):
            torch.testing.assert_close(getattr(both, name)[:, channel], getattr(one, name))
    torch.testing.assert_close(coulomb.energy(system, **moments, widths=0.4), both.energy)


def test_a_batch_gives_what_its_systems_give_alone(scene, carried):
    scenes = [scene(method, count=count)[:2] for method, count in (("direct", 4), ("ewald", 3), ("direct", 2))]
    batch = concatenate([system for system, _ in scenes])
    together = {name: torch.cat([moments[name] for _, moments in scenes]) for name in scenes[0][1]}
    coulomb = Coulomb(error=1e-6)
    expected = torch.cat([coulomb.energy(system, **moments) for system, moments in scenes])
    torch.testing.assert_close(coulomb.energy(batch, **together), expected)
    shuffled = torch.randperm(batch.n_atoms, generator=torch.Generator().manual_seed(0))
    moved = {name: x[shuffled] for name, x in together.items()}
    sources = Sources(batch.positions[shuffled], batch.system_index[shuffled], **moved)
    one, two = coulomb.evaluate(batch, **together), coulomb.evaluate(batch, sources=sources)
    torch.testing.assert_close(two.forces, one.forces[shuffled])
    torch.testing.assert_close(two.field, one.field[shuffled])


@pytest.mark.parametrize("method", ["direct", "ewald", "mesh"])
def test_without_dipoles_and_quadrupoles_it_is_the_sum_of_charges(method, scene):
    system, moments, _, _, _ = scene(method, count=5)
    coulomb = Coulomb(error=1e-9, method=method)
    nothing = {"dipoles": torch.zeros(5, 3).double(), "quadrupoles": torch.zeros(5, 3, 3).double()}
    alone = coulomb.evaluate(system, charges=moments["charges"], widths=0.3)
    beside = coulomb.evaluate(system, charges=moments["charges"], **nothing, widths=0.3)
    for name in ("energy", "potential", "field", "forces"):
        torch.testing.assert_close(getattr(beside, name), getattr(alone, name), atol=1e-6, rtol=1e-7)


def test_large_open_systems_are_summed_block_by_block(scene, monkeypatch):
    system, moments, widths, coulomb, _ = scene("direct", gaussian=True, count=6)

    def slopes():
        positions = system.positions.clone().requires_grad_()
        energy = coulomb.energy(system.with_positions(positions), **moments, widths=widths)
        (first,) = torch.autograd.grad(energy.sum(), positions, create_graph=True)
        (second,) = torch.autograd.grad(first[0].sum(), positions)
        return energy.detach(), first.detach(), second

    whole = slopes()
    monkeypatch.setattr(direct, "BLOCK", 4)
    torch.testing.assert_close(slopes(), whole)
    with torch.no_grad():
        torch.testing.assert_close(coulomb.energy(system, **moments, widths=widths), whole[0])


@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("method", ["direct", "ewald", "mesh"])
def test_single_precision(method, gaussian, scene):
    """Points among Gaussians too, whose rate overflows when it is raised to the powers quadrupoles need."""
    system, moments, widths, _, _ = scene(method, gaussian, count=10, edge=8.0)
    if widths is not None:
        widths[::2] = 0
    coulomb = Coulomb(error=1e-4, method=method)
    rough = system.to(dtype=torch.float32)
    found = coulomb.evaluate(rough, **{name: x.float() for name, x in moments.items()}, widths=widths)
    exact = coulomb.evaluate(rough.to(dtype=torch.float64), **moments, widths=widths)
    for name in ("energy", "potential", "field", "forces"):
        one, other = getattr(found, name).double(), getattr(exact, name)
        assert float((one - other).norm()) < 1e-4 * float(other.norm())
    reached = float((found.forces - exact.forces).square().sum(1).mean().sqrt())
    assert reached < 3 * float(found.error_estimate)


TENSOR = torch.zeros(2, 3, 3)
WRONG = {
    "dipole per atom": (dict(dipoles=torch.ones(3, 3)), r"dipoles have shape \(3, 3\), expected \(2, 3\)"),
    "three components": (dict(dipoles=torch.ones(2, 2)), r"dipoles have shape \(2, 2\)"),
    "finite dipoles": (dict(dipoles=tensor([[0, 0, 0], [0, 0, np.inf]])), r"dipole of source 1 is \[0.0, 0.0, inf\]"),
    "a tensor": (dict(dipoles=[[0, 0, 1]] * 2), "dipoles should be a torch tensor, not list"),
    "quadrupole shape": (dict(quadrupoles=torch.ones(2, 3)), r"quadrupoles have shape \(2, 3\), expected \(2, 3, 3\)"),
    "symmetric": (dict(quadrupoles=TENSOR + torch.ones(3, 3).triu(1)), "quadrupole of source 0 .* not symmetric"),
    "traceless": (dict(quadrupoles=torch.stack([TENSOR[0], torch.eye(3)])), "source 1 is .* not traceless"),
    "channels": (dict(charges=torch.ones(2, 2), dipoles=torch.ones(2, 3, 3)), "charges have 2 .* dipoles have 3"),
    "no channels": (dict(charges=torch.ones(2), dipoles=torch.ones(2, 1, 3)), "same channels"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_named(case, crystal):
    arguments, message = WRONG[case]
    system = crystal([[0, 0, 0], [0, 0, 1.0]])
    for ask in (
        lambda: Coulomb().energy(system, **arguments),
        lambda: Coulomb().evaluate(system, **arguments),
        lambda: Sources(system.positions, system.system_index, **arguments),
    ):
        with pytest.raises(InputError, match=message):
            ask()


def test_plans_for_charges_are_refused(scene):
    system, moments, _, coulomb, _ = scene("ewald", rank=1)
    for ask in (coulomb.energy, coulomb.evaluate):
        with pytest.raises(InputError, match="rank=1"):
            ask(system, **moments, plan=coulomb.plan(system))
    assert coulomb.reach(system, rank=2) > coulomb.reach(system, rank=1) > coulomb.reach(system)


def test_coincident_dipoles_are_named(crystal):
    system = crystal([[0, 0, 0], [0, 0, 0]])
    with pytest.raises(InputError, match="atoms 0 and 1"):
        Coulomb().energy(system, dipoles=torch.ones(2, 3).double())
    sources = Sources(system.positions, system.system_index, dipoles=torch.ones(2, 3).double(), widths=0.5)
    assert torch.isfinite(Coulomb().evaluate(system, sources=sources).forces).all()
    with pytest.raises(InputError, match="Sources need charges"):
        Sources(system.positions, system.system_index)
    with pytest.raises(InputError, match="not both"):
        Coulomb().energy(system, dipoles=torch.ones(2, 3).double(), sources=sources)
