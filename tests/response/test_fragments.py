"""Fragments that keep their charges: closed forms, dense against iterated, derivatives, and what is refused."""

from dataclasses import replace

import ase
import ase.build
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from farfield.coulomb import Coulomb
from farfield.errors import InputError
from farfield.response import charges_apart, equilibrate
from farfield.response.charges.fragments import fragments_of
from farfield.system import System, concatenate
from farfield.units import COULOMB


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def two_pairs(apart, charge=0.0):
    places = [[0, 0, 0], [0, 0, 1.9], [apart, 0, 0], [apart, 0.3, 2.1]]
    return System.from_ase(ase.Atoms("NaClNaCl", places, info={"charge": charge}))


CHI, HARDNESS, WIDTHS = tensor([-4.0, 4.0, -3.5, 4.2]), tensor([8.0, 11.0, 8.5, 11.0]), tensor([0.9, 0.6, 0.8, 0.6])
INDEX, CHARGES = torch.tensor([0, 0, 1, 1]), tensor([1.0, -1.0])


def constrained(system, solver="dense", **changed):
    given = {"electronegativity": CHI, "hardness": HARDNESS, "widths": WIDTHS, "fragments": INDEX}
    return equilibrate(system, **{**given, "fragment_charges": CHARGES, "solver": solver, **changed})


@pytest.mark.parametrize("solver", ["dense", "cg"])
def test_pairs_far_apart_are_closed_forms(solver):
    """Each pair alone has q = (Δχ + (J₂ - a) Q)/(J₁ + J₂ - 2a), beside what 10⁶ Å of distance leave."""
    system = two_pairs(1e6)
    found = constrained(system, solver)
    matrix = Coulomb().matrix(system, WIDTHS)[0] + torch.diag(HARDNESS)
    for first, total in ((0, 1.0), (2, -1.0)):
        (a, b), (_, d) = matrix[first : first + 2, first : first + 2].tolist()
        slope = float(CHI[first + 1] - CHI[first])
        expected = (slope + (d - b) * total) / (a + d - 2 * b)
        assert float(found.charges[first]) == pytest.approx(expected, abs=5e-6 * COULOMB)
        assert float(found.charges[first : first + 2].sum()) == pytest.approx(total, abs=1e-12)


@pytest.mark.parametrize("solver", ["dense", "cg"])
def test_against_lagrange(solver):
    system = two_pairs(4.0)
    found = constrained(system, solver)
    matrix = Coulomb().matrix(system, WIDTHS)[0] + torch.diag(HARDNESS)
    border = torch.nn.functional.one_hot(INDEX).double()
    whole = torch.cat([torch.cat([matrix, border], 1), torch.cat([border.T, torch.zeros(2, 2).double()], 1)])
    solution = torch.linalg.solve(whole, torch.cat([-CHI, CHARGES]))[:4]
    torch.testing.assert_close(found.charges, solution, atol=1e-9, rtol=0)
    assert float(found.energy) == pytest.approx(float(CHI @ solution + 0.5 * solution @ matrix @ solution), abs=1e-9)


def test_an_ion_pair_keeps_whole_charges_where_free_charge_would_not():
    atoms = ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 15.0]])
    given = (System.from_ase(atoms), CHI[:2], HARDNESS[:2])
    kept = equilibrate(*given, widths=0.8, fragments=torch.tensor([0, 1]), fragment_charges=CHARGES)
    torch.testing.assert_close(kept.charges, CHARGES, atol=1e-12, rtol=0)
    free = equilibrate(*given, widths=0.8)
    assert float((free.charges - charges_apart(*given[1:], 0.8)).abs().max()) < 0.05
    assert float((free.charges - free.charges.round()).abs().min()) > 0.05


def test_large_fragments_dense_and_iterated():
    generator = torch.Generator().manual_seed(3)
    atoms = ase.build.bulk("NaCl", "rocksalt", 5.64, cubic=True).repeat((4, 4, 3))
    atoms.rattle(0.1, seed=1)
    system = concatenate([System.from_ase(atoms), two_pairs(3.0)])
    count = system.n_atoms
    fragments = torch.cat([torch.arange(384) % 3, torch.tensor([3, 3, 4, 4])])
    given = {
        "electronegativity": torch.randn(count, generator=generator, dtype=torch.float64),
        "hardness": torch.full((count,), 10.0).double(),
        "widths": 1.2,
        "fragments": fragments,
        "fragment_charges": tensor([2.0, -1.0, -1.0, 1.0, -1.0]),
        "coulomb": Coulomb(error=1e-7),
    }
    dense, iterated = (equilibrate(system, **given, solver=s, tolerance=1e-9) for s in ("dense", "cg"))
    torch.testing.assert_close(iterated.charges, dense.charges, atol=1e-8, rtol=0)
    assert iterated.steps < 25


