"""A room whose atoms exchange what they know between the backbone's layers, over any distance."""

import ase.build
import pytest

import farfield as ff
from farfield.paradigms.short_range.model import ShortRange
from farfield.system import System, per_system
from farfield.testing import CHECKS


def mean_field(self, layer, system, features):
    """Scalars towards the mean of the system, and every vector times the mean vector: nothing for an atom alone."""

    def mean(values):
        return (per_system(values, system).movedim(0, -1) / system.atoms_per_system).movedim(-1, 0)[system.system_index]

    changed = features.scalars - features.alone[features.element]
    return mean(changed) + (features.vectors * mean(features.vectors)).sum(2)


@pytest.fixture
def mixing(monkeypatch):
    monkeypatch.setattr(ShortRange, "mixing_order", 1)
    monkeypatch.setattr(ShortRange, "mix", mean_field)


def model_of():
    small = {"channels": 6}
    return ff.new_model({"kind": "short_range"}, species=["H", "O", "Na"], seed=1, backbone=small).eval()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_passes_the_contract(check, mixing):
    check(model_of())


def test_atoms_beyond_every_cutoff_are_felt(mixing):
    water, energies = ase.build.molecule("H2O"), []
    for bond in (1.0, 1.3):
        other = ase.build.molecule("OH")
        other.set_distance(0, 1, bond, fix=0)
        other.translate([0, 0, 100])
        alone = model_of()(System.from_ase(other)).energy
        energies.append(model_of()(System.from_ase(water + other)).energy - alone)
    assert (energies[0] - energies[1]).abs() > 1e-4
