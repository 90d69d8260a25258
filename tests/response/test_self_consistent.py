"""Self-consistent densities against linear response, closed forms, finite differences and each other."""

import gc
import math
import weakref
from dataclasses import replace

import ase
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from farfield.coulomb import Coulomb
from farfield.coulomb.functions.gaussians import gaussian_self_hardness
from farfield.errors import ConvergenceError, FarfieldError, InputError
from farfield.response import equilibrate, induce
from farfield.response.density.atomic_response import AtomicResponse
from farfield.response.density.functional import DensityFunctional
from farfield.response.density.self_consistent import Iteration, self_consistent
from farfield.system import System, concatenate, per_system
from farfield.units import COULOMB

PERIODIC = {"crystal": True, "slab": (True, True, False), "wire": (False, True, False), "molecule": False}
TIGHT = Iteration(1e-12)
SUM = Coulomb(error=1e-9)
WIDTH = 0.8


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def gas(pbc, count=6, seed=2, charge=0.0):
    rng = np.random.default_rng(seed)
    cell = 5.6 * np.eye(3) + rng.normal(scale=0.3, size=(3, 3))
    grid = 2.5 * np.stack(np.meshgrid(*[np.arange(2)] * 3), -1).reshape(-1, 3)[:count]
    atoms = ase.Atoms(["O"] * count, grid + rng.uniform(-0.3, 0.3, (count, 3)), cell=cell, pbc=pbc)
    atoms.info["charge"] = charge
    return System.from_ase(atoms)


def numbers(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def widths_of(system):
    return torch.full((system.n_atoms,), WIDTH, dtype=torch.float64)


def own_of(widths):
    hardness = gaussian_self_hardness(widths)[:, None]
    return torch.cat([hardness, (hardness / (6 * widths[:, None].square())).expand(-1, 3)], 1)


def response_of(system, channels=4, seed=3, softness=0.1, polarizability=0.06):
    n, one = system.n_atoms, torch.ones(system.n_atoms, dtype=torch.float64)
    return AtomicResponse(
        own_of(widths_of(system)),
        charge=0.3 * numbers(n, seed=seed),
        dipole=0.1 * numbers(n, 3, seed=seed + 1),
        softness=softness * one,
        polarizability=polarizability * one,
        height=0.4 * numbers(n, channels, seed=seed + 2).abs(),
        place=numbers(n, channels, seed=seed + 3),
        slope=0.4 * numbers(n, channels, seed=seed + 4).abs(),
        turn=0.2 * numbers(n, channels, 3, seed=seed + 5),
    )


def solved(system, response, how=TIGHT):
    widths = widths_of(system)
    return self_consistent(system, response, widths, SUM, SUM.plan(system, widths, rank=1), how)


@pytest.mark.parametrize("pbc", PERIODIC)
@pytest.mark.parametrize("charge", [0.0, 1.0])
def test_linear_charges_are_those_of_equilibration(pbc, charge):
    system = gas(PERIODIC[pbc], charge=charge)
    response = replace(
        response_of(system, channels=0),
        dipole=torch.zeros(6, 3).double(),
        polarizability=torch.full((6,), 1e-13).double(),
    )
    found = solved(system, response)
    hardness, self_term = 1 / response.softness, response.self_term[:, 0]
    alone = -(hardness + self_term) * response.charge
    expected = equilibrate(system, alone, hardness, widths=widths_of(system), coulomb=SUM, solver="dense")
    torch.testing.assert_close(found.charges, expected.charges, rtol=0, atol=1e-10)
    constant = per_system(0.5 * (hardness + self_term) * response.charge.square(), system)
    torch.testing.assert_close(found.energy, expected.energy + constant, rtol=0, atol=1e-9)


@pytest.mark.parametrize("pbc", PERIODIC)
def test_linear_dipoles_are_those_of_induction(pbc):
    system = gas(PERIODIC[pbc])
    response = replace(
        response_of(system, channels=0), softness=torch.full((6,), 1e-13).double(), dipole=torch.zeros(6, 3).double()
    )
    response = replace(response, charge=response.charge - response.charge.mean())
    found = solved(system, response)
    interaction = SUM.interaction(system, widths_of(system))
    stiffness = 1 / response.polarizability + response.self_term[:, 1]  # with what a Gaussian does to itself
    field = interaction(response.charge, torch.zeros(6, 3).double())[1]
    expected = induce(system, COULOMB / stiffness, field, interaction, solver="dense")
    torch.testing.assert_close(found.dipoles, expected.dipoles, rtol=0, atol=1e-10)


def test_two_atoms_follow_the_closed_form():
    system = System.from_ase(ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 3.0]]))
    response = replace(
        response_of(system, channels=0),
        charge=torch.tensor([0.5, -0.2]).double(),
        softness=torch.tensor([0.1, 0.2]).double(),
        dipole=torch.zeros(2, 3).double(),
        polarizability=torch.full((2,), 1e-13).double(),
    )
    total = 1 / response.softness + response.self_term[:, 0]
    between = COULOMB * math.erf(3.0 / (2 * WIDTH)) / 3.0
    asked = -total * response.charge
    expected = (asked[1] - asked[0]) / (total.sum() - 2 * between)
    assert float(solved(system, response).charges[0]) == pytest.approx(float(expected), abs=1e-11)


