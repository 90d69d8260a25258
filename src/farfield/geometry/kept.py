"""Neighbours kept from one step to the next, and the test of when they no longer do."""

from dataclasses import replace

import torch
from torch import Tensor

from farfield.geometry.neighbors import find_neighbors
from farfield.system import NeighborList, System, per_system

_ROUNDING = 1e-9
"""Å; what rounding may hide from the test."""


class KeptNeighbors:
    """Attaches neighbours to the steps of a simulation, and searches only when a pair could be missing."""

    def __init__(self, skin: float, *, spare: float = 0.02) -> None:
        """``skin`` in Å; ``spare`` is the part by which a search goes beyond the cutoff, for cutoffs that breathe."""
        self.skin, self.spare = skin, spare
        self.known: NeighborList | None = None
        self.made_for: System | None = None

    def attach(self, system: System, cutoff: float) -> System:
        """``system`` with neighbours that are complete to ``cutoff`` Å: those at hand, or new ones.

        Raises:
            InputError: as ``find_neighbors``.
        """
        if self.known is None or self.made_for is None or self.known.cutoff < cutoff or self.missing(system):
            self.known = find_neighbors(system, cutoff * (1 + self.spare), skin=self.skin)
            positions, cell = system.positions.detach().clone(), system.cell.detach().clone()
            self.made_for = replace(system, positions=positions, cell=cell, neighbors=None)
        return replace(system, neighbors=self.known)

    def missing(self, system: System) -> bool:
        """Tell whether a pair of ``system`` could be missing from the list at hand."""
        return self.known is None or self.made_for is None or not still_complete(self.known, self.made_for, system)


def still_complete(
    known: NeighborList,
    then: System,  # what the list was made for
    now: System,
) -> bool:
    """Tell whether no pair closer than ``known.cutoff`` can be missing from a list that was made earlier.

    A pair that is not in the list was v ≥ cutoff + skin apart. A cell deformed by F and atoms moved by at most u
    besides leave at least σ_min(F) v - 2u, σ_min being the smallest singular value; that must not be below the cutoff.
    Atoms that were wrapped have moved by a lattice vector: their shifts have changed.
    """
    if not same_batch(then, now):
        return False
    before, after = then.positions.double(), now.positions.detach().double()
    smallest: Tensor | float = 1.0
    if not torch.equal(then.cell, now.cell):
        if not bool(now.cell.isfinite().all()):
            return False
        deformation = _deformation(then, now)
        smallest = torch.linalg.svdvals(deformation)[:, -1]
        before = torch.einsum("na,nab->nb", before, deformation[now.system_index])
    needed = known.cutoff + _ROUNDING - smallest * (known.cutoff + known.skin)
    return bool((2 * _largest_move(after - before, now) <= -needed).all())


def same_batch(then: System, now: System) -> bool:
    """Tell whether two batches differ by no more than where their atoms are, and in which cells."""
    if then.system_index.shape != now.system_index.shape or then.periodic.shape != now.periodic.shape:
        return False
    if (then.positions.device, then.positions.dtype) != (now.positions.device, now.positions.dtype):
        return False
    return torch.equal(then.system_index, now.system_index) and torch.equal(then.periodic, now.periodic)


def _deformation(then: System, now: System) -> Tensor:
    """The maps F ``(systems, 3, 3)``, v → v F, of the periodic lattice vectors; across them nothing changes."""
    mask = now.periodic.unsqueeze(2)
    old, new = (torch.where(mask, s.cell.detach().double(), 0.0) for s in (then, now))
    inverse = torch.linalg.pinv(old)
    across = torch.eye(3, dtype=old.dtype, device=old.device) - inverse @ old
    deformation: Tensor = inverse @ new + across
    return deformation


def _largest_move(moved: Tensor, system: System) -> Tensor:
    """Find the largest move of each system's atoms ``(systems,)`` in Å, a move of all of them left out."""
    sizes = system.atoms_per_system.clamp(min=1).unsqueeze(1)
    moved = moved - (per_system(moved, system) / sizes)[system.system_index]
    squared = torch.linalg.vecdot(moved, moved)
    largest: Tensor = squared.new_zeros(system.n_systems).scatter_reduce(0, system.system_index, squared, "amax")
    return largest.sqrt()
