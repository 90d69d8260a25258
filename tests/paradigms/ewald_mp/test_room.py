"""Messages through filters of k: crystals and not cells, boxes and open space, scalars and vectors."""

from dataclasses import replace

import ase
import ase.build
import numpy as np
import pytest
import torch

import farfield as ff
from farfield.errors import InputError
from farfield.paradigms.ewald_mp import sums
from farfield.system import System
from farfield.testing.structures import crystal, one_atom

CASES = [{"order": 0}, {"order": 1, "channels": 4}]


def model_of(**keys):
    small = {"kind": "ewald_mp", "range": 4.0, "width": 2.0, "error": 1e-9, **keys}
    return ff.new_model(small, species=["H", "O"], seed=1, backbone={"channels": 6}).eval()


def energy_of(model, atoms):
    return model(System.from_ase(atoms), {"energy"}).energy.item()


def salt():
    rng = np.random.default_rng(0)
    places = np.array([[0, 0, 0], [2.2, 0.3, 0], [0.2, 2.4, 2.1], [2.5, 2.3, 2.2]]) + rng.normal(scale=0.1, size=(4, 3))
    return ase.Atoms("HOOH", places, cell=[[4.6, 0, 0], [0.4, 4.9, 0], [0.3, -0.5, 5.2]], pbc=True)


@pytest.mark.parametrize("keys", CASES)
@pytest.mark.parametrize("periodic", [(1, 1, 1), (1, 1, 0), (1, 0, 0)])
def test_twice_the_cell_is_twice_the_energy(keys, periodic):
    model, atoms = model_of(**keys), salt()
    atoms.pbc = periodic
    np.testing.assert_allclose(energy_of(model, atoms.repeat((2, 1, 1))), 2 * energy_of(model, atoms), atol=1e-7)


@pytest.mark.parametrize("keys", CASES)
def test_other_lattice_vectors_are_the_same_crystal(keys):
    model, atoms = model_of(**keys), salt()
    other = atoms.copy()
    other.set_cell(np.array([[1, 0, 0], [2, 1, 0], [-1, 1, 1]]) @ atoms.cell.array)
    np.testing.assert_allclose(energy_of(model, other), energy_of(model, atoms), atol=1e-8)


def test_a_sum_without_the_volume_is_caught(monkeypatch):
    honest = sums._spectrum

    def per_cell(system, filters):
        cell, indices, spectrum = honest(system, filters)
        return cell, indices, 100 * spectrum * torch.linalg.det(cell).abs()[:, None, None] / 100

    monkeypatch.setattr(sums, "_spectrum", per_cell)
    with pytest.raises(AssertionError):
        test_twice_the_cell_is_twice_the_energy(CASES[0], (1, 1, 1))


def test_weights_per_wave_belong_to_a_cell():
    model, atoms = model_of(filter="per_wave"), salt()
    twice = energy_of(model, atoms.repeat((2, 1, 1)))
    assert abs(twice - 2 * energy_of(model, atoms)) > 1e-3


def test_vectors_have_no_weights_per_wave():
    with pytest.raises(InputError, match="weights per wave are of scalars"):
        model_of(filter="per_wave", order=1)


@pytest.mark.parametrize("keys", CASES)
def test_an_atom_alone_is_told_nothing(keys):
    model = model_of(**keys)
    system = one_atom(model)
    features = model.backbone(system)
    first = features.scalars[:, : model.backbone.widths.channels]
    assert (model.paradigm.mix(0, system, replace(features, scalars=first)) == 0).all()
    assert (model.paradigm.last(system, features.scalars, features.vectors).scalars == 0).all()


@pytest.mark.parametrize("keys", [*CASES, {"every_layer": False}])
def test_coulombs_kernel_is_felt_at_any_distance(keys):
    """Half as much at twice the distance."""
    near, far = (felt_at(distance, model_of(**keys, coulomb=True)) for distance in (400, 800))
    assert abs(near) > 1e-5
    np.testing.assert_allclose(near, 2 * far, rtol=0.05)


@pytest.mark.parametrize("keys", [*CASES, {"every_layer": False}])
def test_shells_are_felt_beyond_every_cutoff_and_end(keys):
    model = model_of(**keys)
    assert abs(felt_at(14.0, model)) > 1e-6  # two layers see 10 Å
    assert abs(felt_at(100.0, model)) < 1e-9


def felt_at(distance, model):
    """Energy that a water molecule has of a far bond's being longer, eV."""
    water, energies = ase.build.molecule("H2O"), []
    for bond in (1.0, 1.3):
        other = ase.build.molecule("OH")
        other.set_distance(0, 1, bond, fix=0)
        other.translate([0, 0, distance])
        energies.append(energy_of(model, water + other) - energy_of(model, other))
    return energies[0] - energies[1]


def test_vectors_of_the_layer_before_join_the_density():
    """What is told along a vector turns with it, and nothing told is nothing changed."""
    model = model_of(order=1)
    system = crystal(model)
    channels = model.backbone.widths.channels

    def told(vector):
        rows = torch.cat([torch.zeros(1, dtype=torch.float64), vector])[:, None]
        return model.backbone(system, lambda *_: rows.expand(system.n_atoms, 4, channels)).scalars

    nothing = model.backbone(system).scalars
    torch.testing.assert_close(told(torch.zeros(3, dtype=torch.float64)), nothing)
    assert (told(torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)) - nothing).abs().max() > 1e-2
