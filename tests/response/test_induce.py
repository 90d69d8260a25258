"""Induced dipoles against closed forms, finite differences and each other."""

import math

import ase
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from farfield.coulomb import Coulomb
from farfield.errors import ConvergenceError, InputError
from farfield.response import gaussian_widths, induce, thole_scaling
from farfield.system import System, concatenate
from farfield.units import COULOMB

PERIODIC = {"crystal": True, "slab": (True, True, False), "wire": (False, True, False), "molecule": False}
SOLVERS = ("dense", "cg")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def diatomic(distance):
    return System.from_ase(ase.Atoms("OC", [[0, 0, 0], [0, 0, distance]]))


def gas(pbc, count=6, seed=2):
    rng = np.random.default_rng(seed)
    cell = 5.6 * np.eye(3) + rng.normal(scale=0.3, size=(3, 3))
    grid = 2.5 * np.stack(np.meshgrid(*[np.arange(2)] * 3), -1).reshape(-1, 3)[:count]
    return System.from_ase(ase.Atoms(["O"] * count, grid + rng.uniform(-0.3, 0.3, (count, 3)), cell=cell, pbc=pbc))


def numbers(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def response_to(system, polarizability, interaction, solver="dense"):
    """∂(Σ μ)/∂E ``(3, 3)`` in Å³ and -∂²(min)/∂E², both by autograd."""
    field = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    found = induce(system, polarizability, field.expand(system.n_atoms, 3), interaction, solver=solver)
    first = [torch.autograd.grad(d, field, retain_graph=True)[0] for d in found.dipoles.sum(0)]
    (slope,) = torch.autograd.grad(found.energy.sum(), field, create_graph=True)
    second = [-torch.autograd.grad(s, field, retain_graph=True)[0] for s in slope]
    return COULOMB * torch.stack(first), COULOMB * torch.stack(second)


PAIR = tensor([0.878, 0.434])


@pytest.mark.parametrize("solver", SOLVERS)
def test_two_points_polarize_as_applequist_says(solver):
    system = diatomic(1.5)
    expected = torch.diag(tensor([1.123785545543, 1.123785545543, 2.036068615385]))
    for found in response_to(system, PAIR, Coulomb().interaction(system), solver):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("share", [1.0, 0.99, 0.5])
def test_points_run_away_from_the_critical_distance_on(solver, share):
    """At r = (4α₁α₂)^(1/6) and nearer there is no minimum, field or none, and the atoms are named."""
    critical = (4 * 0.878 * 0.434) ** (1 / 6)
    system = concatenate([diatomic(3.0), diatomic(share * critical)])
    interaction = Coulomb().interaction(system)
    with pytest.raises(ConvergenceError, match=r"structure 1: .*O0 and C1"):
        induce(system, PAIR.repeat(2), torch.zeros(4, 3, dtype=torch.float64), interaction, solver=solver)
    fine = diatomic(1.001 * critical)
    induce(fine, PAIR, torch.zeros(2, 3, dtype=torch.float64), Coulomb().interaction(fine), solver=solver)


@pytest.mark.parametrize("pbc", PERIODIC.values(), ids=PERIODIC)
def test_gaussians_of_the_atoms_own_size_never_run_away(pbc):
    """Atoms anywhere, as close as may be: all modes cost energy, whatever their polarizabilities."""
    rng = np.random.default_rng(5)
    for size in (3.0, 1.5, 0.8):
        atoms = ase.Atoms("O8", rng.uniform(size=(8, 3)) * size, cell=np.eye(3) * (size + 1.0), pbc=pbc)
        system, polarizability = System.from_ase(atoms), tensor(rng.uniform(0.2, 3.0, 8))
        interaction = Coulomb(error=1e-10).interaction(system, gaussian_widths(polarizability))
        found = induce(system, polarizability, numbers(8, 3), interaction, solver="dense")
        assert float(found.energy) < 0
        assert float(found.residual) < 1e-6


def test_widths_make_the_price_of_a_dipole_its_self_energy():
    polarizability, system = tensor([1.7]), System.from_ase(ase.Atoms("O"))
    widths, dipole = gaussian_widths(polarizability), tensor([[0.0, 0.3, 0.4]])
    own = Coulomb().energy(system, dipoles=dipole, widths=widths)
    assert float(own) == pytest.approx(0.5 * COULOMB * 0.25 / 1.7, rel=1e-12)


@pytest.mark.parametrize(("x", "expected"), [(0.1, 4 / 3), (0.2, 1.75)])
@pytest.mark.parametrize(("width", "repeat", "solver"), [(None, 1, "dense"), (None, 2, "cg"), (0.2, 1, "dense")])
def test_a_simple_cubic_lattice_is_clausius_mossottis(x, expected, width, repeat, solver):
    """ε = (1 + 2x)/(1 - x), x = 4πα/3v, from the polarization and from the energy; narrow Gaussians change nothing."""
    polarizability = 3 * 4.0**3 * x / (4 * math.pi)
    system = System.from_ase(ase.Atoms("O", cell=[4.0] * 3, pbc=True).repeat(repeat))
    interaction = Coulomb(error=1e-9).interaction(system, width)
    for found in response_to(system, torch.full((system.n_atoms,), polarizability).double(), interaction, solver):
        epsilon = torch.eye(3) + 4 * math.pi * found / system.volume()
        torch.testing.assert_close(epsilon, expected * torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_at_constant_displacement_the_lattice_has_the_energy_of_its_dielectric(solver):
    """Min over μ of E(μ) + V(D - 4πK P)²/8πK = V D²/8πKε, and E = D - 4πK P = D/ε there."""
    polarizability = 3 * 4.0**3 * 0.2 / (4 * math.pi)
    system = System.from_ase(ase.Atoms("O", cell=[4.0] * 3, pbc=True).repeat(3))
    tinfoil, volume = Coulomb(error=1e-9).interaction(system), float(system.volume())
    displacement = tensor([0.02, -0.01, 0.03])  # V/Å

    class Depolarized:  # the slope of V(4πK P)²/8πK is a field against the polarization
        def __call__(self, charges, dipoles):
            potential, field = tinfoil(charges, dipoles)
            return potential, field - 4 * math.pi * COULOMB * dipoles.sum(-2, keepdim=True) / volume

        def dipole_matrix(self, padding):
            sheet = 4 * math.pi * COULOMB / volume * torch.eye(3).repeat(system.n_atoms, system.n_atoms)
            return tinfoil.dipole_matrix(padding) + sheet

    alike = torch.full((system.n_atoms,), polarizability).double()
    found = induce(system, alike, displacement.expand(system.n_atoms, 3), Depolarized(), solver=solver)
    field = displacement - 4 * math.pi * COULOMB * found.dipoles.sum(0) / volume
    torch.testing.assert_close(displacement / field, torch.full((3,), 1.75).double(), rtol=0, atol=1e-6)
    empty = volume * displacement.square().sum() / (8 * math.pi * COULOMB)
    assert float(found.energy + empty) == pytest.approx(float(empty) / 1.75, rel=1e-6)


def test_a_charge_and_the_dipole_it_induces():
    """-αq²/2R⁴, exactly so between points."""
    for distance in (6.0, 12.0):
        system = System.from_ase(ase.Atoms("HO", [[0, 0, 0], [0, distance, 0]]))
        interaction = Coulomb().interaction(system)
        _, field = interaction(tensor([1.0, 0.0]), torch.zeros(2, 3, dtype=torch.float64))
        found = induce(system, tensor([1e-12, 1.4]), field, interaction)
        assert float(found.energy) == pytest.approx(-COULOMB * 1.4 / (2 * distance**4), rel=1e-9)


def test_tholes_diatomic():
    """α_∥ = (α₁ + α₂ + 2pt)/(1 - pt²) with t = (3λ₅ - λ₃)/r³, α_⊥ with t = -λ₃/r³."""
    distance, product = 1.2, 0.878 * 0.434
    system = diatomic(distance)
    cubed = 0.39 * distance**3 / math.sqrt(product)
    third, fifth = 1 - math.exp(-cubed), 1 - (1 + cubed) * math.exp(-cubed)
    slopes = [-third / distance**3] * 2 + [(3 * fifth - third) / distance**3]
    expected = torch.diag(tensor([(1.312 + 2 * product * t) / (1 - product * t * t) for t in slopes]))
    found, _ = response_to(system, PAIR, Coulomb().interaction(system, pairs=thole_scaling(system, PAIR)))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_thole_damps_images_too():
    atoms = ase.Atoms("OH", [[0, 0, 0], [0.9, 0.4, 0.3]], cell=np.diag([3.4, 3.1, 3.3]), pbc=True)
    found = []
    for repeat in (1, 2):
        system = System.from_ase(atoms.repeat(repeat))
        polarizability = torch.where(system.numbers == 8, 0.8, 0.3).double()
        interaction = Coulomb(error=1e-9).interaction(system, pairs=thole_scaling(system, polarizability))
        found.append(response_to(system, polarizability, interaction)[0] / system.volume())
    torch.testing.assert_close(*found, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("pbc", PERIODIC.values(), ids=PERIODIC)
def test_dense_and_iterated_agree(pbc):
    system = concatenate([gas(pbc), gas(pbc, count=4, seed=3)])
    polarizability = 0.5 + 0.5 * numbers(10).square()
    interaction = Coulomb(error=1e-8).interaction(system, gaussian_widths(polarizability))
    one, other = (induce(system, polarizability, numbers(10, 3), interaction, solver=solver) for solver in SOLVERS)
    assert (one.steps, other.steps > 0) == (0, True)
    torch.testing.assert_close(one.dipoles, other.dipoles, rtol=0, atol=1e-9)
    torch.testing.assert_close(one.energy, other.energy, rtol=0, atol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_fields_and_gradients_however_small_are_answered(solver):
    system = gas(False)
    interaction = Coulomb().interaction(system)
    polarizability, field = torch.full((6,), 0.7).double().requires_grad_(), numbers(6, 3)

    def answer(size, of_loss):
        dipoles = induce(system, polarizability, size * field, interaction, solver=solver).dipoles / size
        (slope,) = torch.autograd.grad(of_loss * dipoles.square().sum(), polarizability)
        return dipoles.detach(), slope / of_loss

    torch.testing.assert_close(answer(1e-11, 1e-12), answer(1.0, 1.0), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("pbc", [True, False], ids=["crystal", "molecule"])
def test_derivatives_to_second_order(pbc, solver):
    """Of energy and dipoles, by positions, tensors of polarizability and field."""
    system = gas(pbc, count=3)
    half = numbers(3, 3, 3)

    def predict(positions, half, field):
        polarizability = 0.3 * torch.eye(3).double() + 0.1 * half @ half.transpose(1, 2)
        moved = system.with_positions(positions)
        largest = polarizability.diagonal(dim1=1, dim2=2).sum(1)
        interaction = Coulomb(error=1e-9).interaction(moved, gaussian_widths(largest))
        found = induce(moved, polarizability, field, interaction, solver=solver, tolerance=1e-12)
        return found.energy, found.dipoles

    inputs = tuple(x.requires_grad_() for x in (system.positions.clone(), half, numbers(3, 3, seed=7)))
    assert gradcheck(predict, inputs, rtol=1e-6, atol=1e-7)
    assert gradgradcheck(predict, inputs, rtol=1e-6, atol=1e-6, fast_mode=True)


def test_one_anisotropic_atom():
    half = numbers(1, 3, 3)
    polarizability, field = half @ half.transpose(1, 2) + torch.eye(3), numbers(1, 3)
    system = System.from_ase(ase.Atoms("O"))
    found = induce(system, polarizability, field, Coulomb().interaction(system))
    expected = (polarizability[0] @ field[0]) / COULOMB
    torch.testing.assert_close(found.dipoles[0], expected)
    assert float(found.energy) == pytest.approx(-0.5 * float(expected @ field[0]))


@pytest.mark.parametrize(
    ("polarizability", "field", "solver", "said"),
    [
        (torch.ones(3), torch.zeros(2, 3), "auto", r"polarizability has shape \(3,\), expected \(2,\)"),
        (torch.ones(2), torch.zeros(2), "auto", r"field has shape \(2,\)"),
        (torch.tensor([1.0, -0.1]), torch.zeros(2, 3), "auto", "atom 1 of the batch is -0.1.* must be positive"),
        (torch.tensor([1.0, torch.nan]), torch.zeros(2, 3), "auto", "not finite"),
        (torch.ones(2), torch.zeros(2, 3), "lu", 'there are "auto", "dense" and "cg"'),
    ],
)
def test_bad_input(polarizability, field, solver, said):
    system = diatomic(3.0)
    with pytest.raises(InputError, match=said):
        induce(system, polarizability, field, Coulomb().interaction(system), solver=solver)
