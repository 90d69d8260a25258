"""The particle mesh: as accurate as asked, exact derivatives of one energy, the same however threads share the work."""

import ase
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from farfield.coulomb import Coulomb, Sources
from farfield.coulomb.kernels.numba import mesh_sums
from farfield.coulomb.plan import mesh_error, mesh_plan
from farfield.coulomb.plan.box import Box
from farfield.coulomb.plan.grid import Grid
from farfield.coulomb.plan.mesh_plan import cheapest_mesh
from farfield.coulomb.plan.plan import make_plan
from farfield.coulomb.sources import on_atoms
from farfield.coulomb.sums import influence
from farfield.coulomb.sums.splines import CHARGES, SLOPES, gather, gather_reference, spread, spread_reference
from farfield.coulomb.terms import mesh
from farfield.errors import InputError
from farfield.system import System, concatenate
from farfield.units import COULOMB

VALUE_AND_SLOPES = (*CHARGES, *SLOPES)


@pytest.fixture
def salt(rng, crystal):
    """Displaced rock salt of side³ ions."""

    def build(side):
        grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)
        system = crystal(2.82 * grid + 0.1 * rng.normal(size=grid.shape), np.eye(3) * side * 2.82)
        return system, torch.from_numpy(1.0 - 2 * (grid.sum(1) % 2))

    return build


@pytest.fixture
def scenes(rng, apart, triclinic, crystal, salt):
    def build(name):
        if name == "salt":
            return salt(4)
        count, cell = {
            "few": (6, triclinic(rng, 6.0)),
            "dense": (100, triclinic(rng, 12.0)),
            "dilute": (12, triclinic(rng, 40.0)),
            "skewed": (20, np.array([[9.0, 0, 0], [5, 8, 0], [-4, 3, 7]])),
        }[name]
        return crystal(apart(rng, count, cell), cell), torch.from_numpy(rng.normal(size=count))

    return build


def _over_asked(system, charges, error, dtype=torch.float64):
    """Rms force error over K⟨q²⟩(N/V)^(2/3), in units of the error asked, against structure factors kept tighter."""
    rough = system.to(dtype=dtype)
    exact_system = rough.to(dtype=torch.float64)
    tight = make_plan(on_atoms(exact_system, charges, None), 1e-3 * error)
    exact = Coulomb(error=1e-10).evaluate(exact_system, charges=charges, plan=tight).forces
    found = Coulomb(error=error, method="mesh").evaluate(rough, charges=charges.to(dtype)).forces.double()
    scale = COULOMB * float(charges.square().mean()) * (system.n_atoms / float(system.volume())) ** (2 / 3)
    return float((found - exact).square().sum(1).mean().sqrt()) / scale / error


@pytest.mark.parametrize("error", [1e-2, 1e-4, 1e-6, 1e-10])
@pytest.mark.parametrize("name", ["few", "dense", "dilute", "skewed", "salt"])
def test_error_asked_is_error_reached(name, error, scenes):
    assert 0.1 < _over_asked(*scenes(name), error) < 2


@pytest.mark.parametrize("error", [1e-3, 2e-5])
@pytest.mark.parametrize("name", ["few", "dense", "dilute", "salt"])
def test_error_reached_in_single_precision(name, error, scenes):
    assert 0.1 < _over_asked(*scenes(name), error, torch.float32) < 2


