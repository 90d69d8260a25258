"""What the room of Wannier centroids promises beyond the contract."""

import math
from dataclasses import replace

import ase
import ase.build
import numpy as np
import pytest
import torch
from ase.data import atomic_masses

import farfield as ff
from farfield.backbone.heads import AtomicVector
from farfield.data.frame import Frame, Labels
from farfield.data.statistics import fit_statistics
from farfield.errors import InputError
from farfield.field import nearest_branch
from farfield.paradigms.wannier.config import WannierConfig
from farfield.paradigms.wannier.elements import ElectronCounts
from farfield.system import ExternalCharges, System
from farfield.testing.contract import check_forces_are_the_slope
from farfield.testing.structures import crystal, molecule, slab, wire
from farfield.train.loss import misfits
from farfield.units import COULOMB

COUNTED = {"H": (1, 0), "O": (6, 8), "Na": (1, 0), "Cl": (7, 8)}
"""Ion and electrons of each element of ``model_of``, as they are without labels."""
WIDTH = 1.25


def model_of(species=("H", "O", "Na", "Cl"), **config):
    paradigm = {"kind": "wannier", "coulomb_error": 1e-9, **config}
    return ff.new_model(paradigm, species=species, seed=3, backbone={"channels": 8}).eval()


def charges_of(system, displacement):
    """Charges, places and atoms of all ions and centroids, one after the other: numpy, from the definition."""
    rows = []
    for atom, number in enumerate(system.numbers.tolist()):
        ion, electrons = COUNTED[ase.data.chemical_symbols[number]]
        place = system.positions[atom].detach().numpy()
        rows.append((ion, place, atom))
        if electrons:
            rows.append((-electrons, place + displacement[atom].detach().numpy(), atom))
    return [np.array(column) for column in zip(*rows)]


def gaussians(distance, width=WIDTH):
    return np.array([math.erf(r / (2 * width)) / r if r else 1 / (math.sqrt(math.pi) * width) for r in distance.flat])


def test_molecules_are_the_sum_over_gaussians_of_different_atoms():
    system = molecule(model := model_of())
    found = model(system, {"wannier_displacement"})
    charges, places, atoms = charges_of(system, found.wannier_displacement)
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    kernel = gaussians(distance).reshape(distance.shape) * (atoms[:, None] != atoms)
    assert float(found.energy_coulomb.detach()) == pytest.approx(0.5 * COULOMB * charges @ kernel @ charges, abs=1e-8)
    assert found.wannier_displacement.detach().nan_to_num().abs().max() > 1e-3


def test_crystals_are_deep_potential_long_range_but_for_what_is_within_atoms():
    """Equation 4 of JCP 156, 124107 (2022) with β = 1/(2σ) over all waves, of a neutral cell."""
    model = model_of()
    atoms = ase.Atoms("OH2NaCl", [[0, 0, 0], [0.9, 0.3, 0], [-0.2, 0.1, 1.0], [3, 3, 3], [0.5, 3.0, 2.6]])
    atoms.set_cell([[5.5, 0.2, 0], [0, 6.0, 0.4], [0.3, 0, 6.4]])
    atoms.pbc = True
    system = System.from_ase(atoms)
    found = model(system, {"wannier_displacement"})
    charges, places, owner = charges_of(system, found.wannier_displacement)
    assert charges.sum() == 0
    beta, steps = 0.4, np.arange(-7, 8)
    m = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3) @ np.linalg.inv(atoms.cell.array).T
    m = m[(m**2).sum(1) > 0]
    square = (m**2).sum(1)
    structure = np.abs(np.exp(-2j * np.pi * m @ places.T) @ charges) ** 2
    waves = (np.exp(-(np.pi**2) * square / beta**2) / square * structure).sum() / (2 * np.pi * atoms.get_volume())
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    within = gaussians(distance).reshape(distance.shape) * (owner[:, None] == owner)
    expected = COULOMB * (waves - 0.5 * charges @ within @ charges)
    assert float(found.energy_coulomb.detach()) == pytest.approx(expected, abs=1e-7)


