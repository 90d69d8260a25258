"""What the polarization room promises beyond the contract."""

from dataclasses import replace

import ase
import ase.build
import numpy as np
import pytest
import torch

import farfield as ff
from farfield.chemistry import whole_charges
from farfield.data.frame import Frame, Labels
from farfield.data.statistics import fit_statistics
from farfield.errors import InputError
from farfield.field import dielectric_tensor, nearest_branch
from farfield.system import System
from farfield.testing.comparison import slope_at_zero
from farfield.testing.structures import crystal, molecule, slab, wire
from farfield.units import COULOMB

EVERYWHERE = (molecule, crystal, slab, wire)
EYE = torch.eye(3, dtype=torch.float64)
FIELD = torch.tensor([[0.1, 0.2, -0.1]], dtype=torch.float64)
WANT = {"energy", "forces", "dipole", "polarization", "born_charges", "polarizability", "raman_tensors"}


def model_of(species=("H", "O", "Na", "Cl"), **config):
    return ff.new_model({"kind": "polarization", **config}, species=species, seed=3, backbone={"channels": 8}).eval()


def neutral(model, make):
    """Formal charges that add up: H, O, Na and Cl twice over, less what makes water and salt unequal."""
    system = make(model)
    return replace(system, charge=model.paradigm.element_charge[system.numbers].sum()[None])


@pytest.mark.parametrize("make", EVERYWHERE)
def test_everything_is_a_derivative_of_one_energy(make):
    """D = -∂F/∂E, Z = -∂²F/∂E∂R, α = -∂²F/∂E², all by autograd of the energy alone."""
    model = model_of()
    system = make(model)
    positions, field = system.positions.clone().requires_grad_(), FIELD.clone().requires_grad_()
    moved = replace(system, positions=positions, external_field=field)
    energy = model.paradigm(moved, model.backbone(moved)).energy.sum()
    (slope,) = torch.autograd.grad(energy, field, create_graph=True)
    found = model(replace(system, external_field=FIELD), WANT)
    rows = [torch.autograd.grad(-slope[0, a], (positions, field), retain_graph=True) for a in range(3)]
    torch.testing.assert_close(found.born_charges, torch.stack([row[0] for row in rows], 1))
    torch.testing.assert_close(found.polarizability[0], torch.stack([row[1][0] for row in rows]))
    given = found.dipole if make is molecule else system.volume()[:, None] * found.polarization
    if make in (molecule, crystal):
        torch.testing.assert_close(given, -slope.detach())


@pytest.mark.parametrize("make", EVERYWHERE)
def test_everything_turns_with_the_structure(make):
    """Mirror images, too: to 1e-10."""
    model = model_of()
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64))[0]
    system = replace(make(model), external_field=FIELD)
    here = model(system, WANT)
    for q in (turn, turn @ torch.diag(turn.new_tensor([1.0, 1.0, -1.0]))):
        turned = replace(system, positions=system.positions @ q.T, cell=system.cell @ q.T, external_field=FIELD @ q.T)
        there = model(turned, WANT)
        expected = {
            "energy": here.energy,
            "forces": here.forces @ q.T,
            "dipole": here.dipole @ q.T,
            "polarization": here.polarization @ q.T,
            "born_charges": q @ here.born_charges @ q.T,
            "polarizability": q @ here.polarizability @ q.T,
            "raman_tensors": torch.einsum("ax,by,cz,ixyz->iabc", q, q, q, here.raman_tensors),
        }
        for name in WANT:
            torch.testing.assert_close(getattr(there, name), expected[name], rtol=0, atol=1e-10, equal_nan=True)


def test_born_charges_are_what_changes_the_polarization_along_a_path():
    """∫ Z dR = V ΔP by Gauss's quadrature: a sodium ion goes to the next cell and carries one quantum, +1 e × 6 Å."""
    model = model_of()
    places = [[0, 0, 0], [1.0, 3.0, 2.9], [4.2, 3.0, 3.1], [2.5, 2.9, 0.2]]
    system = System.from_ase(ase.Atoms("NaClNaCl", places, cell=[6.0] * 3, pbc=True))
    generator = torch.Generator().manual_seed(2)
    straight, bend = torch.zeros(4, 3, dtype=torch.float64), torch.randn(4, 3, generator=generator, dtype=torch.float64)
    straight[0, 0] = 6.0

    def at(s):
        return system.with_positions(system.positions + s * straight + 0.1 * np.sin(np.pi * s) * bend)

    nodes, weights = np.polynomial.legendre.leggauss(40)
    carried = torch.zeros(3, dtype=torch.float64)
    for s, weight in zip(0.5 * (nodes + 1), 0.5 * weights):
        born = model(at(s), {"born_charges"}).born_charges
        carried += weight * torch.einsum("iab,ib->a", born, straight + 0.1 * np.pi * np.cos(np.pi * s) * bend)
    before, after = (216.0 * model(at(s), {"polarization"}).polarization[0] for s in (0.0, 1.0))
    torch.testing.assert_close(carried, after - before, rtol=0, atol=1e-6)
    torch.testing.assert_close(after - before, straight[0], rtol=0, atol=1e-9)


def test_wrapped_atoms_change_the_polarization_by_quanta():
    model = model_of()
    system = neutral(model, crystal)
    moved = system.positions.clone()
    moved[0] += system.cell[0, 0] - 2 * system.cell[0, 1]
    moved[3] -= system.cell[0, 2]
    here, there = (model(s, {"polarization"}).polarization for s in (system, system.with_positions(moved)))
    assert (there - here).abs().max() > 0.01
    torch.testing.assert_close(nearest_branch(there, here, system), here, rtol=0, atol=1e-10)


