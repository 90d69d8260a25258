"""Structures of the net: one of every periodicity, no two atoms close, every atom with neighbours."""

import ase
import numpy as np
import torch

from farfield.system import System

CELL = np.array([[6.1, 0.0, 0.0], [0.9, 5.7, 0.0], [-0.7, 0.5, 6.4]])
AXES = {"molecule": (), "wire": (1,), "slab": (0, 1), "crystal": (0, 1, 2)}
SYMBOLS = ["Na", "Cl", "O", "H", "H", "Cl"]
_FRACTIONS = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1]]) * 0.5 + 0.1


def scene(name: str, seed: int = 0, charge: float = 0.0) -> ase.Atoms:
    """Six atoms, each off its place by some tenths of an Å."""
    periodic = [axis in AXES[name] for axis in range(3)]
    positions = _FRACTIONS @ CELL + np.random.default_rng(seed).uniform(-0.3, 0.3, (6, 3))
    return ase.Atoms(SYMBOLS, positions, cell=CELL, pbc=periodic, info={"charge": charge})


def batch(*atoms: ase.Atoms) -> System:
    """All of them as one batch."""
    return System.from_ase(list(atoms))


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    """Numbers of size one."""
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))
