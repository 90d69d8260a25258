"""The public face: closed forms, batches, invariances, sources anywhere, and what it says when asked wrongly."""

import ase
import numpy as np
import pytest
import torch
from scipy.special import erf

from farfield.coulomb import Coulomb, Sources
from farfield.errors import InputError
from farfield.geometry.neighbors import with_neighbors
from farfield.system import System, concatenate
from farfield.units import COULOMB

TIGHT = Coulomb(error=1e-9)


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture
def mixed(rng, apart, triclinic, crystal):
    """Molecules and crystals of different sizes in turn, with charges."""
    systems = []
    for count, periodic in ((3, False), (5, True), (1, False), (8, True), (1, True), (6, False)):
        cell = triclinic(rng)
        systems.append(crystal(apart(rng, count, cell), cell if periodic else None))
    return systems, [torch.from_numpy(rng.normal(size=s.n_atoms)) for s in systems]


@pytest.mark.parametrize("first, second", [(0.0, 0.0), (0.4, 0.0), (0.4, 0.7)])
def test_two_charges_alone(first, second, crystal):
    distance, widths = 1.7, tensor([first, second])
    system = crystal([[0, 0, 0], [0, 0, distance]])
    charges = tensor([0.8, -0.5])
    variance = 2 * (first**2 + second**2)
    pair = COULOMB * (erf(distance / np.sqrt(variance)) if variance else 1.0) / distance
    own = sum(COULOMB * q**2 / (2 * np.sqrt(np.pi) * s) for q, s in ((0.8, first), (0.5, second)) if s)
    bare = Coulomb().energy(system, charges=charges, widths=widths, self_energy=False)
    full = Coulomb().energy(system, charges=charges, widths=widths)
    assert float(bare) == pytest.approx(-0.4 * pair, rel=1e-13)
    assert float(full) == pytest.approx(-0.4 * pair + own, rel=1e-13)
    potential = Coulomb().evaluate(system, charges=charges, widths=widths, self_energy=False).potential
    assert potential.tolist() == pytest.approx([-0.5 * pair, 0.8 * pair], rel=1e-13)


def test_background_does_not_depend_on_widths(crystal):
    """Far apart, widths of a charged cell change nothing but the self-energy."""
    system = crystal([[0, 0, 0], [6.0, 6, 6]], np.eye(3) * 12)
    charges = tensor([1.0, 0.5])
    energies = [TIGHT.energy(system, charges=charges, widths=w, self_energy=False) for w in (None, 0.4, 0.7)]
    torch.testing.assert_close(energies[1], energies[0], atol=1e-8, rtol=0)
    torch.testing.assert_close(energies[2], energies[0], atol=1e-8, rtol=0)


def test_one_width_for_all_needs_no_pairs(rng, apart, crystal):
    system = crystal(apart(rng, 20, np.eye(3) * 8), np.eye(3) * 8)
    charges = torch.from_numpy(rng.normal(size=20))
    assert TIGHT.reach(system, 1.0) == 0
    assert TIGHT.reach(system) > 0
    per_atom = torch.full((20,), 1.0, dtype=torch.float64, requires_grad=True)  # differentiated: pairs are summed
    assert TIGHT.reach(system, per_atom) > 0
    one, other = (TIGHT.energy(system, charges=charges, widths=w) for w in (1.0, per_atom))
    torch.testing.assert_close(one, other.detach(), atol=1e-7, rtol=0)


def test_batch_is_one_by_one(mixed):
    systems, charges = mixed
    batch, together = concatenate(systems), torch.cat(charges)
    widths = torch.linspace(0.0, 0.6, batch.n_atoms, dtype=torch.float64)
    pieces = torch.split(widths, [s.n_atoms for s in systems])
    for sigma, sigmas in ((None, [None] * 6), (widths, pieces)):
        found = TIGHT.evaluate(batch, charges=together, widths=sigma)
        alone = [TIGHT.evaluate(s, charges=q, widths=w) for s, q, w in zip(systems, charges, sigmas)]
        for name in ("energy", "potential", "field", "forces", "stress", "error_estimate"):
            expected = torch.cat([getattr(one, name) for one in alone])
            torch.testing.assert_close(getattr(found, name), expected, equal_nan=True, atol=1e-10, rtol=1e-9)
        torch.testing.assert_close(TIGHT.energy(batch, charges=together, widths=sigma), found.energy)
        for block, s, w in zip(TIGHT.matrix(batch, sigma), systems, sigmas):
            torch.testing.assert_close(block, TIGHT.matrix(s, w)[0], atol=1e-9, rtol=1e-9)


