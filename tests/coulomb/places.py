"""Structures for the tests."""

import ase
import numpy as np
import torch

from farfield.system import System


def tensor(values):
    return torch.as_tensor(np.asarray(values), dtype=torch.float64)


def apart(rng, count, cell, closest=1.2):
    """Random places in a cell, no two of them (or of their nearest images) closer than that."""
    places = []
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), -1).reshape(-1, 3) @ cell
    while len(places) < count:
        new = rng.random(3) @ cell
        if all(np.linalg.norm(new - old + images, axis=1).min() > closest for old in places):
            places.append(new)
    return np.array(places)


def triclinic(rng, edge=6.0):
    return edge * (np.eye(3) + 0.15 * rng.normal(size=(3, 3)))


def crystal(positions, cell):
    return System.from_ase(ase.Atoms([1] * len(positions), positions=positions, cell=cell, pbc=True))


def molecule(positions):
    return System.from_ase(ase.Atoms([1] * len(positions), positions=positions))
