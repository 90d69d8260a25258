"""Charge equilibration against closed forms, finite differences and an independent solve."""

import ase
import numpy as np
import pytest
import torch
from scipy.special import erf
from torch.autograd import gradcheck, gradgradcheck

from farfield.coulomb import Coulomb
from farfield.errors import InputError
from farfield.response import equilibrate
from farfield.system import System, concatenate
from farfield.units import COULOMB


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def diatomic(distance, charge=0):
    return System.from_ase(ase.Atoms("H2", positions=[[0, 0, 0], [0, 0, distance]], info={"charge": charge}))


def gas(seed, count, periodic, charge=0.0):
    rng = np.random.default_rng(seed)
    grid = 2.5 * np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)[:count]
    places = grid + rng.uniform(-0.4, 0.4, (count, 3))
    atoms = ase.Atoms([1] * count, positions=places, info={"charge": charge})
    if periodic:
        atoms.set_cell(7.5 * np.eye(3) + rng.normal(size=(3, 3)) * 0.3)
        atoms.pbc = True
    return System.from_ase(atoms)


SLOPES, HARDNESS = tensor([0.2, 0.5]) * COULOMB, tensor([0.6, 0.8]) * COULOMB


@pytest.mark.parametrize("distance, expected", [(2.0, 0.75), (5.0, 0.3), (1e6, 0.3 / (1.4 - 2e-6))])
def test_two_points(distance, expected):
    found = equilibrate(diatomic(distance), SLOPES, HARDNESS)
    assert found.charges.tolist() == pytest.approx([expected, -expected], rel=1e-12)
    energy = -(0.3**2) / (2 * (1.4 - 2 / distance)) * COULOMB
    assert float(found.energy) == pytest.approx(energy, rel=1e-12)


def test_two_gaussians():
    first, second, distance = 0.5, 0.8, 1.5
    pair = erf(distance / np.sqrt(2 * (first**2 + second**2))) / distance
    own = 1 / np.sqrt(np.pi) * (1 / first + 1 / second)
    expected = 0.3 / (1.4 + own - 2 * pair)
    found = equilibrate(diatomic(distance), SLOPES, HARDNESS, widths=tensor([first, second]))
    assert float(found.charges[0]) == pytest.approx(expected, rel=1e-12)
    assert float(found.energy) == pytest.approx(-0.15 * expected * COULOMB, rel=1e-12)


@pytest.mark.parametrize("solver", ["dense", "cg"])
@pytest.mark.parametrize("distance", [2 / 1.4, 1.2, 0.5])
def test_no_minimum_is_said(distance, solver):
    """J₁ + J₂ ≤ 2/R: the charges would run away."""
    with pytest.raises(InputError, match=r"structure 1: .* atoms 0 \(H\) and 1 \(H\)"):
        equilibrate(
            concatenate([diatomic(3.0), diatomic(distance)]), SLOPES.repeat(2), HARDNESS.repeat(2), solver=solver
        )


def _independent(system, slopes, hardness, widths):
    """Lagrange's bordered system in numpy."""
    n = system.n_atoms
    block = np.zeros((n + 1, n + 1))
    block[:n, :n] = Coulomb(error=1e-9).matrix(system, widths)[0].numpy() + np.diag(hardness.numpy())
    block[n, :n] = block[:n, n] = 1
    return np.linalg.solve(block, np.append(-slopes.numpy(), system.charge.numpy()))[:n]


