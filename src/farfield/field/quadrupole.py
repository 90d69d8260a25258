"""Quadrupoles of molecules: of charges, dipoles and quadrupoles of atoms where they sit.

Buckingham's Θ = ½ Σ q (3 r⊗r - r²) (Adv. Chem. Phys. 12, 107 (1967)). A dipole μ at r has 3/2 (r⊗μ + μ⊗r) - r·μ: what
its two charges have. It depends on the origin unless charge and dipole are zero; labels and predictions are about the
centre of mass, and so do not change as a molecule is moved.
"""

import torch
from ase.data import atomic_masses
from torch import Tensor

from farfield.system import System, per_system


def quadrupole_of(
    system: System,
    charges: Tensor,  # (atoms,), e
    dipoles: Tensor | None = None,  # (atoms, 3), e·Å, beside them
    quadrupoles: Tensor | None = None,  # (atoms, 3, 3), e·Å², beside both
) -> Tensor:  # (systems, 3, 3), e·Å²
    """Sum up the quadrupole of every system about its centre of mass; nan where it is periodic."""
    mass = torch.from_numpy(atomic_masses).to(system.positions)[system.numbers].unsqueeze(1)
    centre = per_system(mass * system.positions, system) / per_system(mass, system)
    r = system.positions - centre[system.system_index]
    moment = 1.5 * charges.to(r)[:, None, None] * r.unsqueeze(2) * r.unsqueeze(1)
    if dipoles is not None:
        half = 1.5 * r.unsqueeze(2) * dipoles.to(r).unsqueeze(1)
        moment = moment + half + half.transpose(1, 2)
    trace = moment.diagonal(dim1=1, dim2=2).sum(1)
    moment = moment - trace[:, None, None] / 3 * torch.eye(3, dtype=r.dtype, device=r.device)
    total = per_system(moment if quadrupoles is None else moment + quadrupoles.to(r), system)
    return torch.where(system.periodic.any(1)[:, None, None], torch.nan, total)
