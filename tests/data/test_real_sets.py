"""Files as others publish them: every one reads, with its own keys."""

from pathlib import Path

import numpy as np
import pytest
import torch

from farfield.data.config import TARGETS, DataConfig
from farfield.data.read import read_frames
from farfield.data.statistics import fit_statistics
from farfield.field import dielectric_tensor

SETS = Path(__file__).parents[2].parent / "shared" / "data"
CASES = {
    "biodimers_cc_cookbook/all.xyz": (130, {"group": "label"}),
    "biodimers_lode/train.xyz": (60, {"group": "label"}),
    "c10_4g/train.xyz": (96, {"charges": "q_ref"}),
    "au2_mgo_4g/train.xyz": (18, {"charges": "q_ref"}),
    "water_rpbe_hdnnp/train.xyz": (20, {"charges": "q_ref"}),
    "molten_nacl/frames.extxyz": (301, {"charges": "charge"}),
    "spice_dipeptides/train.xyz": (495, {"charges": "q_mbis", "dipole": "dipole"}),
    "allegro_pol_sio2/train.xyz": (
        134,
        {"stress": "stress", "polarization": "polarization", "polarization_unit": "e*angstrom"}
        | {"born_charges": "apt", "polarizability": "polarizability"},
    ),
    "generated/dimers_gfn2.xyz": (74, {"charges": "q_mulliken", "dipole": "dipole", "spin": "uhf", "group": "pair"}),
    "generated/molecules_apt_gfn2.xyz": (
        45,
        {"charges": "q_mulliken", "dipole": "dipole", "group": "label", "born_charges": "apt"}
        | {"polarizability": "polarizability", "polarizability_unit": "angstrom^3"},
    ),
    "generated/nacl_clusters_gfn2.xyz": (94, {"charges": "q_mulliken", "spin": "uhf", "group": "label"}),
    "capacitor/gaussian_electrodes.extxyz": (400, {"charges": "charge"}),
    "capacitor/conducting_planes.extxyz": (1000, {"allow_missing": ("forces",)}),
}


def path_of(name):
    path = SETS / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path


def load(name):
    count, keys = CASES[name]
    path = path_of(name)
    frames = read_frames(path, DataConfig(train=path, **keys))
    assert len(frames) == count
    return frames


@pytest.mark.parametrize("name", CASES)
def test_set_is_read_whole(name):
    _, keys = CASES[name]
    frames = load(name)
    expected = {"energy", "forces"} | keys.keys() & set(TARGETS)
    assert all(frame.labels.targets == expected for frame in frames)
    if "charges" in expected:
        off = [float(f.labels.charges.sum() - f.system.charge.sum()) for f in frames]
        assert np.abs(off).max() < 0.05  # population analyses add up to the total charge
    statistics = fit_statistics(frames, 5.0)
    assert statistics.baseline.isfinite().all()
    assert 0 < statistics.energy_scale < 1
    assert 0 < statistics.force_scale < 5


def test_dipole_of_labelled_molecules_is_near_that_of_their_charges():
    """MBIS charges give most of the dipole; a wrong unit or order would show at once."""
    frames = load("spice_dipeptides/train.xyz")
    label = torch.cat([frame.labels.dipole for frame in frames])
    charges = torch.stack([frame.labels.charges @ frame.system.positions for frame in frames])
    assert torch.corrcoef(torch.stack([label.flatten(), charges.flatten()]))[0, 1] > 0.95


def test_fragment_energies_give_the_interaction_energy():
    """The file also states the interaction energy: E - E_A - E_B."""
    import ase.io

    frames = load("biodimers_lode/train.xyz")
    for frame, atoms in zip(frames, ase.io.read(path_of("biodimers_lode/train.xyz"), ":")):
        binding = frame.labels.energy.item() - frame.fragments.energies.sum().item()
        assert binding == pytest.approx(atoms.info["inter_energy"], abs=1e-6)
        assert frame.fragments.charges.sum() == frame.system.charge.item()
        assert frame.group == atoms.info["label"]


def test_stress_follows_the_energy():
    """Over like structures, energies and stress are of one calculation: symmetric, of eV/Å³ size."""
    for frame in load("allegro_pol_sio2/train.xyz"):
        stress = frame.labels.stress[0]
        torch.testing.assert_close(stress, stress.T)
        assert stress.abs().max() < 0.2


@pytest.mark.parametrize("name", ["allegro_pol_sio2/train.xyz", "generated/molecules_apt_gfn2.xyz"])
def test_born_charges_add_up(name):
    """Σ Z = Q."""
    for frame in load(name)[:10]:
        summed = frame.labels.born_charges.sum(0) - frame.system.charge * torch.eye(3)
        assert summed.abs().max() < 0.02 * frame.system.n_atoms


def test_polarizability_of_silica_gives_its_refractive_index():
    """ε∞ = n² of quartz and its high-temperature forms is 2.1 to 2.4, in PBE a little more."""
    frame = load("allegro_pol_sio2/train.xyz")[0]
    found = dielectric_tensor(frame.labels.polarizability, frame.system)[0].diagonal()
    assert ((found > 2.0) & (found < 2.6)).all()
