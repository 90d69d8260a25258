"""The fragments of a batch as ``equilibrate`` takes them, counted through; a system without any is one."""

import torch
from torch import Tensor

from farfield.errors import InputError
from farfield.system import System


def fragments_of(system: System) -> tuple[Tensor, Tensor]:
    """Number the fragment of each atom ``(atoms,)``, and list the charge of each fragment ``(fragments,)`` in e.

    Raises:
        InputError: an atom of a fragment without a charge, or of a negative number.
    """
    if system.fragment is None or system.fragment_charges is None:
        return system.system_index, system.charge
    bare = system.fragment_charges.isnan().all(1)
    charges = system.fragment_charges.clone()
    charges[:, 0] = torch.where(bare, system.charge, charges[:, 0])
    there = ~charges.isnan().reshape(-1)
    local = torch.where(bare[system.system_index], 0, system.fragment)
    known = (local >= 0) & (local < charges.shape[1])
    place = system.system_index * charges.shape[1] + torch.where(known, local, 0)
    if (lost := ~(known & there[place])).any():
        atom = int(lost.nonzero()[0])
        raise InputError(f"atom {atom} of the batch belongs to fragment {int(local[atom])}, which has no charge")
    number = torch.cumsum(there, 0) - 1
    return number[place], charges.reshape(-1)[there]
