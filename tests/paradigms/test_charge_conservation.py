import ase
import pytest
import torch

import farfield as ff
from farfield.chemistry import formal_charges, likely_charges
from farfield.errors import InputError
from farfield.system import System

H, C, N, O, CL, K = 1, 6, 7, 8, 17, 19  # noqa: E741


def rows(*formulas):
    species = (H, C, N, O, CL, K)
    counts = torch.tensor([[float(f.get(z, 0)) for z in species] for f, _ in formulas], dtype=torch.float64)
    return species, counts, torch.tensor([float(q) for _, q in formulas], dtype=torch.float64)


ELECTROLYTE = [
    ({K: 1}, 1),
    ({CL: 1}, -1),
    ({O: 1, H: 2}, 0),
    ({N: 1, H: 4}, 1),
    ({C: 1, N: 1}, -1),
    ({C: 1, H: 1, O: 2}, -1),
    ({K: 1, CL: 1}, 0),
]


def test_totals_fix_the_formal_charges():
    """Water, ammonium, cyanide and formate have one solution: H +1, C +2, N -3, O -2."""
    species, counts, charge = rows(*ELECTROLYTE)
    found = formal_charges(species, counts=counts, charge=charge, exact=True)
    assert found.tolist() == [1, 2, -3, -2, -1, 1]


def test_what_totals_leave_open_stays_as_usual():
    found = formal_charges(
        (11, 17),
        counts=torch.tensor([[4.0, 4.0]], dtype=torch.float64),
        charge=torch.zeros(1, dtype=torch.float64),
        exact=True,
    )
    assert found.tolist() == [1, -1]


def test_an_impossible_table_is_said():
    """Methane beside formate and water: carbon would need two charges."""
    species, counts, charge = rows(*ELECTROLYTE, ({C: 1, H: 4}, 0))
    with pytest.raises(InputError, match="conservation: shift"):
        formal_charges(species, counts=counts, charge=charge, exact=True)


def test_given_charges_are_kept():
    assert formal_charges((11, 17), given={"Na": 0.85, "Cl": -0.85}).tolist() == [0.85, -0.85]
    with pytest.raises(InputError, match="Zn"):
        formal_charges((11, 17), given={"Zn": 2.0})


def test_charges_to_start_from():
    """Ions keep theirs, the cyanide's atoms share its charge, water starts near zero, an oxide is told by its metal."""
    species, counts, charge = rows(*ELECTROLYTE)
    found = dict(zip(species, likely_charges(species, counts, charge).tolist()))
    assert found[K] > 0.8
    assert found[CL] < -0.8
    assert found[C] < -0.1
    assert abs(found[H]) < 0.3
    oxide = likely_charges((8, 12), torch.tensor([[4.0, 4.0]]).double(), torch.zeros(1).double()).tolist()
    assert oxide[0] < -0.5 < 0.5 < oxide[1]


def nacl_pair(distance, charge=0.0):
    return System.from_ase(ase.Atoms("NaCl", [[0, 0, 0], [0, 0, distance]], info={"charge": charge}))


@pytest.mark.parametrize("kind", ["charges", "latent"])
def test_bond_charges_become_formal_when_apart(kind):
    """Nothing is handed over beyond the cutoff: no charge leaks between separated fragments."""
    model = ff.new_model({"kind": kind, "conservation": "bond"}, species=["Na", "Cl"], seed=2)
    near = model(nacl_pair(2.4), {"charges"}).charges
    far = model(nacl_pair(9.0), {"charges"}).charges
    assert far.tolist() == [1.0, -1.0]
    assert (near - far).abs().max() > 1e-4


def test_bond_charge_depends_on_neighbours_only():
    """Size consistency: a far third atom changes no charge; a shift spreads over everything."""
    atoms = ase.Atoms("NaClNaCl", [[0, 0, 0], [0, 0, 2.4], [0, 0, 60], [0, 0, 62.2]])
    for conservation, local in (("bond", True), ("shift", False)):
        model = ff.new_model({"kind": "latent", "conservation": conservation}, species=["Na", "Cl"], seed=2)
        together = model(System.from_ase(atoms), {"charges"}).charges[:2]
        alone = model(System.from_ase(atoms[:2]), {"charges"}).charges
        assert torch.allclose(together, alone, atol=1e-12) is local


@pytest.mark.parametrize("conservation", ["bond", "fixed"])
def test_a_total_charge_they_cannot_have_is_an_error(conservation):
    model = ff.new_model({"kind": "latent", "conservation": conservation}, species=["Na", "Cl"])
    with pytest.raises(InputError, match="use conservation: shift"):
        model(nacl_pair(3.0, charge=1.0))


def test_shift_reports_what_it_moved():
    model = ff.new_model({"kind": "latent"}, species=["Na", "Cl"], seed=3)
    neutral, charged = (model(nacl_pair(3.0, charge=q), {"energy"}) for q in (0.0, 1.0))
    assert (charged.charge_residual - neutral.charge_residual).item() == pytest.approx(1.0)
    assert charged.charges.sum().item() == pytest.approx(1.0)


def test_bond_born_charges_obey_the_sum_rule():
    """Σ_i ∂d/∂R_i of a molecule is its total charge, the closed form for any conserved, local charges."""
    model = ff.new_model({"kind": "latent", "conservation": "bond"}, species=["Na", "Cl"], seed=4)
    atoms = ase.Atoms("Na2Cl2", [[0, 0, 0], [0, 2.5, 0.1], [0.2, 0, 2.6], [2.4, 0.3, 0]])
    system = System.from_ase(atoms)
    system = system.with_positions(system.positions.requires_grad_())
    dipole = model(system, {"energy", "dipole"}).dipole[0]
    for a in range(3):
        (slope,) = torch.autograd.grad(dipole[a], system.positions, retain_graph=True)
        assert slope.sum(0).abs().max() < 1e-12
