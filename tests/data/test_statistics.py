"""Baselines and scales against values put into the data."""

import ase
import numpy as np
import pytest
import torch

from farfield.data.frame import Frame, Labels
from farfield.data.statistics import fit_statistics
from farfield.errors import InputError
from farfield.geometry.neighbors import with_neighbors
from farfield.system import System

ELEMENTS = {"H": -13.6, "C": -1030.0, "N": -1485.0, "O": -2041.0, "Na": -4410.0, "Cl": -12520.0}


def frame(formula, energy=None, forces=None, charge=0.0, spacing=3.0):
    atoms = ase.Atoms(formula)
    atoms.positions[:, 0] = spacing * np.arange(len(atoms))
    atoms.info["charge"] = charge
    return Frame(
        System.from_ase(atoms),
        Labels(
            energy=None if energy is None else torch.tensor([energy], dtype=torch.float64),
            forces=None if forces is None else torch.as_tensor(forces, dtype=torch.float64).expand(len(atoms), 3),
        ),
    )


def atomic_sum(formula):
    return sum(ELEMENTS[symbol] for symbol in ase.Atoms(formula).symbols)


def predicted(statistics):
    return statistics.counts @ statistics.baseline


def test_independent_elements_are_recovered():
    formulas = ["H2O", "CH4", "NH3", "CO2", "HCN", "C2H6", "H2", "N2"]
    found = fit_statistics([frame(f, atomic_sum(f)) for f in formulas], 2.0)
    assert found.species == (1, 6, 7, 8)
    expected = [ELEMENTS[ase.data.chemical_symbols[z]] for z in found.species]
    np.testing.assert_allclose(found.baseline, expected, rtol=1e-9)


def test_counts_and_charges():
    found = fit_statistics([frame("H2O", -1.0, charge=1), frame("NaCl", -2.0, charge=-0.5)], 2.0)
    assert found.species == (1, 8, 11, 17)
    assert found.counts.tolist() == [[2, 1, 0, 0], [0, 0, 1, 1]]
    assert found.charge.tolist() == [1.0, -0.5]


@pytest.mark.parametrize("formula", ["H2O", "NaCl", "C10H3", "Na108Cl108", "H"])
@pytest.mark.parametrize("frames", [1, 2, 50])
def test_single_composition_shares_the_energy_evenly(formula, frames):
    rng = np.random.default_rng(0)
    size, total = len(ase.Atoms(formula)), atomic_sum(formula)
    found = fit_statistics([frame(formula, total + 0.1 * size * rng.normal()) for _ in range(frames)], 2.0)
    per_atom = total / size
    assert (found.baseline / per_atom - 1).abs().max() < 0.1
    np.testing.assert_allclose(predicted(found) / size, per_atom, atol=0.5)


def test_water_in_boxes_of_all_sizes_is_one_composition():
    rng = np.random.default_rng(1)
    frames = [frame(f"H{2 * n}O{n}", n * (-2068.2 + 0.05 * rng.normal())) for n in (1, 8, 16, 40)]
    found = fit_statistics(frames, 2.0)
    assert (found.baseline < -500).all()
    assert (found.baseline > -900).all()
    assert found.energy_scale < 0.1


def test_elements_that_always_come_together_are_never_opposite():
    """Na and Cl 1:1 in varying amounts of water: their sum is known, their difference is not."""
    rng = np.random.default_rng(2)
    frames = [
        frame(f"H{2 * n}O{n}Na{m}Cl{m}", atomic_sum(f"H{2 * n}O{n}Na{m}Cl{m}") + 0.3 * rng.normal())
        for n in range(4, 12)
        for m in (1, 2, 3)
    ]
    found = fit_statistics(frames, 2.0)
    assert (found.baseline < 0).all()
    np.testing.assert_allclose(predicted(found), [atomic_sum(f.system.numbers.tolist()) for f in frames], atol=2.0)
    assert found.baseline[2].item() == pytest.approx(found.baseline[3].item(), rel=0.01)


def test_nearly_dependent_composition_does_not_amplify_noise():
    """A defect in every second crystal says little about single elements; the baseline must stay of a sensible size."""
    rng = np.random.default_rng(3)
    frames = [frame(f"Na{108 - k % 2}Cl108", -3.7 * (216 - k % 2) + rng.normal()) for k in range(40)]
    assert fit_statistics(frames, 0.5).baseline.abs().max() < 200


def test_outlier_bends_the_baseline_little():
    rng = np.random.default_rng(4)
    formulas = ["H2O", "CH4", "CO2", "C2H6", "H2", "O2"] * 10
    energies = [atomic_sum(f) + 0.02 * rng.normal() for f in formulas]
    energies[7] += 500.0
    found = fit_statistics([frame(f, e) for f, e in zip(formulas, energies)], 2.0)
    np.testing.assert_allclose(found.baseline, [ELEMENTS[s] for s in "HCO"], atol=0.1)
    assert found.energy_scale < 1.0


def test_scales_are_root_mean_squares():
    rng = np.random.default_rng(5)
    rest = 0.2 * rng.normal(size=4000)
    forces = 1.5 * rng.normal(size=(4000, 2, 3))
    frames = [frame("NaCl", -100.0 + 2 * e, f) for e, f in zip(rest, forces)]
    found = fit_statistics(frames, 2.0)
    assert found.energy_scale == pytest.approx(0.2, rel=0.03)
    assert found.force_scale == pytest.approx(1.5, rel=0.03)


def test_gaps_are_left_out():
    frames = [
        frame("H2", 2 * -13.6, [[1.0, 1.0, 1.0]]),
        frame("H2", float("nan"), [[np.nan] * 3]),
        frame("O2", 2 * -2041.0, [[1.0, 1.0, 1.0]]),
    ]
    found = fit_statistics(frames, 2.0)
    np.testing.assert_allclose(found.baseline, [-13.6, -2041.0], rtol=1e-9)
    assert found.force_scale == pytest.approx(1.0)


@pytest.mark.parametrize("energy", [None, float("nan"), -5.0])
def test_nothing_to_scale_by_still_gives_positive_scales(energy):
    found = fit_statistics([frame("H2", energy)], 2.0)
    assert found.energy_scale == found.force_scale == 1.0
    assert found.baseline.isfinite().all()


def test_forces_stand_in_for_a_missing_energy_scale_and_the_other_way():
    assert fit_statistics([frame("H2", -1.0, [[0.3] * 3])], 2.0).energy_scale == pytest.approx(0.3)
    varied = [frame("H2", -1.0), frame("H2", -1.8)]
    assert fit_statistics(varied, 2.0).force_scale == pytest.approx(0.2)  # ±0.4 eV on two atoms


@pytest.mark.parametrize("attached", [None, 2.0, 5.0])
def test_average_neighbors_of_a_chain(attached):
    """Four atoms in a row, 1 Å apart, reach 1.5 Å: (1 + 2 + 2 + 1)/4; beside them two far apart: 6/6."""
    frames = [frame("H4", -1.0, spacing=1.0), frame("H2", -1.0, spacing=4.0)]
    if attached:
        frames = [Frame(with_neighbors(f.system, attached), f.labels) for f in frames]
    assert fit_statistics(frames, 1.5).average_neighbors == pytest.approx(1.0)


def test_no_frames():
    with pytest.raises(InputError, match="at least one"):
        fit_statistics([], 2.0)
