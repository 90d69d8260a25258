"""What attention promises: atoms beyond every cutoff are felt, as far as the range reaches and no further."""

import copy
from dataclasses import replace

import ase
import ase.build
import numpy as np
import pytest
import torch

import farfield as ff
from farfield.data.frame import Frame, Labels
from farfield.data.statistics import fit_statistics
from farfield.paradigms.attention import quadratures, sums
from farfield.system import System
from farfield.testing.contract import check_forces_are_the_slope


def model_of(seed=1, **keys):
    small = {"channels": 8}
    return ff.new_model({"kind": "attention", **keys}, species=["H", "C", "O"], seed=seed, backbone=small).eval()


def energy(model, atoms):
    return model(System.from_ase(atoms), {"energy"}).energy.item()


def pair(distance):
    """Two water molecules."""
    other = ase.build.molecule("H2O")
    other.translate([distance, 0, 0])
    return ase.build.molecule("H2O") + other


def test_what_is_beyond_the_cutoff_is_felt_until_the_waves_have_faded():
    model = model_of(range=16.0)
    apart = [energy(model, pair(distance)) for distance in (14.0, 14.5, 400.0)]
    assert abs(apart[0] - apart[1]) > 1e-5
    alone = 2 * energy(model, ase.build.molecule("H2O"))
    assert apart[2] == pytest.approx(alone, abs=1e-10)


def test_an_atom_alone_learns_nothing():
    model = model_of(nodes=2)
    system = System.from_ase(ase.Atoms("O", [[1.0, 2.0, 3.0]]))
    features = model.backbone(system)
    last = len(model.paradigm.layers) - 1
    torch.testing.assert_close(model.paradigm.mix(last, system, features), torch.zeros_like(features.scalars))


def test_a_pass_that_was_broken_off_leaves_nothing_behind(monkeypatch):
    """Neither to the same atoms in another cell, nor to a copy."""
    model, atoms = model_of(), ase.build.molecule("H2O", cell=[6.0] * 3, pbc=True)
    system = System.from_ase(atoms)
    larger = replace(system, cell=1.3 * system.cell)
    expected = model(larger, {"energy"}).energy
    with monkeypatch.context() as patched:
        patched.setattr(type(model.paradigm.atomic_energy), "forward", _broken)
        patched.setattr(type(model.paradigm.layers[-1]), "forward", _broken)
        with pytest.raises(KeyboardInterrupt):
            model(system)
    assert torch.equal(copy.deepcopy(model)(larger, {"energy"}).energy, expected)
    assert torch.equal(model(larger, {"energy"}).energy, expected)


def _broken(*_):
    raise KeyboardInterrupt


def ends(angle):
    """Two groups whose tensors can be turned about the line between them, 30 Å apart."""
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    group = np.array([[0, 0, 0], [0, 1.0, 0], [0, -1.0, 0]])
    return ase.Atoms("CH2CH2", np.concatenate([group, group @ turn.T + [30.0, 0, 0]]))


def test_tensors_feel_how_far_groups_are_turned():
    """As in cumulenes; distances between far groups are all but the same at any angle."""
    felt = {}
    for order in (0, 2):
        model = model_of(order=order, range=30.0)
        felt[order] = abs(energy(model, ends(0.0)) - energy(model, ends(np.pi / 2)))
        assert energy(model, ends(np.pi)) == pytest.approx(energy(model, ends(0.0)), abs=1e-9)
    assert felt[2] > 1e-3
    assert felt[2] > 100 * felt[0]


def test_twice_the_cell_is_twice_the_energy_and_any_cell_of_a_lattice_will_do():
    rng = np.random.default_rng(0)
    crystal = ase.build.bulk("C", "diamond", a=3.6, cubic=True)
    crystal.rattle(0.1, rng=rng)
    for model in (model_of(), model_of(nodes=3, order=2)):
        once = energy(model, crystal)
        for times in ((2, 1, 1), (1, 1, 3)):
            assert energy(model, crystal.repeat(times)) == pytest.approx(np.prod(times) * once, abs=1e-8)
        sheared = crystal.copy()
        sheared.set_cell(np.array([[1, 0, 0], [1, 1, 0], [-2, 1, 1]]) @ crystal.cell.array)
        assert energy(model, sheared) == pytest.approx(once, abs=1e-9)


def test_nodes_know_no_distance():
    model = model_of(nodes=2)
    alone = 2 * energy(model, ase.build.molecule("H2O"))
    assert abs(energy(model, pair(400.0)) - alone) < 1e-9  # alike molecules: their mean is each of them
    mixed = ase.build.molecule("H2O") + ase.build.molecule("CH4")
    mixed.positions[3:] += 400.0
    parts = energy(model, ase.build.molecule("H2O")) + energy(model, ase.build.molecule("CH4"))
    assert abs(energy(model, mixed) - parts) > 1e-4


def test_the_range_follows_the_largest_molecule_of_the_data():
    frames = [frame_of(pair(distance)) for distance in (4.0, 23.0)]
    statistics = fit_statistics(frames, 5.0)
    assert statistics.extent == pytest.approx(pair(23.0).get_all_distances().max())
    model, fixed = model_of(), model_of(range=30.0)
    for each in (model, fixed):
        each.paradigm.prepare(statistics)
    assert float(model.paradigm.span) == pytest.approx(statistics.extent)
    assert float(fixed.paradigm.span) == 30.0


def frame_of(atoms):
    return Frame(System.from_ase(atoms), Labels(energy=torch.zeros(1)))


def test_large_molecules_turn_as_small_ones_do(monkeypatch):
    """Through shells of directions, whose grids know the laboratory, to the error these are made for."""
    model = model_of(range=6.0, frequencies=4)
    molecule = System.from_ase(pair(5.0))
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64))[0]
    turned = replace(molecule, positions=molecule.positions @ turn.T)
    exact = model(molecule)
    monkeypatch.setattr(sums, "MOST_PAIRED", 1)

    def off():
        here, there = model(molecule), model(turned)
        torch.testing.assert_close(here.energy, exact.energy, rtol=0, atol=1e-4)
        return float((there.forces - here.forces @ turn.T).abs().max())

    check_forces_are_the_slope(model)
    assert off() < 1e-4
    degree = quadratures._degree
    monkeypatch.setattr(quadratures, "_degree", lambda phase: degree(phase) // 3)  # grids as coarse as the paper's
    with pytest.raises(AssertionError):
        assert off() < 1e-4