def test_a_charge_that_carries_is_caught_if_it_is_no_whole_number():
    """The fault that the test above is for: what then is no quantum."""
    model = model_of()
    model.paradigm.element_charge *= 0.7
    system = replace(crystal(model), charge=torch.zeros(1, dtype=torch.float64))
    moved = system.positions.clone()
    moved[0] += system.cell[0, 0]
    here, there = (model(s, {"polarization"}).polarization for s in (system, system.with_positions(moved)))
    assert (nearest_branch(there, here, system) - here).abs().max() > 1e-3


@pytest.mark.parametrize("charge", [-1.0, 0.0, 2.0])
def test_any_total_charge_is_carried_along(charge):
    """Σ Z = Q, whatever formal charges add up to: molecules with hydrogen that is an ion elsewhere."""
    model = model_of(["C", "H", "N"])
    system = replace(molecule(model), charge=torch.tensor([charge], dtype=torch.float64))
    born = model(system, {"born_charges"}).born_charges
    torch.testing.assert_close(born.sum(0), charge * EYE, rtol=0, atol=1e-10)


def test_atoms_alone_have_the_polarizability_of_their_element_and_no_dipole():
    model = model_of(start={"O": 0.8})
    for symbol, expected in (("O", 0.8), ("H", 1.0)):
        system = System.from_ase(ase.Atoms(symbol, [[0, 0, 1.0]]))
        found = model(system, {"polarizability", "dipole"})
        torch.testing.assert_close(COULOMB * found.polarizability[0], expected * EYE)
        assert found.dipole.abs().max() == 0


def test_crystals_have_a_dielectric_tensor():
    model = model_of()
    system = crystal(model)
    found = dielectric_tensor(model(system, {"polarizability"}).polarizability, system)[0]
    assert torch.linalg.eigvalsh(found).min() > 1


@pytest.mark.parametrize(
    ("totals", "given", "expected"),
    [
        ([({"Si": 1, "O": 2}, 0)], None, {"Si": 4, "O": -2}),
        ([({"Fe": 1, "O": 1}, 0), ({"Fe": 2, "O": 3}, 0)], None, {"Fe": 0, "O": 0}),
        ([({"C": 1, "H": 4}, 0), ({"C": 1, "H": 3}, -1)], None, {"C": -4, "H": 1}),
        ([({"N": 2, "H": 4, "C": 1, "O": 1}, 0)], None, {"N": 0, "H": 0, "C": 0, "O": 0}),
        ([({"Na": 1, "N": 2, "H": 4, "C": 1, "O": 1}, 1)], {"Na": 1}, {"Na": 1, "N": 0, "H": 0, "C": 0, "O": 0}),
    ],
)
def test_charges_are_whole_numbers_or_zero(totals, given, expected):
    """Silica; two iron oxides, which no charge of iron fits; methane and its anion; urea; urea with a sodium ion."""
    species = tuple(sorted(ase.data.atomic_numbers[symbol] for symbol in expected))
    symbols = [ase.data.chemical_symbols[z] for z in species]
    counts = torch.tensor([[formula.get(s, 0) for s in symbols] for formula, _ in totals], dtype=torch.float64)
    charge = torch.tensor([float(q) for _, q in totals], dtype=torch.float64)
    found = whole_charges(species, given=given, counts=counts, charge=charge)
    assert dict(zip(symbols, found.tolist())) == expected


@pytest.mark.parametrize("config", [{"formal_charges": {"K": 1}}, {"formal_charges": {"Na": 0.5}}])
def test_charges_of_strangers_and_broken_ones_are_refused(config):
    with pytest.raises(InputError, match="formal_charges"):
        model_of(**config)


def test_it_learns_born_charges_alone():
    """Without a single energy: the energy is what a field adds, and forces in it are Z·E, Z half way to the field."""
    model = model_of(["H", "O"])
    atoms = ase.build.molecule("H2O")
    labels = Labels(born_charges=torch.zeros(3, 3, 3, dtype=torch.float64))
    statistics = fit_statistics([Frame(System.from_ase(atoms), labels)], cutoff=5.0)
    model.prepare(statistics, System.from_ase(atoms))
    atoms.info["external_field"] = [0.1, 0.0, 0.3]
    system = System.from_ase(atoms)
    found, field = model(system, {"forces", "born_charges", "raman_tensors"}), system.external_field[0]
    torch.testing.assert_close(
        found.forces,
        torch.einsum("iab,a->ib", found.born_charges, field)
        - 0.5 * torch.einsum("iabc,a,b->ic", found.raman_tensors, field, field),
    )
    assert found.forces.abs().max() > 1e-3
    assert model(System.from_ase(ase.build.molecule("H2O"))).energy == 0


def test_the_gradient_of_a_loss_on_everything_is_right():
    """Forces, polarization, Born charges and polarizabilities at once, by finite differences."""
    model = model_of().train()
    system = crystal(model, atoms=4)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    generator = torch.Generator().manual_seed(2)
    way = [torch.randn(w.shape, generator=generator, dtype=torch.float64) for w in weights]
    start = [w.detach().clone() for w in weights]
    want = ("forces", "polarization", "born_charges", "polarizability")

    def loss():
        out = model(system, set(want))
        return sum(getattr(out, name).square().sum() for name in want)

    def moved(step):
        with torch.no_grad():
            for weight, first, direction in zip(weights, start, way):
                weight.copy_(first + step * direction)
        return loss().detach()

    slopes = torch.autograd.grad(loss(), weights, allow_unused=True)
    found = sum(float((s * d).sum()) for s, d in zip(slopes, way) if s is not None)
    assert found == pytest.approx(float(slope_at_zero(moved, 1e-4)), rel=1e-6)
