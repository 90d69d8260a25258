"""Terms of the loss for parts that nothing joins: whole charges, and the forces between them.

Inside a molecule the atoms' charges are what energies make of them. Apart, each part carries a whole number of
electrons, and the force and torque on it as a rigid body are all that long range does: short-range energies of a part
that nothing reaches leave it neither force nor torque. Both are a small share of what atoms feel, and the loss would
see them last.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from farfield.data.frame import Frame, Labels
from farfield.geometry.wrapping import nearest_to_origin
from farfield.prediction import Prediction
from farfield.response.charges.fragments import fragments_of
from farfield.system import System
from farfield.train.config import PartWeights

CHARGES, FORCES = "parts' charges", "parts' forces"
SMALLEST = 0.1
"""Scales of the data's forces that those on parts count as, where they are smaller: calculations are not that exact."""


@dataclass(frozen=True)
class PartTerms:
    """Terms of the loss, with their weights and scales."""

    charges: float  # weight, 1/e²
    forces: float  # weight
    force_scale: float  # eV/Å, size of the forces on parts

    @classmethod
    def of(cls, weights: PartWeights, frames: Sequence[Frame], force_scale: float) -> "PartTerms":
        """Measure the forces on the parts of training frames; ``force_scale`` is that of all atoms, eV/Å."""
        squares = [
            rigid_body(forces, BatchParts.of(frame.system)).square().mean()
            for frame in frames
            if frame.system.fragment is not None and (forces := frame.labels.forces) is not None
        ]
        known = torch.stack(squares).double() if squares else torch.zeros(0, dtype=torch.float64)
        known = known[known.isfinite()]
        size = float(known.mean().sqrt()) if len(known) else 0.0
        return cls(weights.charges, weights.forces, max(size, SMALLEST * force_scale))

    @property
    def weights(self) -> dict[str, float]:
        """By the name of each term."""
        return {CHARGES: self.charges, FORCES: self.forces}

    def errors(self, prediction: Prediction, labels: Labels, system: System) -> dict[str, Tensor]:
        """Errors of either, the latter in units of their scale; those of systems of one part are none."""
        if system.fragment is None:
            return {}
        parts, found = BatchParts.of(system), {}
        if self.charges and prediction.charges is not None:
            found[CHARGES] = (parts.sum(prediction.charges) - parts.charges)[parts.known]
        if self.forces and prediction.forces is not None and labels.forces is not None:
            wrong = rigid_body(prediction.forces - labels.forces, parts)[parts.known]
            found[FORCES] = wrong[wrong.isfinite()] / self.force_scale
        return found


@dataclass(frozen=True)
class BatchParts:
    """The parts of a batch, counted through; a system without any is one, and nothing is known of it."""

    index: Tensor  # (atoms,)
    charges: Tensor  # (parts,), e
    known: Tensor  # (parts,) bool
    positions: Tensor  # (atoms, 3), Å

    @classmethod
    def of(cls, system: System) -> "BatchParts":
        """Find the parts that ``fragment`` and ``fragment_charges`` name."""
        index, charges = fragments_of(system)
        known = torch.zeros_like(charges, dtype=torch.bool)
        if system.fragment_charges is not None:
            known[index] = ~system.fragment_charges.isnan().all(1)[system.system_index]
        return cls(index, charges, known, _unwrapped(system, index))

    def sum(self, values: Tensor) -> Tensor:
        """Sum atom values ``(atoms, ...)`` into ``(parts, ...)``."""
        return values.new_zeros(len(self.charges), *values.shape[1:]).index_add(0, self.index, values)


def _unwrapped(system: System, index: Tensor) -> Tensor:
    """Positions ``(atoms, 3)`` of every part about its first atom, by the nearest of its images."""
    positions = system.positions.detach()
    if not bool(system.periodic.any()):
        return positions
    atoms = torch.arange(len(index), device=index.device)
    first = torch.full((int(index.max()) + 1,), len(index), device=index.device).scatter_reduce(0, index, atoms, "amin")
    origin = positions[first[index]]
    lattice = torch.where(system.periodic.unsqueeze(2), system.cell.detach(), 0.0)[system.system_index]
    return origin + nearest_to_origin(positions - origin, lattice)


def rigid_body(forces: Tensor, parts: BatchParts) -> Tensor:
    """Force on every part, and torque about its centre over its radius ``(parts, 6)``, eV/Å, of ``forces`` on atoms."""
    positions = parts.positions.to(forces)
    count = parts.sum(torch.ones_like(forces[:, 0]))
    arm = positions - (parts.sum(positions) / count[:, None])[parts.index]
    radius = (parts.sum(arm.square().sum(1)) / count).sqrt().clamp_min(0.5)  # Å; of an atom alone there is no torque
    torque = parts.sum(torch.linalg.cross(arm, forces))
    return torch.cat([parts.sum(forces), torque / radius[:, None]], dim=1)
