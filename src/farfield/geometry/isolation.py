"""A single atom apart from all others: in open space, or in a box whose images are farther away than any bond."""

from typing import Any

import numpy as np
from ase.geometry import minkowski_reduce
from torch import Tensor

from farfield.conditions import under
from farfield.system import System

LONGEST_BOND = 8.0
"""Å; in no crystal of one atom a cell are neighbours this far apart: a single atom in such a box is an isolated one."""

Array = np.ndarray[Any, np.dtype[Any]]


def nearest_image(cell: Array, periodic: Array) -> float:
    """Length of the shortest lattice vector along periodic axes, Å; infinite where there is none.

    ``cell`` ``(3, 3)``, rows are lattice vectors; ``periodic`` ``(3,)`` bool.
    """
    if not np.any(periodic):
        return float("inf")
    reduced, _ = minkowski_reduce(np.asarray(cell, dtype=float), pbc=np.asarray(periodic))
    return float(np.linalg.norm(reduced[np.asarray(periodic)], axis=1).min())


def isolated_systems(system: System) -> Tensor:
    """Tell which systems ``(systems,)`` are isolated atoms, whatever their charge."""
    found = system.atoms_per_system == 1
    for k in (found & system.periodic.any(1)).nonzero()[:, 0].tolist():
        cell, periodic = system.cell[k].detach().cpu().numpy(), system.periodic[k].cpu().numpy()
        found[k] = nearest_image(cell, periodic) >= LONGEST_BOND - 1e-6
    return found


def is_isolated(system: System) -> bool:
    """Tell whether a system of one structure is an isolated atom, in no field and beside no external charges."""
    disturbed = system.external_charges is not None or any(under(k, x).any() for k, x in system.conditions.items())
    return system.n_atoms == 1 and not disturbed and bool(isolated_systems(system)[0])