def test_error_of_the_mesh_is_a_sum_over_aliases():
    """The estimate, sampled in k-space and free of cancellation, against every wave and alias of a small mesh."""
    cell, alpha, form = np.array([[8.0, 0, 0], [2, 7, 0], [1, -1, 9]]), 0.6, Grid((12, 10, 14), 6)
    waves = np.stack(np.meshgrid(*[np.arange(-(n // 2) + 1, n // 2) for n in form.shape], indexing="ij"), -1)
    waves = waves.reshape(-1, 3)
    waves = waves[waves.any(1)]
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    shape = np.array(form.shape)
    truth = shared = spectrum = overlap = 0.0
    for m in np.ndindex(5, 5, 5):
        n = waves + (np.array(m) - 2) * shape
        squared = np.square(n @ reciprocal).sum(1)
        kernel = 4 * np.pi * np.exp(-squared / (4 * alpha**2)) / squared
        u = (np.sinc(n / shape) ** (2 * form.spline)).prod(1)
        truth, shared = truth + squared * kernel**2, shared + squared * kernel * u
        spectrum, overlap = spectrum + squared * u, overlap + u
    here = np.square(waves @ reciprocal).sum(1)
    weight = 4 * np.pi * np.exp(-here / (4 * alpha**2)) / here
    weight *= (np.sinc(waves / shape) ** (2 * form.spline)).prod(1) / overlap**2
    total = (truth - 2 * weight * shared + weight**2 * overlap * spectrum).sum() / abs(np.linalg.det(cell))
    assert mesh_error.mesh_error(cell, alpha, form) == pytest.approx(np.sqrt(total), rel=0.05)


@pytest.mark.parametrize("order", [4, 5, 8, 10])
def test_splines_are_cardinal_b_splines(order):
    from scipy.interpolate import BSpline

    exact = BSpline.basis_element(np.arange(order + 1), extrapolate=False)
    pieces = mesh_sums.spline(order, 2).pieces.reshape(3, order, -1)
    for t in (0.1, 0.7):
        at = np.arange(order) + 1 - t
        for d in range(3):
            expected = exact(at) if d == 0 else (-1) ** d * exact.derivative(d)(at)
            np.testing.assert_allclose(np.polyval(pieces[d], t - 0.5)[:order], expected, atol=1e-13)


@pytest.mark.parametrize("orders", [CHARGES, VALUE_AND_SLOPES])
@pytest.mark.parametrize("spline, shape", [(5, (6, 7, 5)), (6, (4, 5, 9)), (10, (6, 7, 4))])
def test_spread_and_gather_are_adjoint_and_as_the_reference(orders, spline, shape, rng):
    places = torch.from_numpy(rng.uniform(-1, 2, (5, 3)))
    moments, field = (
        torch.from_numpy(rng.normal(size=(5, len(orders), 2))),
        torch.from_numpy(rng.normal(size=(2, *shape))),
    )
    there, back = (
        spread(places, moments, orders, shape=shape, spline=spline),
        gather(places, field, orders, spline=spline),
    )
    torch.testing.assert_close((there * field).sum(), (back * moments).sum())
    torch.testing.assert_close(there, spread_reference(places, moments, orders, shape=shape, spline=spline))
    torch.testing.assert_close(back, gather_reference(places, field, orders, spline=spline))
    assert there.sum() == pytest.approx(float(moments[:, 0].sum()))  # charge is conserved


def test_spread_and_gather_close_under_differentiation(rng):
    places = torch.from_numpy(rng.uniform(-1, 2, (3, 3))).requires_grad_()
    moments = torch.from_numpy(rng.normal(size=(3, 4, 2))).requires_grad_()
    field = torch.from_numpy(rng.normal(size=(2, 5, 4, 6))).requires_grad_()

    def to_mesh(places, moments):
        return spread(places, moments, VALUE_AND_SLOPES, shape=(5, 4, 6), spline=6)

    def from_mesh(places, field):
        return gather(places, field, VALUE_AND_SLOPES, spline=6)

    assert gradcheck(to_mesh, (places, moments))
    assert gradcheck(from_mesh, (places, field))
    assert gradgradcheck(to_mesh, (places, moments))
    assert gradgradcheck(from_mesh, (places, field))


def test_operators_are_registered_properly(rng):
    places, orders = torch.from_numpy(rng.random((4, 3))).requires_grad_(), [n for o in VALUE_AND_SLOPES for n in o]
    moments, field = (torch.from_numpy(rng.normal(size=size)).requires_grad_() for size in ((4, 4, 2), (2, 5, 4, 6)))
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.farfield.spread.default, (places, moments, orders, [5, 4, 6], 6), test_utils=checks)
    torch.library.opcheck(torch.ops.farfield.gather.default, (places, field, orders, 6), test_utils=checks)


def test_rough_splines_refuse_more_derivatives(rng):
    places = torch.from_numpy(rng.random((2, 3)))
    with pytest.raises(InputError, match=r"derivative 3 .* order 4"):
        gather(places, torch.zeros(1, 4, 4, 4, dtype=torch.float64), [(3, 0, 0)], spline=4)


@pytest.mark.parametrize("gaussian", [False, True])
def test_first_and_second_derivatives(gaussian, rng, apart, triclinic, crystal):
    cell = triclinic(rng, 5.0)
    system, charges = crystal(apart(rng, 4, cell), cell), torch.from_numpy(rng.normal(size=4))
    widths = torch.from_numpy(rng.uniform(0.3, 0.6, 4)) if gaussian else None
    coulomb = Coulomb(error=1e-6, method="mesh")
    plan = coulomb.plan(system, widths)

    def energy(positions, charges, strain, *widths):
        moved = system.with_positions(positions).strained(strain)
        return coulomb.energy(moved, charges=charges, widths=widths[0] if widths else None, plan=plan)

    inputs = [system.positions, charges, 0.02 * torch.ones(1, 3, 3, dtype=torch.float64), widths]
    inputs = [x.clone().requires_grad_() for x in inputs if x is not None]
    assert gradcheck(energy, inputs, eps=1e-5, atol=1e-5, rtol=1e-5)
    assert gradgradcheck(energy, inputs, eps=1e-5, atol=1e-4, rtol=1e-4)


def test_evaluation_is_the_gradient_of_the_energy(scenes):
    system, charges = scenes("few")
    coulomb = Coulomb(error=1e-4, method="mesh")
    plan = coulomb.plan(system)
    positions, variable = system.positions.clone().requires_grad_(), charges.clone().requires_grad_()
    strain = torch.zeros(1, 3, 3, dtype=torch.float64, requires_grad=True)
    energy = coulomb.energy(system.with_positions(positions).strained(strain), charges=variable, plan=plan)
    slopes = torch.autograd.grad(energy.sum(), (positions, variable, strain))
    found = coulomb.evaluate(system, charges=charges, plan=plan)
    torch.testing.assert_close(found.energy, energy.detach(), atol=1e-11, rtol=1e-11)
    torch.testing.assert_close(found.forces, -slopes[0], atol=1e-11, rtol=1e-11)
    torch.testing.assert_close(found.potential, slopes[1], atol=1e-11, rtol=1e-11)
    torch.testing.assert_close(found.stress, slopes[2] / system.volume()[:, None, None], atol=1e-11, rtol=1e-11)


def test_derivatives_beyond_the_second(scenes):
    """Third ones, by finite differences of the second: what training on Hessian products takes."""
    system, charges = scenes("few")
    coulomb = Coulomb(error=1e-6, method="mesh")
    plan = coulomb.plan(system)
    along = torch.ones_like(system.positions) / 7

    def curvature(positions, graph):
        energy = coulomb.energy(system.with_positions(positions), charges=charges, plan=plan).sum()
        (slope,) = torch.autograd.grad(energy, positions, create_graph=True)
        product = torch.autograd.grad(
            (slope * along.roll(1, 0) * charges[:, None]).sum(), positions, create_graph=graph
        )
        return (product[0] * charges[:, None] ** 2).sum()

    positions = system.positions.clone().requires_grad_()
    (third,) = torch.autograd.grad(curvature(positions, True), positions)
    step = 1e-4 * torch.randn(positions.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plus, minus = (curvature((system.positions + sign * step).requires_grad_(), False) for sign in (1, -1))
    assert float((plus - minus).detach() / 2) == pytest.approx(float((third * step).sum()), rel=1e-5)


@pytest.mark.parametrize("change", ["origin", "wrapping", "cell", "hand"])
def test_nothing_depends_on_how_the_crystal_is_written(change, scenes, crystal):
    system, charges = scenes("skewed")
    cell, positions = system.cell[0].numpy(), system.positions.numpy()
    other_cell, other = cell, positions
    if change == "origin":
        other = positions + np.array([0.3, -1.7, 12.1])
    elif change == "wrapping":
        other = positions + np.random.default_rng(1).integers(-2, 3, positions.shape) @ cell
    else:
        other_cell = np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1 if change == "cell" else -1]]) @ cell
    coulomb = Coulomb(error=1e-8, method="mesh")
    first, second = (
        coulomb.evaluate(crystal(places, box), charges=charges)
        for places, box in ((positions, cell), (other, other_cell))
    )
    for name in ("energy", "potential", "forces", "stress"):
        torch.testing.assert_close(getattr(first, name), getattr(second, name), atol=2e-6, rtol=1e-6)


def test_mesh_agrees_with_waves_in_everything(scenes):
    system, charges = scenes("dense")
    widths = 0.3 + 0.2 * torch.rand(system.n_atoms, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    by_mesh, by_waves = (Coulomb(error=1e-8, method=method) for method in ("mesh", "ewald"))
    channels = torch.stack([charges, charges.roll(1)], 1)
    points = system.positions[:7] + 0.4
    sources = Sources(system.positions, system.system_index, charges=channels, widths=widths)
    for ask in (
        lambda one: one.energy(system, charges=channels, widths=widths),
        lambda one: one.evaluate(system, charges=channels, widths=widths).stress,
        lambda one: one.evaluate(system, charges=channels, widths=0.8).forces,
        lambda one: one.operator(system, widths)(charges),
        lambda one: one.matrix(system, widths)[0],
        lambda one: one.potential_at(system, sources, points),
    ):
        torch.testing.assert_close(ask(by_mesh), ask(by_waves), atol=1e-5, rtol=1e-6)


def test_auto_takes_the_mesh_where_it_pays_even_within_a_batch(salt):
    (small, q), (large, p) = salt(4), salt(10)
    both, charges = concatenate([small, large]), torch.cat([q, p])
    coulomb = Coulomb(error=1e-5)
    plan = coulomb.plan(both)
    assert plan.meshed.tolist() == [False, True]
    apart = torch.cat([coulomb.energy(small, charges=q), coulomb.energy(large, charges=p)])
    torch.testing.assert_close(coulomb.energy(both, charges=charges, plan=plan), apart)
    torch.testing.assert_close(coulomb.evaluate(both, charges=charges).energy, apart)


def test_energy_is_smooth_in_the_cell_at_a_fixed_plan(salt):
    system, charges = salt(4)
    coulomb = Coulomb(error=1e-4, method="mesh")
    plan = coulomb.plan(system)
    strain = torch.linspace(-0.01, 0.01, 41, dtype=torch.float64)
    eye = torch.eye(3, dtype=torch.float64)
    wide = plan.reach + 1.0
    attached = _with_pairs(system, wide)
    energies = torch.cat([coulomb.energy(attached.strained(e * eye), charges=charges, plan=plan) for e in strain])
    fit = np.polynomial.Polynomial.fit(strain.numpy(), energies.numpy(), 6)
    # pairs that pass the cutoff make steps as small as the error asked, no mesh makes any
    assert np.abs(fit(strain.numpy()) - energies.numpy()).max() < 1e-5 * abs(float(energies[20]))
    far = torch.cat(
        [mesh.Mesh(on_atoms(attached.strained(e * eye), charges, None), plan).energy() for e in strain]
    ).squeeze(1)
    fit = np.polynomial.Polynomial.fit(strain.numpy(), far.numpy(), 8)
    assert np.abs(fit(strain.numpy()) - far.numpy()).max() < 1e-9 * abs(float(far[20]))


def _with_pairs(system, cutoff):
    from farfield.geometry.neighbors import with_neighbors

    return with_neighbors(system, cutoff)


def test_influence_is_made_once_per_cell(salt, monkeypatch):
    system, charges = salt(4)
    coulomb = Coulomb(error=1e-3, method="mesh")
    plan = coulomb.plan(system)
    coulomb.evaluate(system, charges=charges, plan=plan)

    def again(*_):
        raise AssertionError("the cell has not changed")

    monkeypatch.setattr(influence, "_influence", again)
    monkeypatch.setattr(mesh_plan, "mesh_error", again)
    moved = system.with_positions(system.positions + 0.01)
    coulomb.evaluate(moved, charges=charges, plan=plan)
    coulomb.evaluate(moved, charges=charges)
    with pytest.raises(AssertionError):
        coulomb.evaluate(moved.strained(0.01 * torch.eye(3, dtype=torch.float64)), charges=charges, plan=plan)


def test_works_where_no_graph_is_allowed(scenes):
    system, charges = scenes("few")
    coulomb = Coulomb(error=1e-3, method="mesh")
    with torch.inference_mode():
        found = coulomb.evaluate(system, charges=charges * 1).forces.clone()
    (slope,) = _slopes(coulomb, system, charges)
    torch.testing.assert_close(found, -slope)


def _slopes(coulomb, system, charges):
    positions = system.positions.clone().requires_grad_()
    return torch.autograd.grad(coulomb.energy(system.with_positions(positions), charges=charges).sum(), positions)


def test_threads_share_the_work_and_repeat_it_to_the_bit(salt):
    system, charges = salt(18)
    coulomb = Coulomb(error=1e-3, method="mesh")
    plan = coulomb.plan(system)
    attached = _with_pairs(system, plan.reach)
    alone = coulomb.evaluate(attached, charges=charges, plan=plan)
    torch.set_num_threads(2)
    try:
        first, second = (coulomb.evaluate(attached, charges=charges, plan=plan) for _ in range(2))
    finally:
        torch.set_num_threads(1)
    assert torch.equal(first.forces, second.forces)
    assert torch.equal(first.potential, second.potential)
    torch.testing.assert_close(first.forces, alone.forces, atol=1e-12, rtol=1e-10)
    torch.testing.assert_close(first.stress, alone.stress, atol=1e-12, rtol=1e-10)


def test_sums_over_k_are_those_of_the_reference(rng):
    form = Grid((6, 5, 8), 5)
    cell = torch.from_numpy(np.eye(3) * 7 + rng.normal(size=(3, 3)))
    space = influence.Covered(cell, torch.ones(3, dtype=torch.bool), torch.zeros((), dtype=torch.float64))
    found = influence.influence(space, torch.tensor(0.7, dtype=torch.float64), form)
    spectrum = torch.fft.rfftn(torch.from_numpy(rng.normal(size=(2, 6, 5, 8))), dim=(1, 2, 3))
    energy, moment = mesh.multiply_reference(spectrum.clone(), found, form)
    one = spectrum.clone()
    reciprocal = 2 * np.pi * torch.linalg.inv(cell).T
    virial = mesh.multiply(one, found, form, reciprocal)
    torch.testing.assert_close(one, spectrum * found.weight)
    expected = reciprocal.T @ moment @ reciprocal - energy[:, None, None] * torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(virial, expected)


@pytest.mark.parametrize("number, expected", [(1, 1), (11, 12), (13, 14), (22, 24), (121, 125), (169, 175)])
def test_meshes_are_products_of_small_primes(number, expected):
    assert mesh_plan.round_up(number) == expected


@pytest.mark.parametrize("axes", [(True, True, True), (True, True, False)])
def test_other_vectors_of_the_lattice_change_nothing(axes, rng, apart):
    """Along skewed vectors a mesh has close aliases; energy, forces and stress are those of Ewald's waves."""
    cell = np.array([[6.0, 0, 0], [5.9, 3, 0], [1, 2, 7]])
    places, charges = apart(rng, 6, cell), torch.from_numpy(rng.normal(size=6))
    for turn in (np.eye(3), [[3, 2, 0], [4, 3, 0], [5, -7, 1] if all(axes) else [0, 0, 1]]):
        atoms = ase.Atoms("H6", positions=places, cell=np.array(turn) @ cell, pbc=axes)
        system = System.from_ase(atoms)
        mesh, waves = (Coulomb(error=1e-8, method=m).evaluate(system, charges=charges) for m in ("mesh", "ewald"))
        for name in ("energy", "forces") + ("stress",) * all(axes):
            torch.testing.assert_close(getattr(mesh, name), getattr(waves, name), atol=1e-6, rtol=0)


def test_long_and_thin_slabs_get_a_mesh_as_coarse_as_others():
    box = Box(np.diag([3.0, 3, 1])[None], np.array([[False, False, True]]), np.array([[0, 0, 6000.0]]))
    mesh_plan = cheapest_mesh(box.key(), 1200, 1e-5, widest=0.0, uniform=False)
    assert np.prod(mesh_plan.grid.shape) < 2e6
