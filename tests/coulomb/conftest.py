"""Structures, and an Ewald sum of the tests' own: numpy, all images and all waves by brute force."""

import itertools

import ase
import numpy as np
import pytest
import torch
from scipy.special import erfc

from farfield.system import System


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def apart():
    """Random places in a cell, no two of them (or of their nearest images) closer than 1.2 Å."""

    def places(rng, count, cell, closest=1.2):
        found = []
        images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), -1).reshape(-1, 3) @ cell
        while len(found) < count:
            new = rng.random(3) @ cell
            if all(np.linalg.norm(new - old + images, axis=1).min() > closest for old in found):
                found.append(new)
        return np.array(found)

    return places


@pytest.fixture
def triclinic():
    return lambda rng, edge=6.0: edge * (np.eye(3) + 0.15 * rng.normal(size=(3, 3)))


@pytest.fixture
def crystal():
    """A batch of one: periodic with a cell, open without."""

    def build(positions, cell=None):
        return System.from_ase(ase.Atoms([1] * len(positions), positions=positions, cell=cell, pbc=cell is not None))

    return build


@pytest.fixture
def brute_energy():
    return _brute_energy


def _brute_energy(positions, charges, cell, *, alpha=None, widths=None, depth=6.0):
    """Tin-foil energy with the point background; widths replace 1/r by erf(ar)/r pair by pair and image by image."""
    positions, charges, cell = (np.asarray(x, dtype=float) for x in (positions, charges, cell))
    volume, inverse = abs(np.linalg.det(cell)), np.linalg.inv(cell)
    alpha = alpha or np.sqrt(np.pi) / volume ** (1 / 3)
    sigma = np.zeros(len(charges)) if widths is None else np.broadcast_to(widths, len(charges)).astype(float)
    reach = max(depth / alpha, 2 * depth * sigma.max())
    spans = np.ceil(reach * np.linalg.norm(inverse, axis=0)).astype(int) + 1
    variance = 2 * (sigma[:, None] ** 2 + sigma[None] ** 2)
    rate = 1 / np.sqrt(np.where(variance > 0, variance, 1.0))
    separation = positions[None] - positions[:, None]
    separation -= np.floor(separation @ inverse + 0.5) @ cell
    total = 0.0
    for image in itertools.product(*(range(-n, n + 1) for n in spans)):
        distance = np.linalg.norm(separation + np.array(image) @ cell, axis=-1)
        apart = distance > 1e-9
        r = np.where(apart, distance, 1.0)
        deficit = np.where(variance > 0, erfc(rate * r), 0.0)
        total += 0.5 * charges @ np.where(apart, (erfc(alpha * r) - deficit) / r, 0.0) @ charges
    longest = 2 * alpha * depth
    spans = np.ceil(longest * np.linalg.norm(cell, axis=1) / (2 * np.pi)).astype(int)
    grid = np.array(list(itertools.product(*(range(-n, n + 1) for n in spans))))
    k = 2 * np.pi * grid @ inverse.T
    squared = (k**2).sum(1)
    k, squared = k[squared > 1e-12], squared[squared > 1e-12]
    structure = np.exp(1j * k @ positions.T) @ charges
    total += 2 * np.pi / volume * (np.exp(-squared / (4 * alpha**2)) / squared * abs(structure) ** 2).sum()
    own = np.where(sigma > 0, 0.5 / (np.sqrt(np.pi) * np.where(sigma > 0, sigma, 1.0)), 0.0)
    total += ((own - alpha / np.sqrt(np.pi)) * charges**2).sum()
    return total - np.pi * charges.sum() ** 2 / (2 * volume * alpha**2)