def test_one_plan_for_a_mixed_batch(mixed):
    systems, charges = mixed
    batch, together = concatenate(systems), torch.cat(charges)
    plan = TIGHT.plan(batch)
    expected = TIGHT.energy(batch, charges=together)
    torch.testing.assert_close(TIGHT.energy(batch, charges=together, plan=plan), expected)
    assert TIGHT.plan(systems[0]).reach == 0


def test_very_different_sizes_are_taken_apart(rng, apart, crystal, monkeypatch):
    systems = [crystal(apart(rng, n, np.eye(3) * L), np.eye(3) * L) for n, L in ((2, 4.0), (60, 10.0), (3, 5.0))]
    batch = concatenate(systems)
    charges = torch.from_numpy(rng.normal(size=batch.n_atoms)).requires_grad_()
    expected = TIGHT.energy(batch, charges=charges)
    (slope,) = torch.autograd.grad(expected.sum(), charges)
    monkeypatch.setattr("farfield.coulomb.plan.methods.WORTH_SPLITTING", 1)
    found = TIGHT.energy(batch, charges=charges)
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(torch.autograd.grad(found.sum(), charges)[0], slope, atol=1e-10, rtol=1e-10)


def test_channels_do_not_see_each_other(mixed):
    systems, charges = mixed
    batch, together = concatenate(systems), torch.cat(charges)
    both = torch.stack([together, together.flip(0)], 1)
    found = TIGHT.evaluate(batch, charges=both)
    energies = TIGHT.energy(batch, charges=both)
    for channel in range(2):
        alone = TIGHT.evaluate(batch, charges=both[:, channel])
        torch.testing.assert_close(energies[:, channel], alone.energy)
        for name in ("energy", "potential", "forces", "stress", "field"):
            torch.testing.assert_close(getattr(found, name)[:, channel], getattr(alone, name), equal_nan=True)


def test_origin_wrapping_and_attached_neighbours_change_nothing(rng, apart, triclinic, crystal):
    cell = triclinic(rng)
    places, charges = apart(rng, 7, cell), torch.from_numpy(rng.normal(size=7))
    home = crystal(places, cell)
    moved = crystal(places + rng.integers(-9, 10, (7, 3)) @ cell + np.array([100.3, -7.0, 2.0]), cell)
    far = crystal(places + rng.integers(-90000, 90000, (7, 3)) @ cell, cell)
    expected = TIGHT.evaluate(home, charges=charges)
    for system in (moved, with_neighbors(moved, TIGHT.reach(moved)), with_neighbors(home, 14.0), far):
        found = TIGHT.evaluate(system, charges=charges)
        atol = 1e-6 if system is far else 1e-9
        for name in ("energy", "potential", "forces", "stress"):
            torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=atol, rtol=0)


def test_a_list_that_reaches_is_used(monkeypatch, mixed):
    systems, charges = mixed
    batch, together = concatenate(systems), torch.cat(charges)
    expected = TIGHT.energy(batch, charges=together)
    attached = with_neighbors(batch, TIGHT.reach(batch))

    def no_search(*_, **__):
        raise AssertionError("searched although the list reaches far enough")

    monkeypatch.setattr("farfield.coulomb.sums.pairs.find_neighbors", no_search)
    torch.testing.assert_close(TIGHT.energy(attached, charges=together), expected, atol=1e-10, rtol=1e-10)


def test_supercell(rng, apart, triclinic, crystal):
    cell = triclinic(rng)
    atoms = ase.Atoms("H5", positions=apart(rng, 5, cell), cell=cell, pbc=True)
    charges = torch.from_numpy(rng.normal(size=5))
    one = TIGHT.evaluate(System.from_ase(atoms), charges=charges)
    many = TIGHT.evaluate(System.from_ase(atoms * (2, 1, 3)), charges=charges.repeat(6))
    torch.testing.assert_close(many.energy, 6 * one.energy, atol=1e-7, rtol=0)
    torch.testing.assert_close(many.forces, one.forces.repeat(6, 1), atol=1e-7, rtol=0)
    torch.testing.assert_close(many.stress, one.stress, atol=1e-9, rtol=0)