@pytest.mark.parametrize("solver", ["dense", "cg"])
def test_differentiable_twice(solver):
    system = two_pairs(3.0)
    inputs = [x.clone().requires_grad_() for x in (CHI, HARDNESS, system.positions, CHARGES[:1])]

    def charges_and_energy(chi, hardness, positions, charge):
        found = constrained(
            system.with_positions(positions), solver, electronegativity=chi, hardness=hardness, tolerance=1e-13,
            fragment_charges=torch.cat([charge, -charge]),
        )  # fmt: skip
        return found.charges, found.energy

    assert gradcheck(charges_and_energy, inputs, eps=1e-5, atol=1e-6)
    assert gradgradcheck(charges_and_energy, inputs, eps=1e-5, atol=1e-5)


def level(value):
    return System(**{**vars(two_pairs(4.0)), "fermi_level": tensor([value])})


@pytest.mark.parametrize(
    "system, changed, message",
    [
        (
            two_pairs(4.0),
            {"fragment_charges": tensor([1.0, 0.0])},
            r"structure 0: its fragment_charges add up to \+1 e",
        ),
        (two_pairs(4.0), {"fragments": torch.tensor([0, 0, 1, 2])}, "fragments must lie in 0 to 1"),
        (two_pairs(4.0), {"fragments": torch.tensor([0, 0, 0, 0])}, "fragment 1 has a charge but no atoms"),
        (two_pairs(4.0), {"fragments": INDEX.double()}, "should be .4,. integers"),
        (two_pairs(4.0), {"fragments": INDEX.bool()}, "should be .4,. integers"),
        (two_pairs(4.0), {"fragments": None}, "go together"),
        (level(-2.0), {}, "Fermi level"),
    ],
)
def test_what_does_not_fit_is_said(system, changed, message):
    with pytest.raises(InputError, match=message):
        constrained(system, **changed)


def test_a_fragment_of_two_structures_is_refused():
    two = concatenate([System.from_ase(ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.0]]))] * 2)
    with pytest.raises(InputError, match="fragment 0 has atoms of the structures 0 and 1"):
        constrained(two, fragments=torch.tensor([0, 1, 1, 0]))


def test_fragments_travel_with_systems():
    named = ase.Atoms("NaClNa", [[0, 0, 0], [0, 0, 5.0], [0, 0, 9.0]], info={"charge": 1.0})
    named.set_array("fragment", np.array([0, 0, 1]))
    named.info["fragment_charges"] = [0.0, 1.0]
    bare = ase.Atoms("Cl", info={"charge": -1.0})
    batch = System.from_ase([bare, named])
    again = concatenate([System.from_ase(bare), System.from_ase(named)])
    for system in (batch, again):
        index, charges = fragments_of(system)
        assert index.tolist() == [0, 1, 1, 2]
        assert charges.tolist() == [-1.0, 0.0, 1.0]
    named.info["fragment_charges"] = [1.0]
    with pytest.raises(InputError, match="atom 2 of the batch belongs to fragment 1, which has no charge"):
        fragments_of(System.from_ase(named))
    named.info["fragment_charges"] = "many"
    with pytest.raises(InputError, match="should be integers from 0 on"):
        System.from_ase(named)


@pytest.mark.parametrize("index", [2, -1])
def test_an_index_beyond_the_charges_is_none_of_another_structure(index):
    one = System.from_ase(ase.Atoms("NaCl", [[0, 0, 0], [0, 0, 2.0]]))
    named = replace(one, fragment=torch.tensor([0, index]), fragment_charges=tensor([[1.0, -1.0]]))
    with pytest.raises(InputError, match=f"atom 1 of the batch belongs to fragment {index}, which has no charge"):
        fragments_of(concatenate([named, replace(one, fragment=INDEX[1:3], fragment_charges=tensor([[1.0, -1.0]]))]))


@pytest.mark.parametrize("kind", [torch.int32, torch.uint8])
def test_any_kind_of_integer_names_a_fragment(kind):
    system = two_pairs(4.0)
    torch.testing.assert_close(constrained(system, fragments=INDEX.to(kind)).charges, constrained(system).charges)