@pytest.mark.parametrize("solver", ["dense", "cg"])
def test_a_mixed_batch(solver):
    systems = [gas(1, 5, True, 1.0), gas(2, 1, False, -1.0), gas(3, 9, False), gas(4, 12, True, -2.0)]
    batch = concatenate(systems)
    generator = torch.Generator().manual_seed(1)
    slopes = torch.randn(batch.n_atoms, dtype=torch.float64, generator=generator)
    hardness = 8 + 4 * torch.rand(batch.n_atoms, dtype=torch.float64, generator=generator)
    widths = 0.4 + 0.5 * torch.rand(batch.n_atoms, dtype=torch.float64, generator=generator)
    sharp = Coulomb(error=1e-9)
    found = equilibrate(batch, slopes, hardness, widths=widths, solver=solver, coulomb=sharp)
    for k, system in enumerate(systems):
        mine = batch.system_index == k
        expected = _independent(system, slopes[mine], hardness[mine], widths[mine])
        assert found.charges[mine].numpy() == pytest.approx(expected, abs=1e-8)
        assert float(found.charges[mine].sum()) == pytest.approx(float(system.charge), abs=1e-10)
    assert float(found.residual.max()) <= 1e-8
    assert (found.steps > 0) == (solver == "cg")


def test_charges_feel_one_chemical_potential():
    system, slopes, hardness = gas(5, 8, True, 1.0), torch.linspace(-1, 1, 8).double(), tensor([9.0] * 8)
    found = equilibrate(system, slopes, hardness, widths=0.5)
    potential = Coulomb().evaluate(system, charges=found.charges, widths=0.5).potential
    level = slopes + hardness * found.charges + potential
    assert float(level.max() - level.min()) < 1e-9


def test_uniform_external_potential_moves_no_charge():
    system, slopes, hardness = gas(6, 6, True), torch.linspace(-1, 1, 6).double(), tensor([9.0] * 6)
    plain, lifted = (equilibrate(system, slopes, hardness, widths=0.5, external_potential=v) for v in (None, 3.0))
    torch.testing.assert_close(plain.charges, lifted.charges)
    torch.testing.assert_close(plain.energy, lifted.energy)


@pytest.mark.parametrize("solver", ["dense", "cg"])
@pytest.mark.parametrize("periodic", [False, True])
def test_differentiable_twice_in_everything(periodic, solver):
    system, sharp = gas(7, 3, periodic, 1.0), Coulomb(error=1e-7)
    inputs = [tensor([-1.0, 0.3, 0.5]), tensor([9.0, 10.0, 11.0]), tensor([0.4, 0.5, 0.45])]
    inputs += [tensor([0.1, -0.2, 0.0]), system.positions, torch.zeros(1, 3, 3).double(), tensor([1.0])]
    inputs = [x.clone().requires_grad_() for x in inputs]

    def charges_and_energy(slopes, hardness, widths, external, positions, strain, charge):
        moved = system.with_positions(positions).strained(strain)
        moved = System(**{**vars(moved), "charge": charge})
        found = equilibrate(
            moved, slopes, hardness, widths=widths, external_potential=external,
            solver=solver, tolerance=1e-13, coulomb=sharp,
        )  # fmt: skip
        return found.charges, found.energy

    assert gradcheck(charges_and_energy, inputs, eps=1e-5, atol=1e-6)
    assert gradgradcheck(charges_and_energy, inputs, eps=1e-5, atol=1e-5)


@pytest.mark.parametrize("solver", ["dense", "cg"])
def test_single_precision(solver):
    system, slopes, hardness = gas(9, 9, True, 1.0), torch.linspace(-1, 1, 9).double(), tensor([9.0] * 9)
    exact = equilibrate(system, slopes, hardness, widths=0.5)
    found = equilibrate(system.to(dtype=torch.float32), slopes, hardness, widths=0.5, solver=solver)
    assert found.charges.dtype == torch.float32
    torch.testing.assert_close(found.charges.double(), exact.charges, atol=2e-5, rtol=0)


def test_systems_that_arrive_early_wait_for_the_others():
    systems = [diatomic(3.0), gas(10, 25, True)]
    batch = concatenate(systems)
    slopes, hardness = torch.linspace(-1, 1, 27).double(), torch.full((27,), 9.0).double()
    dense, iterated = (equilibrate(batch, slopes, hardness, widths=0.5, solver=s) for s in ("dense", "cg"))
    torch.testing.assert_close(iterated.charges, dense.charges, atol=1e-9, rtol=0)


