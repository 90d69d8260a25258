"""What only ``lode`` promises: the potential in the energy, near and far, whatever a lattice is called."""

import math
from dataclasses import replace

import ase
import ase.build
import numpy as np
import pytest
import torch

import farfield as ff
from farfield.coulomb import Coulomb
from farfield.errors import InputError
from farfield.system import System
from farfield.testing import CHECKS, check_paradigm
from farfield.testing.structures import crystal, molecule

SETTINGS = [
    {},
    {"sources": "elements", "near": "removed"},
    {"every_layer": True, "order": 1},
    {"potential": "density"},
    {"potential": "dispersion", "order": 1},
]


def model_of(seed=1, **keys):
    tight = {"kind": "lode", "coulomb_error": 1e-9, **keys}
    return ff.new_model(tight, species=["H", "O", "Na", "Cl"], seed=seed, backbone={"channels": 8}).eval()


def salt(repeat=(1, 1, 1)):
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    atoms.rattle(0.1, seed=3)
    return atoms.repeat(repeat)


@pytest.mark.parametrize("keys", SETTINGS)
def test_a_supercell_is_so_many_cells(keys):
    model = model_of(**keys)
    one, two = (model(System.from_ase(salt(n))) for n in ((1, 1, 1), (2, 1, 1)))
    torch.testing.assert_close(two.energy, 2 * one.energy, rtol=1e-9, atol=1e-7)
    torch.testing.assert_close(two.forces, one.forces.repeat(2, 1), rtol=0, atol=1e-7)