@pytest.mark.parametrize("pbc", PERIODIC)
@pytest.mark.parametrize("charge", [0.0, 1.0])
def test_the_density_answers_to_the_potential_it_makes(pbc, charge):
    system = gas(PERIODIC[pbc], charge=charge)
    response = response_of(system)
    found = solved(system, response)
    density = torch.cat([found.charges[:, None], found.dipoles], 1)
    induced_potential = (
        SUM.interaction(system, widths_of(system)).gradient(density[:, :, None])[:, :, 0] + response.self_term * density
    )
    chemical_potential = found.potentials - induced_potential
    torch.testing.assert_close(chemical_potential[:, 1:], torch.zeros(6, 3).double(), rtol=0, atol=1e-10)
    torch.testing.assert_close(chemical_potential[:, 0], chemical_potential[:1, 0].expand(6), rtol=0, atol=1e-10)
    torch.testing.assert_close(response.density(found.potentials), density, rtol=0, atol=1e-11)
    torch.testing.assert_close(found.charges.sum(), system.charge[0], rtol=0, atol=1e-11)
    torch.testing.assert_close(found.coulomb, 0.5 * (density * induced_potential).sum()[None])


def test_the_density_is_the_slope_of_the_atoms_energy_and_softness_its_slope():
    response = response_of(gas(False))
    potentials = numbers(6, 4, seed=9).requires_grad_()
    (slope,) = torch.autograd.grad(response.energy(potentials).sum(), potentials, create_graph=True)
    torch.testing.assert_close(response.density(potentials), slope)
    rows = [torch.autograd.grad(slope[:, k].sum(), potentials, retain_graph=True)[0] for k in range(4)]
    susceptibility = response.susceptibility(potentials)
    torch.testing.assert_close(susceptibility, -torch.stack(rows, 1))
    torch.testing.assert_close(response.softness_of_charge(potentials), susceptibility[:, 0])
    assert torch.linalg.eigvalsh(susceptibility).min() > 0
    with torch.no_grad():
        compiled = response.response_to(potentials)
    torch.testing.assert_close(compiled, (slope.detach(), susceptibility[:, 0].detach()))


@pytest.mark.parametrize("pbc", PERIODIC)
def test_derivatives_to_the_second_order(pbc):
    system = gas(PERIODIC[pbc], count=3, charge=1.0)
    response = response_of(system, channels=2)

    def values(positions, charge, *parts):
        found = solved(replace(system, positions=positions, charge=charge), response.at(parts))
        return found.energy, found.charges, found.dipoles

    variables = [x.detach().clone().requires_grad_() for x in (system.positions, system.charge, *response.variables)]
    assert gradcheck(values, variables, atol=1e-6)
    assert gradgradcheck(values, variables, atol=1e-5, fast_mode=True)