def test_energy_slope_is_the_charge():
    """dE/dχ = q, the envelope theorem."""
    system, hardness = gas(8, 6, True), tensor([9.0] * 6)
    slopes = torch.linspace(-1, 1, 6).double().requires_grad_()
    found = equilibrate(system, slopes, hardness, widths=0.5)
    torch.testing.assert_close(torch.autograd.grad(found.energy.sum(), slopes)[0], found.charges.detach())


@pytest.mark.parametrize(
    "change, message",
    [
        ({"electronegativity": torch.ones(3)}, r"electronegativity has shape \(3,\), expected \(2,\)"),
        ({"hardness": tensor([1.0, float("inf")])}, "hardness has values that are not finite: that of atom 1 "),
        ({"solver": "magic"}, "magic"),
        ({"external_potential": torch.ones(2, 1)}, "external_potential has shape"),
    ],
)
def test_wrong_input_is_named(change, message):
    with pytest.raises(InputError, match=message):
        equilibrate(diatomic(2.0), **{"electronegativity": SLOPES, "hardness": HARDNESS, **change})


@pytest.mark.parametrize("solver", ["dense", "cg"])
def test_differentiable_twice_at_a_fixed_cell(solver):
    """Where no cell, width or total is differentiated by, derivatives are compiled sums."""
    system, sharp = concatenate([gas(7, 3, True, 1.0), gas(8, 2, True)]), Coulomb(error=1e-7)
    widths = tensor([0.4, 0.5, 0.45, 0.5, 0.4])
    inputs = [tensor([-1.0, 0.3, 0.5, 0.2, -0.3]), tensor([9.0, 10.0, 11.0, 9.5, 8.0]), system.positions]
    inputs = [x.clone().requires_grad_() for x in inputs]

    def found(slopes, hardness, positions):
        moved = system.with_positions(positions)
        return equilibrate(moved, slopes, hardness, widths=widths, solver=solver, tolerance=1e-13, coulomb=sharp)

    def charges_and_energy(*given):
        answer = found(*given)
        return answer.charges, answer.energy

    def forces_and_charges(*given):
        answer = found(*given)
        (forces,) = torch.autograd.grad((tensor([1.0, -0.3]) * answer.energy).sum(), given[2], create_graph=True)
        return forces, answer.charges

    assert gradcheck(charges_and_energy, inputs, eps=1e-5, atol=1e-6)
    assert gradcheck(forces_and_charges, inputs, eps=1e-5, atol=1e-6)
    assert gradgradcheck(charges_and_energy, inputs, eps=1e-5, atol=1e-5)


def test_third_derivatives_of_the_energy():
    """What training on second ones asks for, by differences of these."""
    system = System.from_ase(ase.Atoms("NaClNa", [[0, 0, 0], [0, 0, 2.4], [1.9, 0.3, 0.2]]))
    way = tensor([[0.2, -0.1, 0.3], [-0.3, 0.1, 0.2], [0.1, 0.4, -0.2]])

    def along(step, order):
        line = tensor(step).requires_grad_()
        found = equilibrate(system.with_positions(system.positions + line * way), tensor([1.0, 4.0, 0.5]),
                            tensor([9.0, 12.0, 9.0]), widths=0.8).energy[0]  # fmt: skip
        for _ in range(order):
            (found,) = torch.autograd.grad(found, line, create_graph=True)
        return float(found.detach())

    expected = (8 * (along(1e-3, 2) - along(-1e-3, 2)) - along(2e-3, 2) + along(-2e-3, 2)) / 12e-3
    assert along(0.0, 3) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("solver", ["dense", "cg"])
def test_a_slab_beside_a_reservoir_charges_without_end(solver):
    places = [[x, y, z] for x in (0, 3.0) for y in (0, 3.0) for z in (0, 3.0, 6.0)]
    slab = ase.Atoms("Na12", places, cell=[6, 6, 0], pbc=[True, True, False], info={"fermi_level": -4.0})
    with pytest.raises(InputError, match="from the reservoir to all atoms"):
        equilibrate(System.from_ase(slab), torch.zeros(12).double(), tensor(12.0), widths=1.0, solver=solver)