@pytest.mark.parametrize("keys", SETTINGS)
def test_other_vectors_of_a_lattice_change_nothing(keys):
    model, atoms = model_of(**keys), salt()
    turned = atoms.copy()
    turned.set_cell(np.array([[1, 0, 1], [-1, 1, 0], [0, 0, 1]]) @ atoms.cell)
    here, there = (model(System.from_ase(one), {"energy", "forces", "stress"}) for one in (atoms, turned))
    torch.testing.assert_close(there.energy, here.energy, rtol=1e-9, atol=1e-7)
    torch.testing.assert_close(there.forces, here.forces, rtol=0, atol=1e-7)
    torch.testing.assert_close(there.stress, here.stress, rtol=0, atol=1e-8)


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False)])
def test_forces_by_a_mesh_are_the_slope(pbc):
    atoms = salt((2, 2, 1))
    atoms.pbc = pbc
    model, system = model_of(), System.from_ase(atoms)
    way = torch.from_numpy(np.random.default_rng(0).normal(size=(len(atoms), 3)))
    way = way / way.norm()
    energies = [model(system.with_positions(system.positions + step * way)).energy for step in (-1e-4, 1e-4)]
    slope = (energies[1] - energies[0]).detach() / 2e-4
    torch.testing.assert_close(-(model(system).forces * way).sum(), slope.squeeze(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("check", [c for c in CHECKS if c.__name__ in {"check_stress_is_the_slope", "check_rotation"}])
def test_dispersion_turns_and_strains(check, monkeypatch):
    import farfield.testing.contract as contract

    monkeypatch.setattr(contract, "slab", crystal)  # it sums no slabs and no wires
    monkeypatch.setattr(contract, "wire", molecule)
    check(model_of(potential="dispersion"))


def test_dispersion_of_a_slab_is_refused():
    model, atoms = model_of(potential="dispersion"), salt()
    atoms.pbc = (True, True, False)
    with pytest.raises(InputError, match="dispersion is summed in crystals"):
        model(System.from_ase(atoms))
    with pytest.raises(InputError, match=r"slab\.xyz: structure 0 is periodic along"):  # before anybody waits
        model.check(System.from_ase(atoms), "slab.xyz: ")


@pytest.mark.parametrize("other", [{"sources": "elements"}, {"potential": "density"}])
def test_nothing_is_conserved_where_no_charge_is(other):
    for keys in ({"conservation": "bond"}, {"formal_charges": {"Na": 1.0, "Cl": -1.0}}):
        with pytest.raises(InputError, match="conservation and formal_charges are of sources: learned"):
            model_of(**keys, **other)


def only_charges(model):
    """Silence all that is read but the charges' own potential."""
    room = model.paradigm
    for weight in (*room.weigh.parameters(), *room.atomic_energy.parameters()):
        torch.nn.init.zeros_(weight)
    return model


@pytest.mark.parametrize("make", [molecule, crystal])
def test_linear_in_the_potential_it_is_the_coulomb_energy(make):
    """½ Σ q V is what Gaussians of variance (s_j² + σ_0²)/2 have, and far apart that is Coulomb's law."""
    model = only_charges(model_of())
    system = replace(make(model), charge=torch.ones(1, dtype=torch.float64))
    found = model(system)
    width = math.hypot(1.0, 1.0) / math.sqrt(2)
    expected = Coulomb(error=1e-9).energy(system, charges=found.charges, widths=width, self_energy=False)
    torch.testing.assert_close(found.energy, expected, rtol=0, atol=1e-7)


def dimer(distance):
    return System.from_ase(ase.Atoms("NaClNaCl", [[0, 0, 0], [0, 0, 2.5], [distance, 0, 0], [distance, 0.3, 2.5]]))


def interaction(model, distance):
    with torch.no_grad():
        return float(model(dimer(distance)).energy - model(dimer(1e6)).energy)


@pytest.mark.parametrize("keys", [{}, {"sources": "elements"}])
def test_it_falls_off_as_the_potential_does(keys):
    """Untrained, two molecules that carry charges: c/R + O(1/R²), and nothing of it is short-ranged."""
    model = model_of(**keys)
    if model.paradigm.charges is not None:
        torch.nn.init.constant_(model.paradigm.sources.element, 0.4)
    near, far = (distance * interaction(model, distance) for distance in (1000.0, 2000.0))
    assert abs(near - far) < 0.02 * abs(far)
    assert abs(far) > 1e-3


def test_a_density_ends_where_orbitals_do():
    model = model_of(potential="density", widths=(1.0, 3.0))
    assert abs(interaction(model, 8.0)) > 1e-7
    assert abs(interaction(model, 40.0)) < 1e-12


def test_charges_within_the_cutoff_can_be_left_out():
    """A potential without its near part is nothing to atoms that are all neighbours, and smooth where they part."""
    kept, removed = model_of(sources="elements"), model_of(sources="elements", near="removed")
    pair = System.from_ase(ase.Atoms("HO", [[0, 0, 0], [0.2, 0, 0]]))
    seen = []
    for model in (kept, removed):
        far, features = model.paradigm.far, model.backbone(pair)
        seen.append(far(pair, features, model.paradigm.sources(pair, features.scalars)).abs().max())
    assert seen[1] < 1e-4 * seen[0]  # the envelope is 1 at contact
    distances = torch.linspace(4.99, 5.01, 5).tolist()
    energies = [
        float(removed(System.from_ase(ase.Atoms("HO", [[0, 0, 0], [d, 0, 0]]))).energy.detach()) for d in distances
    ]
    curvature = np.diff(energies, 2)
    assert np.ptp(curvature) < 0.05 * np.abs(curvature).max()


def test_layers_are_told_of_what_is_far():
    """Between layers, too: features of the second layer then know of a charge beyond every cutoff."""
    told, untold = model_of(every_layer=True), model_of()
    for model, change in ((told, True), (untold, False)):
        near, far = (
            model._features(System.from_ase(ase.Atoms("NaClO", [[0, 0, 0], [2.5, 0, 0], [d, 0, 0]]))).scalars[:2]
            for d in (40.0, 50.0)
        )
        assert bool((near - far).abs().max() > 1e-6) == change


def test_an_own_potential_would_be_caught(monkeypatch):
    """The classic fault of descriptors of a potential: every atom sees itself, and a lonely one has a far field."""
    from farfield.coulomb.projections import projections

    monkeypatch.setattr(projections.SmoothKernel, "at_origin", lambda self, width: 0.0)
    model, atoms = model_of(sources="elements"), ase.Atoms("Na", cell=[60.0] * 3, pbc=True)
    monkeypatch.setattr(model.paradigm.far, "unit", 0.5)
    lonely, open_space = (
        model.paradigm.far(system, None, torch.ones(1, 4).double())
        for system in (System.from_ase(atoms), System.from_ase(ase.Atoms("Na")))
    )
    assert (lonely - open_space).abs().max() > 0.1


def test_a_far_field_that_ignores_the_cell_is_caught(monkeypatch):
    from farfield.coulomb.projections import waves

    honest = waves.summed_cell
    model = model_of()
    monkeypatch.setattr(waves, "summed_cell", lambda *given: honest(*given).detach())
    with pytest.raises(AssertionError, match="check_stress_is_the_slope"):
        check_paradigm(model)