def test_small_gradients_that_follow_large_ones_keep_their_digits():
    """Derivatives of size 1 on the way, then the gradient of a loss however small."""
    system = gas(False)
    response = response_of(system)
    positions, softness = (x.clone().requires_grad_() for x in (system.positions, response.softness))

    def gradient(size):
        moved = replace(system, positions=positions)
        found = solved(moved, replace(response, softness=softness), Iteration(1e-6))
        slopes = [torch.autograd.grad(d, positions, create_graph=True)[0] for d in found.dipoles.sum(0)]
        return torch.autograd.grad(size * torch.stack(slopes).square().sum(), softness)[0] / size

    torch.testing.assert_close(gradient(1e-12), gradient(1.0), rtol=1e-4, atol=0)


def test_what_is_prepared_goes_with_the_answer():
    """And not when cycles are collected: pairs of 1,000 atoms are 100 MB."""
    system = gas(False)
    seen = []

    class Watched(Coulomb):
        def interaction(self, *given, **more):
            found = super().interaction(*given, **more)
            seen.append(weakref.ref(found))
            return found

    response, widths, watched = response_of(system), widths_of(system), Watched(error=1e-9)
    response = response.at([x.requires_grad_() for x in response.variables])
    gc.disable()
    try:
        found = self_consistent(system, response, widths, watched, watched.plan(system, widths, rank=1))
        torch.autograd.grad(found.energy.sum() + found.charges[0], response.variables)
        del found
        assert [reference() for reference in seen] == [None] * len(seen)
    finally:
        gc.enable()
    assert seen


def test_newton_finishes_what_mixing_leaves():
    system = concatenate([gas(True), gas(False, count=4, seed=5, charge=-1.0)])
    response = response_of(system, softness=0.4)
    response = replace(response, slope=6 * response.slope, turn=6 * response.turn)  # steep steps
    mixed, newton = solved(system, response), solved(system, response, replace(TIGHT, most=1))
    torch.testing.assert_close(newton.charges, mixed.charges, rtol=0, atol=1e-10)
    torch.testing.assert_close(newton.energy, mixed.energy, rtol=0, atol=1e-9)
    assert newton.residual <= 1e-12
    assert newton.steps > 1


def test_what_cannot_be_met_is_said():
    system = gas(False)
    with pytest.raises(ConvergenceError, match="structure 0: the density is not self-consistent"):
        solved(system, response_of(system), replace(TIGHT, tolerance=1e-40))


@pytest.mark.parametrize(("number", "said"), [(math.nan, "not finite"), (math.inf, "not finite"), (1e200, "left in")])
def test_numbers_that_lead_nowhere_are_said(number, said):
    system = gas(False)
    response = replace(response_of(system), charge=number * torch.ones(6, dtype=torch.float64))
    with pytest.raises(FarfieldError, match=said):
        solved(system, response)


def test_potentials_far_beyond_any_step_have_finite_slopes():
    response = response_of(gas(False))
    potentials = (1e4 * numbers(6, 4, seed=9)).requires_grad_()
    found = [response.energy(potentials), response.density(potentials), response.softness_of_charge(potentials)]
    (slope,) = torch.autograd.grad(sum(x.sum() for x in found), potentials)
    assert slope.isfinite().all()


def test_steps_hold_a_charge_where_linear_response_lets_go():
    """Two atoms 15 Å apart, one step each of a whole electron: plain equilibration would leave a fraction."""
    system = System.from_ase(ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 15.0]]))
    one = torch.ones(2, 1, dtype=torch.float64)
    response = AtomicResponse(
        own_of(widths_of(system)),
        charge=torch.tensor([0.0, 0.0]).double(),
        dipole=torch.zeros(2, 3).double(),
        softness=torch.full((2,), 1e-6).double(),
        polarizability=torch.full((2,), 1e-6).double(),
        height=one,  # of one electron where the slope is 1
        place=torch.tensor([[-6.0], [6.0]]).double(),  # the first is neutral up to 6 V below, then loses one
        slope=one,
        turn=torch.zeros(2, 1, 3).double(),
    )
    apart = solved(system, replace(response, place=torch.tensor([[-12.0], [12.0]]).double())).charges
    assert apart.abs().max() < 1e-3
    ions = System.from_ase(ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 15.0]], info={"charge": 2.0}))
    held = solved(ions, replace(response, charge=torch.tensor([1.0, 1.0]).double())).charges
    torch.testing.assert_close(held, torch.ones(2).double(), rtol=0, atol=1e-3)


