"""Structures of a model's elements where the user has given none: near what ions and covalent radii suggest."""

from collections.abc import Sequence

import ase
import numpy as np
from ase.data import covalent_radii

from farfield.probe.structures.salt import Salt
from farfield.probe.subject import Floats


def crystal(species: Sequence[int], salt: Salt | None) -> ase.Atoms:
    """Rock salt, rattled by 0.1 Å and sheared a little; a random triclinic crystal where there is no salt."""
    generator = np.random.default_rng(1)
    if salt is not None:
        atoms = salt.conventional()
        atoms.positions += generator.normal(scale=0.1, size=(len(atoms), 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + generator.normal(scale=0.02, size=(3, 3))), scale_atoms=True)
        return atoms
    numbers = np.resize(species, max(8, len(species)))
    edge = _spacing(species) * np.cbrt(len(numbers))
    cell = edge * (np.eye(3) + generator.normal(scale=0.05, size=(3, 3)))
    fractional = _apart(generator, numbers, cell, periodic=True)
    return ase.Atoms(numbers, fractional @ cell, cell=cell, pbc=True)


def molecule(species: Sequence[int], salt: Salt | None) -> ase.Atoms:
    """Four pairs of ions as a rattled cube, or a random cluster of the elements where there is no salt."""
    generator = np.random.default_rng(2)
    if salt is not None:
        atoms = salt.conventional()
        atoms.positions += generator.normal(scale=0.1, size=(len(atoms), 3))
        return ase.Atoms(atoms.numbers, atoms.positions)
    numbers = np.resize(species, max(6, len(species)))
    cell = 1.2 * _spacing(species) * np.cbrt(len(numbers)) * np.eye(3)
    return ase.Atoms(numbers, _apart(generator, numbers, cell, periodic=False) @ cell)


def _spacing(species: Sequence[int]) -> float:
    """Å per atom along an axis: bonds of the mean covalent radius, a little stretched."""
    return 2.5 * float(np.mean(covalent_radii[list(species)]))


def _apart(generator: np.random.Generator, numbers: Floats, cell: Floats, *, periodic: bool) -> Floats:
    """Fractional positions at which atoms keep 1.2 times their covalent radii apart, or the best of 2000 tries."""
    bond = covalent_radii[numbers][:, None] + covalent_radii[numbers][None] + 99 * np.eye(len(numbers))
    best, spread = np.empty((len(numbers), 3)), -1.0
    for _ in range(2000):
        places = generator.uniform(size=(len(numbers), 3))
        apart = places[:, None] - places[None]
        apart = apart - np.rint(apart) if periodic else apart
        closest = float(np.min((np.linalg.norm(apart @ cell, axis=2) + 999 * np.eye(len(numbers))) / bond))
        if closest > spread:
            best, spread = places, closest
        if spread > 1.2:
            break
    return best
