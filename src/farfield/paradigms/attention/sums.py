"""Sums over all other atoms, Σ_j f_h(r_ij) x_jh with f_h = Σ_n a_hn K_n: pair by pair, or wave by wave.

Both are the same sum. Pairs are cheaper in molecules, as the work on one is small; the waves of open systems take less
memory, and time linear in the atoms at a given extent; those of crystals include all images. What only depends on where
the atoms are is found once.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from farfield.coulomb.padding import Padding
from farfield.paradigms.attention.quadratures import WeighedWaves, lattice_waves, shell_waves
from farfield.paradigms.attention.waves import values_at
from farfield.system import System, per_system

MOST_PAIRED = 2000
"""Atoms of an open system beyond which pairs take too much memory (0.9 GB at 1,700), if less time in dense ones."""

AT_ONCE = 1 << 24
"""Numbers that are held for a block of waves; where there are more, they are computed again for the slopes."""

Mixture = Callable[[Tensor], Tensor]
"""Of K_n ``(…, frequencies)`` to f_h ``(…, heads)``, linear."""


class Others(Protocol):
    """All other atoms of the same system, and images of all along periodic axes, as every atom sees them."""

    def sum(self, columns: Tensor, mixture: Mixture) -> Tensor:
        """Sum what they send, ``(atoms, heads, columns)`` of x, through f_h(r)."""
        ...


def others_of(system: System, span: Tensor, count: int) -> Others:
    """Prepare the sums over a batch, for ``count`` waves that span ``span`` Å."""
    periodic = system.periodic.any(1)
    large = ~periodic & (system.atoms_per_system > MOST_PAIRED)
    kinds: list[tuple[Tensor, Callable[[System, Tensor, int], Others]]] = [
        (~periodic & ~large, Paired.of), (periodic, _on_lattice), (large, _on_shells),
    ]  # fmt: skip
    present = [(which, kind) for which, kind in kinds if bool(which.any())]
    if len(present) == 1:
        return present[0][1](system, span, count)
    parts = [(system.select(which.nonzero()[:, 0]), kind) for which, kind in present]
    return JoinedParts([(places, kind(part, span, count)) for (part, places), kind in parts])


@dataclass(frozen=True)
class JoinedParts:
    """Parts of a batch that are summed each in its way."""

    parts: Sequence[tuple[Tensor, Others]]  # places of the atoms, and what they see

    def sum(self, columns: Tensor, mixture: Mixture) -> Tensor:
        """See ``Others``."""
        out = torch.zeros_like(columns)
        for places, others in self.parts:
            out = out.index_copy(0, places, others.sum(columns[places], mixture))
        return out


@dataclass(frozen=True)
class Paired:
    """Every pair of atoms of open systems."""

    padding: Padding
    values: Tensor  # (systems, atoms, atoms, frequencies), K_n; 0 of an atom and itself

    @classmethod
    def of(cls, system: System, span: Tensor, count: int) -> "Paired":
        """Prepare the pairs."""
        padding = Padding.of(system)
        positions, real = padding.pad(system.positions), padding.mask()
        others = real[:, :, None] & real[:, None] & ~torch.eye(padding.longest, dtype=torch.bool, device=real.device)
        square = (positions[:, :, None] - positions[:, None]).square().sum(3)
        values = values_at(torch.where(others, square, 1.0).sqrt(), span, count)
        return cls(padding, values * others.unsqueeze(3))

    def sum(self, columns: Tensor, mixture: Mixture) -> Tensor:
        """See ``Others``."""
        sent = self.padding.pad(columns).transpose(1, 2)
        return self.padding.unpad((mixture(self.values).permute(0, 3, 1, 2) @ sent).transpose(1, 2))


@dataclass(frozen=True)
class Waved:
    """Plane waves at the atoms: structure factors, weighed, and back; less what an atom sends itself."""

    padding: Padding
    positions: Tensor  # (systems, atoms, 3), about the centroid, Å
    waves: WeighedWaves
    phases: Tensor | None  # (systems, atoms, 2 · waves), cosines and sines, where they are few enough to be kept

    @classmethod
    def of(cls, system: System, waves: WeighedWaves) -> "Waved":
        """Prepare the waves."""
        padding = Padding.of(system)
        centre = per_system(system.positions.detach(), system) / system.atoms_per_system.unsqueeze(1)
        positions = padding.pad(system.positions - centre[system.system_index])
        few = positions.shape[0] * positions.shape[1] * waves.vectors.shape[1] <= AT_ONCE
        return cls(padding, positions, waves, _phases(positions, waves.vectors) if few else None)

    def sum(self, columns: Tensor, mixture: Mixture) -> Tensor:
        """See ``Others``."""
        sent, weights = self.padding.pad(columns), mixture(self.waves.weights)
        own = mixture(columns.new_ones(self.waves.weights.shape[2]))
        if self.phases is not None:
            found = _there_and_back(sent, self.phases, weights)
        else:
            step = max(1, AT_ONCE // (self.positions.shape[0] * self.positions.shape[1]))
            vectors = torch.split(self.waves.vectors, step, dim=1)
            blocks = zip(vectors, torch.split(weights, step, dim=1))
            found = torch.zeros_like(sent)
            for some, weight in blocks:
                found = found + checkpoint(_block, sent, self.positions, some, weight, use_reentrant=False)
        return self.padding.unpad(found) - own[:, None] * columns


def _block(sent: Tensor, positions: Tensor, vectors: Tensor, weights: Tensor) -> Tensor:
    return _there_and_back(sent, _phases(positions, vectors), weights)


def _phases(positions: Tensor, vectors: Tensor) -> Tensor:
    phase = positions @ vectors.transpose(1, 2)
    return torch.cat([torch.cos(phase), torch.sin(phase)], dim=2)


def _there_and_back(sent: Tensor, phases: Tensor, weights: Tensor) -> Tensor:
    factors = phases.transpose(1, 2) @ sent.flatten(2)
    weighed = factors.view(*factors.shape[:2], *sent.shape[2:]) * weights.repeat(1, 2, 1).unsqueeze(3)
    return (phases @ weighed.flatten(2)).view(sent.shape)


def _on_lattice(system: System, span: Tensor, count: int) -> Others:
    return Waved.of(system, lattice_waves(system, span, count))


def _on_shells(system: System, span: Tensor, count: int) -> Others:
    """One system after the other: each is large."""
    parts: list[tuple[Tensor, Others]] = []
    for k in range(system.n_systems):
        one, places = system.select(torch.tensor([k], device=system.numbers.device))
        away = one.positions.detach() - one.positions.detach().mean(0)
        extent = math.ceil(2 * float(away.norm(dim=1).max()))
        parts.append((places, Waved.of(one, shell_waves(extent, span, count))))
    return JoinedParts(parts)
