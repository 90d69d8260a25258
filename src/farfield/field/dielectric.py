"""Dielectric tensors of crystals."""

import math

import torch
from torch import Tensor

from farfield.system import System
from farfield.units import COULOMB


def dielectric_tensor(polarizability: Tensor, system: System) -> Tensor:
    """ε∞ = 1 + 4πK α/V ``(systems, 3, 3)`` at fixed atoms, nan for what is no crystal.

    ``polarizability`` ``(systems, 3, 3)``, e²·Å²/V, is that of the cell in a macroscopic field; where charges do not
    answer to a field it is 0.
    """
    crystal = system.periodic.all(1)[:, None, None]
    volume = torch.where(crystal, system.volume()[:, None, None], 1.0)
    one = torch.eye(3, dtype=polarizability.dtype, device=polarizability.device)
    return torch.where(crystal, one + 4 * math.pi * COULOMB * polarizability / volume, torch.nan)
