"""Gaussians of charge, dipole and quadrupole by themselves: K [q²/(2√πσ) + μ²/(12√πσ³) + Θ:Θ/(180√πσ⁵)]."""

import math

import torch
from torch import Tensor

from farfield.coulomb.functions.multipoles import Moments
from farfield.units import COULOMB


def gaussian_self_hardness(widths: Tensor) -> Tensor:
    """Evaluate d²E/dq² of a Gaussian with itself, K/(√π σ) ``(sources,)`` in V/e; 0 for points."""
    point = widths <= 0
    return torch.where(point, 0.0, COULOMB / (math.sqrt(math.pi) * torch.where(point, 1.0, widths)))


def gaussian_dipole_self_hardness(widths: Tensor) -> Tensor:
    """Evaluate d²E/dμ² of a Gaussian dipole with itself, K/(6√π σ³) ``(sources,)`` in V/(e·Å²); 0 for points."""
    return gaussian_self_hardness(widths) / (6 * torch.where(widths <= 0, 1.0, widths).square())


def gaussian_self_energy(moments: Moments, widths: Tensor) -> Tensor:
    """Energy of each Gaussian dipole and quadrupole with itself ``(sources, channels)`` in eV; 0 for points."""
    point = widths <= 0
    return COULOMB * moments.self_energy(torch.where(point, 0.0, 0.5 / torch.where(point, 1.0, widths)))