def test_dipole_and_quadrupole_are_those_of_ions_and_centroids():
    system = molecule(model := model_of())
    found = model(system, {"dipole", "quadrupole", "wannier_displacement"})
    charges, places, _ = charges_of(system, found.wannier_displacement)
    np.testing.assert_allclose(found.dipole[0].detach(), charges @ places, atol=1e-12)
    masses = torch.as_tensor(atomic_masses)[system.numbers].double()
    places = places - ((masses @ system.positions) / masses.sum()).numpy()  # about the centre of mass
    second = np.einsum("k,ka,kb->ab", charges, places, places)
    np.testing.assert_allclose(
        found.quadrupole[0].detach(), 1.5 * second - 0.5 * np.trace(second) * np.eye(3), atol=1e-11
    )


def test_wrapping_moves_the_dipole_of_a_cell_by_whole_quanta():
    system = crystal(model := model_of())
    moved = system.positions.clone()
    moved[0] += system.cell[0, 1]
    moved[3] -= 2 * system.cell[0, 2]
    here, there = (model(s, {"polarization"}).polarization.detach() for s in (system, system.with_positions(moved)))
    assert (there - here).abs().max() > 1e-3
    torch.testing.assert_close(nearest_branch(there, here, system), here, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [molecule, crystal, slab, wire])
def test_all_of_it_turns(make):
    system = make(model := model_of())
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64))[0]
    want = {"wannier_displacement", "dipoles", "quadrupoles", "born_charges"}
    here = model(system, want)
    there = model(replace(system, positions=system.positions @ turn.T, cell=system.cell @ turn.T), want)
    for name in ("wannier_displacement", "dipoles"):
        expected = getattr(here, name) @ turn.T
        torch.testing.assert_close(getattr(there, name), expected, rtol=0, atol=1e-10, equal_nan=True)
    for name in ("quadrupoles", "born_charges"):
        torch.testing.assert_close(getattr(there, name), turn @ getattr(here, name) @ turn.T, rtol=0, atol=1e-10)


def test_external_charges_act_on_ions_and_centroids():
    system = molecule(model := model_of())
    place, charge = (torch.tensor(x, dtype=torch.float64) for x in ([[-3.0, 0.4, 1.1]], [0.7]))
    outside = ExternalCharges(place, charge, torch.zeros(1, dtype=torch.int64))
    alone, beside = (model(s, {"wannier_displacement"}) for s in (system, replace(system, external_charges=outside)))
    charges, places, _ = charges_of(system, alone.wannier_displacement)
    distance = np.linalg.norm(places - outside.positions.numpy(), axis=1)
    potential = [math.erf(r / (math.sqrt(2) * WIDTH)) / r for r in distance]
    gained = float((beside.energy - alone.energy).detach())
    assert gained == pytest.approx(0.7 * COULOMB * charges @ potential, abs=1e-8)


def test_ions_and_centroids_may_lie_on_top_of_each_other():
    """By symmetry none is displaced in rock salt: energies, forces and what training needs of them are finite."""
    model = model_of(("Na", "Cl")).train()
    found = model(System.from_ase(ase.build.bulk("NaCl", "rocksalt", a=5.64)), {"forces", "stress"})
    assert found.wannier_displacement[1].detach().abs().max() < 1e-12
    slopes = torch.autograd.grad(
        found.forces.square().sum() + found.stress.square().sum(), list(model.parameters()), allow_unused=True
    )
    assert all(slope.isfinite().all() for slope in slopes if slope is not None)


def test_displacements_without_their_slopes_are_caught(monkeypatch):
    """Electrons that follow the atoms in the energy and not in the forces."""
    model, honest = model_of(), AtomicVector.forward
    monkeypatch.setattr(AtomicVector, "forward", lambda self, features: honest(self, features).detach())
    with pytest.raises(AssertionError):
        check_forces_are_the_slope(model)


def test_what_is_of_one_element_is_neutral():
    model = model_of()
    oxygen = System.from_ase(ase.build.molecule("O2"))
    assert model.paradigm.only_charge(oxygen.numbers) is None
    found = model(oxygen, {"charges", "dipole"})
    torch.testing.assert_close(found.charges, torch.zeros(2).double())
    torch.testing.assert_close(found.dipole.detach(), torch.zeros(1, 3).double(), rtol=0, atol=1e-12)


