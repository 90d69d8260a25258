import math

import ase
import numpy as np
import pytest
import torch
from ase.data import covalent_radii

from farfield.backbone.repulsion import Repulsion
from farfield.geometry.neighbors import pairs_within
from farfield.model import new_model
from farfield.system import System
from farfield.units import COULOMB


def energy(symbols, distance, cutoff=5.0):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        system = System.from_ase(ase.Atoms(symbols, [[0, 0, 0], [0, 0, distance]]))
        return Repulsion(cutoff)(system, pairs_within(system, cutoff)).item()
    finally:
        torch.set_default_dtype(before)


def test_bare_nuclei_up_close():
    """φ(0) = 1; at first order φ = 1 - 1.17... r/a, from the sum of amplitude × decay."""
    r = 1e-3
    a = 0.46850 / (11**0.23 + 17**0.23)
    slope = 0.18175 * 3.19980 + 0.50986 * 0.94229 + 0.28022 * 0.40290 + 0.02817 * 0.20162
    assert energy("NaCl", r) == pytest.approx(COULOMB * 11 * 17 / r * (1 - slope * r / a), rel=2e-4)


def test_nothing_beyond_touching_radii_and_smooth_there():
    touching = covalent_radii[11] + covalent_radii[17]
    assert energy("NaCl", touching + 1e-9) == 0
    h = 1e-3
    near = [energy("NaCl", touching - k * h) for k in (1, 2, 4)]
    assert near[1] / near[0] == pytest.approx(8, rel=0.02)  # the envelope starts as the cube of the distance
    assert near[2] / near[1] == pytest.approx(8, rel=0.04)


def test_nothing_is_cut_off_where_radii_reach_beyond_the_cutoff():
    assert covalent_radii[55] * 2 > 4.0  # Å, caesium
    assert abs(energy("Cs2", 4.0 - 1e-4, cutoff=4.0)) < 1e-6


def test_repulsive_for_every_pair_of_elements():
    for z in range(1, 119):
        radius = 1.5 if covalent_radii[z] <= 0.2 else covalent_radii[z]
        values = [energy([z, 118], f * (radius + 1.5)) for f in (0.2, 0.4, 0.6, 0.8)]
        assert all(np.diff(values) < 0)
        assert values[-1] > 0


def test_two_atoms_pressed_together_are_pushed_apart_whatever_the_network_says():
    for seed in range(5):
        model = new_model(
            {"kind": "latent"}, species=["K", "O"], seed=seed, backbone={"repulsion": "zbl", "channels": 8}
        ).eval()
        pair = System.from_ase(ase.Atoms("KO", [[0, 0, 0], [0, 0, 0.4]]))
        forces = model(pair).forces
        assert forces[1, 2] > 100
        assert math.isclose(forces[0, 2], -forces[1, 2], rel_tol=1e-12)