def test_energy_is_smooth_in_the_cell_at_a_fixed_plan(rng, apart, crystal):
    system = crystal(apart(rng, 10, np.eye(3) * 7), np.eye(3) * 7)
    charges = torch.from_numpy(rng.normal(size=10))
    rough = Coulomb(error=1e-3)
    plan = rough.plan(system, 0.9)  # all in waves: no cutoff for pairs to cross
    eye = torch.eye(3, dtype=torch.float64)
    energies = torch.cat(
        [
            rough.energy(system.strained(x * eye), charges=charges, widths=0.9, plan=plan)
            for x in np.linspace(0, 0.1, 60)
        ]
    )
    third = torch.diff(energies, n=3)
    assert third.abs().max() < 1e-3 * torch.diff(energies).abs().max()


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("widths", [None, 0.5])
def test_potential_anywhere_is_what_a_small_test_charge_feels(periodic, widths, rng, apart, triclinic, crystal):
    cell = triclinic(rng)
    places = apart(rng, 7, cell)
    holder = crystal(places[:1], cell if periodic else None)
    sources = Sources(
        torch.from_numpy(places[:5]), torch.zeros(5, dtype=torch.long), tensor([1, -0.3, 0.4, 2, -1]), widths=widths
    )
    points = torch.from_numpy(places[5:] + (20 if periodic else 0) * cell[0])
    found = TIGHT.potential_at(holder, sources, points)
    for point, value in zip(points, found):
        index = torch.zeros(6, dtype=torch.long)
        sigma = None if widths is None else tensor([widths] * 5 + [0.0])
        placed = [
            Sources(
                torch.cat([sources.positions, point[None]]),
                index,
                torch.cat([sources.charges, tensor([q])]),
                widths=sigma,
            )
            for q in (1e-3, -1e-3)
        ]
        plus, minus = (float(TIGHT.energy(holder, sources=s)) for s in placed)
        assert (plus - minus) / 2e-3 == pytest.approx(float(value), abs=1e-6)


def test_potential_at_many_systems_in_any_order(rng, apart, crystal):
    cells = [np.eye(3) * 6, np.eye(3) * 7]
    systems = [crystal(apart(rng, 1, cells[0]), cells[0]), crystal(apart(rng, 1, cells[1]))]
    batch = concatenate(systems)
    index = torch.tensor([1, 0, 1, 0, 0])
    positions, charges = torch.from_numpy(apart(rng, 5, cells[0])), torch.from_numpy(rng.normal(size=5))
    points, point_index = torch.from_numpy(rng.random((6, 3)) + 10), torch.tensor([1, 1, 0, 1, 0, 0])
    found = TIGHT.potential_at(batch, Sources(positions, index, charges, widths=0.4), points, point_index)
    for k in range(2):
        alone = Sources(
            positions[index == k],
            torch.zeros(int((index == k).sum()), dtype=torch.long),
            charges[index == k],
            widths=0.4,
        )
        expected = TIGHT.potential_at(systems[k], alone, points[point_index == k])
        torch.testing.assert_close(found[point_index == k], expected, atol=1e-8, rtol=0)


def test_sources_in_any_order_give_what_atoms_give(mixed):
    systems, charges = mixed
    batch, together = concatenate(systems), torch.cat(charges)
    shuffled = torch.randperm(batch.n_atoms, generator=torch.Generator().manual_seed(0))
    sources = Sources(batch.positions[shuffled], batch.system_index[shuffled], together[shuffled])
    expected, found = TIGHT.evaluate(batch, charges=together), TIGHT.evaluate(batch, sources=sources)
    torch.testing.assert_close(found.energy, expected.energy)
    torch.testing.assert_close(found.forces, expected.forces[shuffled], atol=1e-10, rtol=1e-10)