def test_another_total_charge_is_refused():
    model, water = model_of(), ase.build.molecule("H2O")
    model(System.from_ase(water))
    water.info["charge"] = 1
    with pytest.raises(InputError, match=r"structure 0 sum to \+0 e, but its total charge is \+1 e"):
        model(System.from_ase(water))


def frame(atoms, **displacements):
    rows = [displacements.get(symbol, [np.nan] * 3) for symbol in atoms.symbols]
    labels = Labels(energy=torch.zeros(1).double(), wannier_displacement=torch.tensor(rows).double())
    return Frame(System.from_ase(atoms), labels)


def test_only_labelled_atoms_count():
    model = model_of()
    labelled = frame(ase.build.molecule("H2O"), O=[0.0, 0.0, 0.1])
    found = misfits(model(labelled.system), labelled.labels, labelled.system, 1.0)["wannier_displacement"]
    assert len(found.error) == 3
    assert found.error.isfinite().all()


def counts(atoms, config=None, **displacements):
    statistics = fit_statistics([frame(atoms, **displacements)], 3.0)
    found = ElectronCounts.of(statistics.species, WannierConfig(**(config or {})), statistics)
    symbols = [ase.data.chemical_symbols[z] for z in statistics.species]
    return {s: (int(q + n), int(n)) for s, q, n in zip(symbols, found.net.tolist(), found.electrons.tolist())}


SEA = ase.Atoms("OH2KF", np.arange(15).reshape(5, 3))


@pytest.mark.parametrize(
    ("config", "displaced", "expected"),
    [
        ({}, ["O"], {"H": (1, 0), "O": (6, 8), "F": (-1, 0), "K": (1, 0)}),
        ({}, ["O", "F"], {"H": (1, 0), "O": (6, 8), "F": (7, 8), "K": (1, 0)}),
        ({}, ["O", "F", "K"], {"H": (1, 0), "O": (6, 8), "F": (7, 8), "K": (9, 8)}),
        ({}, [], {"H": (1, 0), "O": (6, 8), "F": (7, 8), "K": (1, 0)}),
        ({"electrons": {"O": 8}}, ["O"], {"H": (1, 0), "O": (6, 8), "F": (-1, 0), "K": (1, 0)}),
        ({"ions": {"O": 8}}, ["O"], {"H": (1, 0), "O": (8, 10), "F": (-1, 0), "K": (1, 0)}),
        (
            {"electrons": {"O": 8, "F": 6}, "ions": {"O": 6, "H": 1, "F": 5, "K": 1}},
            ["O"],
            {"H": (1, 0), "O": (6, 8), "F": (5, 6), "K": (1, 0)},
        ),
    ],
)
def test_electrons_are_counted(config, displaced, expected):
    assert counts(SEA, config, **{symbol: [0.1, 0.2, 0.0] for symbol in displaced}) == expected


@pytest.mark.parametrize(
    ("config", "displaced", "said"),
    [
        ({"electrons": {"O": 8}}, ["O", "F"], r"displacements of \['F'\].*electrons:"),
        ({"electrons": {"N": 8}}, [], r"electrons names \['N'\]"),
        ({"ions": {"N": 5}}, [], r"ions names \['N'\]"),
        ({"electrons": {"O": 8}, "ions": {"O": 6, "H": 2, "F": 7, "K": 1}}, ["O"], "no charge per element adds up"),
    ],
)
def test_what_cannot_be_counted_is_said(config, displaced, said):
    with pytest.raises(InputError, match=said):
        counts(SEA, config, **{symbol: [0.1, 0.2, 0.0] for symbol in displaced})


def test_fractions_of_electrons_are_refused():
    atoms = ase.build.molecule("H2O")
    atoms.info["charge"] = 0.5
    with pytest.raises(InputError, match=r"whole charges.*ions: \{…\} and electrons: \{…\}"):
        counts(atoms, O=[0.0, 0.0, 0.1])


def test_displacements_start_in_the_size_of_their_labels():
    model, size = model_of(("H", "O")), 0.2 * math.sqrt(3)
    model.paradigm.prepare(fit_statistics([frame(ase.build.molecule("H2O"), O=[0.0, 0.0, 0.6])], 3.0))
    assert float(model.paradigm.scale[8]) == pytest.approx(size)
    assert "O, 8 electrons around +6 e" in model.paradigm.remarks()[0]
