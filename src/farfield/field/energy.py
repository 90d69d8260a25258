"""A uniform field E: F(E) = E(R) - d·E, and what periodicity makes of it."""

import torch
from torch import Tensor

from farfield.errors import InputError
from farfield.system import System


def field_energy(dipole: Tensor, field: Tensor | None) -> Tensor:
    """-d·E ``(systems,)`` in eV, of dipoles ``(systems, 3)``, e·Å, in fields ``(systems, 3)``, V/Å; 0 without one."""
    return dipole.new_zeros(len(dipole)) if field is None else -(dipole * field).sum(1)


def field_across(system: System) -> Tensor:
    """The part of the field ``(systems, 3)``, V/Å, across all periodic lattice vectors: it has a potential -E·R.

    All of it in a molecule, that along the normal in a slab, none in a crystal.
    """
    if system.external_field is None:
        return system.cell.new_zeros(system.n_systems, 3)
    lattice = torch.where(system.periodic.unsqueeze(2), system.cell.detach(), 0.0)
    across = torch.eye(3, dtype=lattice.dtype, device=lattice.device) - torch.linalg.pinv(lattice) @ lattice
    part = torch.einsum("sab,sb->sa", across, system.external_field)
    return torch.where(system.periodic.all(1, keepdim=True), 0.0, part)


def along_lattice(system: System) -> Tensor:
    """Mark the systems ``(systems,)`` in a field with a component along a periodic lattice vector."""
    if system.external_field is None:
        return torch.zeros_like(system.periodic[:, 0])
    field, cell = system.external_field.detach(), system.cell.detach()
    voltage = torch.einsum("ska,sa->sk", cell, field).abs()
    rounding = 16 * torch.finfo(cell.dtype).eps * cell.norm(dim=2) * field.norm(dim=1, keepdim=True)
    pulled: Tensor = (system.periodic & (voltage > rounding)).any(1)
    return pulled


def refuse_stress(system: System, where: str = "") -> None:
    """Stress of crystals in a field, where no polarization is single-valued.

    Raises:
        InputError: there is such a crystal.
    """
    wrong = along_lattice(system) & system.periodic.all(1)
    if wrong.any():
        raise InputError(
            f"{where}structure {int(wrong.nonzero()[0])} is a crystal in a field, and charges that flow between its "
            "cells leave it without a polarization of one value and without a stress: do without (stress: null), or "
            "train charges or latent with conservation: bond or fixed, or qeq with transfer: split_charge"
        )
