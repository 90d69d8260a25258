"""Dielectric tensors of crystals."""

import math

import torch
from torch import Tensor

from farfield.system import System
from farfield.units import COULOMB


def dielectric_tensor(system: System, polarizability: Tensor | None = None) -> Tensor:
    """ε∞ = 1 + 4πK α/V ``(systems, 3, 3)`` at fixed atoms, nan for what is no crystal.

    ``polarizability`` ``(systems, 3, 3)`` is that of the cell in a macroscopic field, e²·Å²/V; without one nothing but
    atoms answers to a field, and ε∞ is 1.
    """
    crystal = system.periodic.all(1)[:, None, None]
    one = torch.eye(3, dtype=system.cell.dtype, device=system.cell.device).expand_as(system.cell)
    if polarizability is None:
        return torch.where(crystal, one, torch.nan)
    volume = torch.where(crystal, system.volume()[:, None, None], 1.0)
    return torch.where(crystal, one + 4 * math.pi * COULOMB * polarizability / volume, torch.nan)
