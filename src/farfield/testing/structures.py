"""Small structures that every model of some elements can be tried on."""

from collections.abc import Sequence
from dataclasses import replace

import ase
import numpy as np
import torch
from numpy.typing import NDArray

from farfield.model import Model
from farfield.system import System

Floats = NDArray[np.float64]


def molecule(model: Model, *, atoms: int = 7, seed: int = 0) -> System:
    """A molecule of the model's elements, no two atoms closer than 1.6 Å."""
    rng = np.random.default_rng(seed)
    positions = _apart(rng, atoms, np.full(3, 2.6 * atoms ** (1 / 3)))
    return _system(model, ase.Atoms(_elements(model, atoms, rng), positions))


def crystal(model: Model, *, atoms: int = 6, seed: int = 1) -> System:
    """A triclinic cell of the model's elements, about as wide as the cutoff."""
    rng = np.random.default_rng(seed)
    cell = np.diag([5.4, 5.9, 6.3]) + rng.normal(scale=0.4, size=(3, 3))
    positions = _apart(rng, atoms, np.array([4.2, 4.7, 5.2]))
    return _system(model, ase.Atoms(_elements(model, atoms, rng), positions, cell=cell, pbc=True))


def slab(model: Model, *, atoms: int = 6, seed: int = 1) -> System:
    """The contents of the crystal, periodic along two axes; its third vector is still in the cell."""
    found = crystal(model, atoms=atoms, seed=seed)
    return replace(found, periodic=torch.tensor([[True, True, False]]))


def wire(model: Model, *, atoms: int = 6, seed: int = 1) -> System:
    """The same, periodic along one axis."""
    found = crystal(model, atoms=atoms, seed=seed)
    return replace(found, periodic=torch.tensor([[False, True, False]]))


def one_atom(model: Model) -> System:
    """An atom alone in space."""
    return _system(model, ase.Atoms([model.species[0]], [[0.1, 0.2, 0.3]]))


def far_apart(model: Model) -> System:
    """Two atoms beyond every cutoff."""
    return _system(model, ase.Atoms([model.species[0], model.species[-1]], [[0, 0, 0], [0, 0, 50.0]]))


def _system(model: Model, atoms: ase.Atoms) -> System:
    """Build a system with a total charge of one where the model takes any: neutral systems hide mistakes."""
    only = model.paradigm.only_charge(torch.from_numpy(atoms.numbers))
    atoms.info["charge"] = 1.0 if only is None else only
    return System.from_ase(atoms)


def _elements(model: Model, atoms: int, rng: np.random.Generator) -> Sequence[int]:
    return (
        [*model.species, *rng.choice(model.species, atoms)][:atoms]
        if atoms > len(model.species)
        else list(rng.choice(model.species, atoms, replace=False))
    )


def _apart(rng: np.random.Generator, atoms: int, box: Floats) -> Floats:
    while True:
        positions = rng.uniform(size=(atoms, 3)) * box
        distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1) + 9 * np.eye(atoms)
        if distances.min() > 1.6:
            return np.asarray(positions)