def test_a_system_without_sources_has_no_energy(crystal):
    batch = concatenate([crystal([[0, 0, 0]], np.eye(3) * 5), crystal([[0, 0, 0]])])
    lone = Sources(tensor([[0.0, 0, 0], [1, 0, 0]]), torch.tensor([0, 0]), tensor([1.0, -1.0]))
    energy = TIGHT.energy(batch, sources=lone)
    assert energy[0] != 0
    assert energy[1] == 0
    nobody = Sources(torch.zeros(0, 3).double(), torch.zeros(0).long(), torch.zeros(0).double())
    assert TIGHT.energy(batch, sources=nobody).tolist() == [0.0, 0.0]
    other = Sources(lone.positions, torch.tensor([1, 1]), lone.charges)
    assert TIGHT.energy(batch, sources=other).tolist() == pytest.approx([0.0, -COULOMB])


WRONG = {
    "a charge per atom": (dict(charges=torch.ones(3)), r"charges have shape \(3,\), expected \(2,\)"),
    "finite charges": (dict(charges=tensor([1.0, float("nan")])), "charge of source 1 is nan"),
    "no charges": (dict(), "give charges="),
    "negative width": (dict(charges=torch.ones(2), widths=-0.5), "width is -0.5"),
    "width per atom": (dict(charges=torch.ones(2), widths=torch.ones(3)), r"widths have shape \(3,\)"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("ask", ["energy", "evaluate"])
def test_wrong_input_is_named(case, ask, crystal):
    arguments, message = WRONG[case]
    with pytest.raises(InputError, match=message):
        getattr(Coulomb(), ask)(crystal([[0, 0, 0], [0, 0, 1.0]]), **arguments)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"error": 1e-12}, "1e-12"),
        ({"error": 0.5}, "0.5"),
        ({"error": float("nan")}, "nan"),
        ({"method": "pppm"}, "pppm"),
    ],
)
def test_wrong_solver_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        Coulomb(**arguments)


def test_a_periodic_system_has_no_direct_sum(crystal):
    charges = torch.ones(2, dtype=torch.float64)
    with pytest.raises(InputError, match='"direct" cannot sum'):
        Coulomb(method="direct").energy(crystal([[0, 0, 0], [0, 0, 1.0]], np.eye(3) * 4), charges=charges)


@pytest.mark.parametrize("cell", [None, np.eye(3) * 5])
def test_coincident_charges_are_named(cell, crystal):
    system = crystal([[0, 0, 0], [0, 0, 2], [0, 0, 2 + 1e-5]], cell)
    with pytest.raises(InputError, match="atoms 1 and 2"):
        Coulomb().energy(system, charges=torch.ones(3, dtype=torch.float64))
    sources = Sources(system.positions, system.system_index, torch.ones(3, dtype=torch.float64))
    with pytest.raises(InputError, match="point charges 1 and 2"):
        Coulomb().energy(system, sources=sources)
    with pytest.raises(InputError, match="potential is infinite"):
        Coulomb().potential_at(system, sources, tensor([[0.0, 0, 2]]))


def test_flat_cell_and_foreign_system_index(crystal):
    system = crystal([[0, 0, 0], [0, 0, 1.0]], np.eye(3) * 4)
    flat = System(**{**vars(system), "cell": system.cell * tensor([1.0, 1.0, 0.0])})
    with pytest.raises(InputError, match="volume"):
        Coulomb().energy(flat, charges=torch.ones(2, dtype=torch.float64))
    with pytest.raises(InputError, match="system_index must lie in 0 to 0"):
        Coulomb().energy(system, sources=Sources(system.positions, torch.tensor([0, 1]), torch.ones(2)))


def test_atoms_instead_of_a_system_and_the_like(crystal):
    system = crystal([[0, 0, 0], [0, 0, 1.0]])
    charges = torch.ones(2, dtype=torch.float64)
    with pytest.raises(InputError, match=r"System\.from_ase"):
        Coulomb().energy(ase.Atoms("H2"), charges=charges)
    with pytest.raises(InputError, match="not Tensor"):
        Coulomb().potential_at(system, charges, system.positions)
    sources = Sources(system.positions, system.system_index, charges)
    with pytest.raises(InputError, match="as_tensor"):
        Coulomb().potential_at(system, sources, np.zeros((1, 3)))
