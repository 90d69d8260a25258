"""Atoms brought home before they are rounded: at 1,700 Å float32 tells places 10⁻⁴ Å apart, at home 10⁻⁷ Å.

    r = r' + S,  S_i = n_i·A + c

n_i are whole numbers of lattice vectors A along periodic axes, for every atom those that bring it nearest to the
origin; c is the centroid across these axes, one for all atoms of a system. A pair from i to the image s·A of j is one
to s' = s + n_j - n_i. Energies, forces, stress, charges and their slopes do not change by that. What does, is the
dipole: with z_i the charge that goes with an atom (q_i where d = Σ q R, its formal charge where charge moves along
bonds), and Σ z the total charge Q,

    d = d' + Σ z_i n_i·A + Q c

and F = E - d·E with it. At a Fermi level, which counts from the potential at the origin, it is E_F' = E_F - E·c that
the charges see at r', and c then is in the energy already.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from farfield.geometry.wrapping import nearest_to_origin
from farfield.system import NeighborList, System, per_system


@dataclass(frozen=True)
class Home:
    """A system in the type asked for, brought home if that has fewer digits, and where its atoms were."""

    system: System  # r'
    wrapped: Tensor | None = None  # (atoms, 3), n·A, Å; None, as the next, where nothing was moved
    centre: Tensor | None = None  # (systems, 3), c, Å

    @classmethod
    def of(cls, system: System, dtype: torch.dtype, *, keep_origin: bool = False) -> "Home":
        """``system`` in a type, differentiable; ``keep_origin`` leaves c away at a Fermi level.

        Charge comes and goes there, and how the dipole answers to a field or to moved atoms depends on the origin.
        """
        if system.positions.dtype == dtype:
            return cls(system)
        if torch.finfo(dtype).eps < torch.finfo(system.positions.dtype).eps:
            return cls(system.to(dtype=dtype))
        index, lattice = system.system_index, torch.where(system.periodic.unsqueeze(2), system.cell, 0.0)
        with torch.no_grad():
            whole, centre = _whole(system, lattice)
            if keep_origin and system.fermi_level is not None:
                centre = torch.where(system.fermi_level.isnan().unsqueeze(1), centre, 0.0)
        wrapped = torch.einsum("na,nab->nb", whole, lattice[index])
        moved: dict[str, Any] = {"positions": system.positions - wrapped - centre[index]}
        if (outside := system.external_charges) is not None:
            own = lattice[outside.system_index]
            moved["external_charges"] = outside.with_positions(
                nearest_to_origin(outside.positions - centre[outside.system_index], own)
            )
        if (points := system.potential_points) is not None:
            moved["potential_points"] = points.with_positions(points.positions - centre[points.system_index])
        if system.neighbors is not None:
            moved["neighbors"] = _listed(system.neighbors, whole)
        if system.fermi_level is not None and system.external_field is not None:
            moved["fermi_level"] = system.fermi_level - (system.external_field * centre).sum(1)
        return cls(replace(system, **moved).to(dtype=dtype), wrapped, centre)


def _whole(system: System, lattice: Tensor) -> tuple[Tensor, Tensor]:
    """The n ``(atoms, 3)`` and c ``(systems, 3)`` of the formula."""
    index, lattice = system.system_index, lattice.nan_to_num(0.0, 0.0, 0.0)  # who searches pairs will complain
    fractional = torch.einsum("na,nab->nb", system.positions, torch.linalg.pinv(lattice)[index])
    across = system.positions - torch.einsum("na,nab->nb", fractional, lattice[index])
    crystal = system.periodic.all(1, keepdim=True)
    centre = per_system(across, system) / system.atoms_per_system.clamp_min(1).unsqueeze(1)
    return fractional.round(), torch.where(crystal, 0.0, centre)


def _listed(known: NeighborList, whole: Tensor) -> NeighborList:
    """Correct the shifts of listed pairs for atoms that moved by lattice vectors: same pairs, same order."""
    if not bool(whole.any()):
        return known
    change = whole.index_select(0, known.j) - whole.index_select(0, known.i)
    return replace(known, shift=known.shift + change.to(known.shift))
