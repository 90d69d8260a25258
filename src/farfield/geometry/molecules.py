"""Atoms that hang together: by bonds, as molecules, or by touching at all."""

from dataclasses import dataclass

import numpy as np
import torch
from ase.data import covalent_radii
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from farfield.geometry.neighbors import find_neighbors
from farfield.system import NeighborList, System

BOND = 1.25
"""Atoms nearer than this many times the sum of their covalent radii are bonded; hydrogen bonds are 1.6 and longer."""

APART = 2.5
"""Å beyond the sum of their covalent radii; farther off, orbitals no longer overlap, and no charge is shared."""

_SMALLEST = 2 * float(covalent_radii[1:].min()) + APART
"""Å; nearer than this atoms touch, whatever they are."""


@dataclass(frozen=True)
class Contacts:
    """Pairs of atoms of one batch that are not apart, every pair twice; images of an atom stand for itself."""

    i: Tensor  # (pairs,)
    j: Tensor  # (pairs,)
    bonded: Tensor  # (pairs,) bool

    @classmethod
    def of(cls, system: System) -> "Contacts":
        """Search them."""
        radius = torch.as_tensor(np.asarray(covalent_radii)[:119]).to(system.positions)[system.numbers]
        found = find_neighbors(system, 2 * float(radius.max()) + APART)
        image = torch.einsum("pa,pab->pb", found.shift, system.cell[system.system_index[found.i]])
        distance = (system.positions[found.j] + image - system.positions[found.i]).norm(dim=1)
        touching = radius[found.i] + radius[found.j]
        near = distance < touching + APART
        return cls(found.i[near], found.j[near], (distance < BOND * touching)[near])

    def groups(self, atoms: int) -> Tensor:
        """Number the groups of ``atoms`` that nothing joins ``(atoms,)``, in the order of their first atoms."""
        return _connected(self, atoms)


def hang_together(system: System) -> bool:
    """Tell at little cost that all atoms of one system do, as in all that is dense; false where that is not certain."""
    return int(_connected(find_neighbors(system, _SMALLEST), system.n_atoms).max()) == 0


def _connected(pairs: Contacts | NeighborList, atoms: int) -> Tensor:
    graph = coo_array((np.ones(len(pairs.i), dtype=bool), (pairs.i.numpy(), pairs.j.numpy())), shape=(atoms, atoms))
    return torch.from_numpy(connected_components(graph, directed=False)[1].astype(np.int64))
