"""The quantum of polarization, and nearest images, by brute force."""

import itertools
from dataclasses import replace

import ase
import numpy as np
import pytest
import torch

from farfield.field import along_lattice, field_across, nearest_branch, polarization_quantum
from farfield.geometry.images import NearestImages
from farfield.system import System

SKEWED = np.array([[5.0, 0.2, 0], [9.1, 4.0, 0.3], [-7.0, 2.0, 6.0]])


def of(cell, pbc=True, positions=((0, 0, 0),), **info):
    atoms = ase.Atoms("Na" * len(positions), positions, cell=cell, pbc=pbc, info=info)
    return System.from_ase(atoms)


def test_the_quantum_is_e_a_over_v():
    volume = abs(np.linalg.det(SKEWED))
    np.testing.assert_allclose(polarization_quantum(of(SKEWED))[0], SKEWED / volume, rtol=1e-13)
    np.testing.assert_allclose(polarization_quantum(of(SKEWED[[1, 0, 2]]))[0], SKEWED[[1, 0, 2]] / volume, rtol=1e-13)


def test_any_number_of_quanta_is_taken_off():
    system = of(SKEWED)
    quantum = polarization_quantum(system)[0]
    here = torch.tensor([[0.01, -0.02, 0.005]], dtype=torch.float64, requires_grad=True)
    for steps in itertools.product((-3.0, 0.0, 2.0), repeat=3):
        far = here + torch.tensor(steps, dtype=torch.float64) @ quantum
        found = nearest_branch(far, here.detach() + 0.1 * quantum[1], system)
        torch.testing.assert_close(found, here, rtol=0, atol=1e-14)
        (slope,) = torch.autograd.grad(found[0, 0], here, retain_graph=True)
        assert slope.tolist() == [[1, 0, 0]]


def test_nearest_images_by_brute_force():
    places = np.random.default_rng(1).uniform(-2, 3, size=(6, 3)) @ SKEWED
    for pbc in (True, (True, False, True), (False, True, False), False):
        system = of(SKEWED, pbc, places)
        images = NearestImages(system)
        reach = [range(-12, 13) if axis else (0,) for axis in system.periodic[0]]
        shifts = np.array(list(itertools.product(*reach))) @ SKEWED
        for j in range(6):
            vectors = places[j] - places[:, None] + shifts
            nearest = vectors[np.arange(6), np.linalg.norm(vectors, axis=2).argmin(1)]
            found = places[j] - places + images.of(torch.full((6,), j)).numpy()
            np.testing.assert_allclose(found, nearest, atol=1e-9)


def test_images_equally_near_count_alike():
    """Half a cell away there is one on either side: together they are nowhere."""
    system = of(np.diag([4.0, 4.0, 4.0]), True, [(0, 0, 0), (2, 0, 0), (6, 2, 1)])
    vector = system.positions[[1, 1, 1]] - system.positions + NearestImages(system).of(torch.tensor([1, 1, 1]))
    np.testing.assert_allclose(vector, [[0, 0, 0], [0, 0, 0], [0, 0, -1]], atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_field_across_a_slab_is_not_along_its_lattice(dtype):
    """However the slab is turned: rounding is no voltage."""
    cell = SKEWED @ np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    normal = np.cross(cell[0], cell[1])
    across = of(cell, (True, True, False), external_field=0.1 * normal / np.linalg.norm(normal)).to(dtype=dtype)
    slightly = replace(across, external_field=across.external_field + 1e-4)
    assert along_lattice(across).tolist() == [False]
    assert along_lattice(slightly).tolist() == [True]
    np.testing.assert_allclose(field_across(across), across.external_field, atol=1e-7)


def test_the_part_of_a_field_across_the_lattice():
    field, cell = [0.1, 0.2, 0.3], np.array([[3.0, 0, 3.0], [0, 4.0, 0], [0, 0, 5.0]])
    across = {
        (True, True, True): [0, 0, 0],
        (True, True, False): [-0.1, 0, 0.1],  # along the normal (-1, 0, 1)/√2
        (False, False, True): [0.1, 0.2, 0],
        (False, False, False): field,
    }
    for pbc, expected in across.items():
        found = field_across(of(cell, pbc, external_field=field))
        np.testing.assert_allclose(found[0], expected, atol=1e-14)
    assert field_across(of(cell)).tolist() == [[0, 0, 0]]