def test_a_fermi_level_sets_the_charge():
    system = replace(gas(False), fermi_level=torch.tensor([1.3]).double())
    response = response_of(system)

    def grand(chemical_potential):
        return solved(replace(system, fermi_level=chemical_potential), response)

    chemical_potential = system.fermi_level.clone().requires_grad_()
    assert gradcheck(lambda chemical_potential: grand(chemical_potential).energy, chemical_potential)
    assert gradcheck(lambda chemical_potential: grand(chemical_potential).charges, chemical_potential)
    (slope,) = torch.autograd.grad(grand(chemical_potential).energy.sum(), chemical_potential)
    torch.testing.assert_close(slope[0], grand(system.fermi_level).charges.sum())


@pytest.mark.parametrize("pbc", [(True, True, False), (False, True, False)], ids=["slab", "wire"])
@pytest.mark.parametrize("most", [1, 30])
def test_a_fermi_level_at_which_charge_would_run_away_is_said(pbc, most):
    """Raising it must lower the charge; a soft slab's or wire's rises, where the energy is stationary but not least."""
    both = concatenate([gas(False), gas(pbc)])
    system = replace(both, fermi_level=torch.tensor([1.0, 1.0]).double())
    with pytest.raises(InputError, match="structure 1: no total charge minimises"):
        solved(system, response_of(system, softness=0.4), replace(TIGHT, most=most))
    alone = replace(system, fermi_level=torch.tensor([1.0, torch.nan]).double())
    assert solved(alone, response_of(alone, softness=0.4)).charges[6:].sum().abs() < 1e-10


def test_a_field_polarizes_by_minus_the_slope_of_the_energy():
    system = gas(False, charge=1.0)
    response = response_of(system)
    field = torch.tensor([[0.1, -0.2, 0.05]]).double().requires_grad_()
    found = solved(replace(system, external_field=field), response)
    (slope,) = torch.autograd.grad(found.energy.sum(), field)
    dipole = (found.charges[:, None] * system.positions + found.dipoles).sum(0)
    torch.testing.assert_close(-slope[0], dipole, rtol=0, atol=1e-9)


def test_memory_does_not_grow_with_the_steps():
    def nodes(tensor):
        seen, left = set(), [tensor.grad_fn]
        while left:
            node = left.pop()
            if node is not None and node not in seen:
                seen.add(node)
                left += [parent for parent, _ in node.next_functions]
        return len(seen)

    system = gas(True)
    response = response_of(system)
    response = response.at([x.requires_grad_() for x in response.variables])
    rough, fine = (solved(system, response, Iteration(tolerance)) for tolerance in (1e-2, 1e-12))
    assert fine.steps > rough.steps + 5
    assert nodes(fine.charges) == nodes(rough.charges)


def test_a_number_of_plain_steps_gets_there_in_the_end_and_has_the_slope_of_what_it_is():
    system = gas(False)
    response = response_of(system, channels=2, softness=0.03, polarizability=0.02)
    many = solved(system, response, Iteration(mixing=0.4, steps=200))
    torch.testing.assert_close(many.charges, solved(system, response).charges, rtol=0, atol=1e-9)

    def energy(positions, softness):
        changed = replace(response, softness=softness)
        return solved(replace(system, positions=positions), changed, Iteration(mixing=0.4, steps=3)).energy

    variables = [x.clone().requires_grad_() for x in (system.positions, response.softness)]
    assert gradcheck(energy, variables, atol=1e-6)
    assert gradgradcheck(energy, variables, atol=1e-5, fast_mode=True)


def test_nothing_waits_for_the_collector():
    """What is prepared for a form, all pairs with it, goes with it."""
    gc.collect()
    gc.disable()
    try:
        system = gas(False)
        positions = system.positions.clone().requires_grad_()
        plan = SUM.plan(system, widths_of(system), rank=1)
        found = self_consistent(system.with_positions(positions), response_of(system), widths_of(system), SUM, plan)
        found.energy.sum().backward()
        del found, positions
        assert not [one for one in gc.get_objects() if type(one) is DensityFunctional]
    finally:
        gc.enable()
