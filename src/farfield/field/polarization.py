"""The polarization of crystals, P = d/V, known modulo e a/V: King-Smith and Vanderbilt, PRB 47, 1651 (1993)."""

import torch
from torch import Tensor

from farfield.system import System


def polarization_of(dipole: Tensor, system: System) -> Tensor:
    """d/V ``(systems, 3)`` in e/Å² of cells with the dipole ``(systems, 3)``, e·Å; nan for what is no crystal."""
    crystal = system.periodic.all(1, keepdim=True)
    volume = torch.where(crystal, system.volume().unsqueeze(1), 1.0)
    return torch.where(crystal, dipole / volume, torch.nan)


def polarization_quantum(system: System) -> Tensor:
    """Rows e a/V ``(systems, 3, 3)`` in e/Å², of which any whole number can be added to a crystal's polarization.

    Of what is no crystal 1: to be looked at for crystals only.
    """
    crystal = system.periodic.all(1)[:, None, None]
    cell = torch.where(crystal, system.cell, torch.eye(3, dtype=system.cell.dtype, device=system.cell.device))
    quantum: Tensor = cell / torch.linalg.det(cell).abs()[:, None, None]
    return quantum


def nearest_branch(polarization: Tensor, other: Tensor, system: System) -> Tensor:
    """``polarization`` and as many quanta as bring it nearest to ``other``, both ``(systems, 3)``; differentiable.

    The nearest in lattice coordinates: each differs by half a quantum at most.
    """
    difference = (polarization - other).detach()
    quantum = polarization_quantum(system).to(difference)
    quanta = torch.linalg.solve(quantum.transpose(1, 2), difference).round()
    return polarization - torch.einsum("sk,ska->sa", quanta, quantum)
