"""Dipoles of charges."""

import torch
from torch import Tensor

from farfield.system import System, per_system


def molecular_dipole(charges: Tensor, system: System) -> Tensor:
    """Dipole ``(systems, 3)`` of molecules about the origin, e·Å; nan where the system is periodic."""
    dipole = per_system(charges[:, None] * system.positions, system)
    return torch.where(system.periodic.any(1, keepdim=True), torch.nan, dipole)
