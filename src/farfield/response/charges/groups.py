"""Groups of atoms that share a total charge: all of a system, or of each fragment; or none, beside a reservoir."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farfield.errors import InputError
from farfield.system import System

SAME = 1e-4
"""e; as much as single precision may lose of a sum."""


@dataclass(frozen=True)
class ChargeGroups:
    """Groups of atoms that keep their total charge; no group spans two systems."""

    group: Tensor  # (atoms,) int64
    total: Tensor  # (groups,) e
    held: Tensor  # (groups,) bool; the others take what charge they like

    @classmethod
    def of(cls, system: System) -> "ChargeGroups":
        """Every system its own charge, but for those with a Fermi level."""
        fermi = system.fermi_level
        held = torch.ones_like(system.spin, dtype=torch.bool) if fermi is None else fermi.isnan()
        return cls(system.system_index, system.charge, held)

    @classmethod
    def of_fragments(cls, system: System, fragments: Tensor, charges: Tensor) -> "ChargeGroups":
        """Every fragment its own of ``charges`` (fragments,) e; ``fragments`` (atoms,) says whose each atom is.

        Raises:
            InputError: an index that does not fit, a fragment of two systems or of no atoms, charges that do not add up
                to those of the systems, a system with a Fermi level.
        """
        _check(system, fragments, charges)
        return cls(fragments.long(), charges, torch.ones_like(charges, dtype=torch.bool))

    def at(self, total: Tensor) -> "ChargeGroups":
        """Replace the totals."""
        return replace(self, total=total)

    @property
    def held_atoms(self) -> Tensor:
        """Mark the atoms ``(atoms,)`` whose group keeps its charge."""
        return self.held[self.group]

    def sums(self, values: Tensor) -> Tensor:
        """Sum values of atoms ``(atoms,)`` over each group ``(groups,)``."""
        if len(self.total) == 1:
            return values.sum(0, keepdim=True)
        return values.new_zeros(len(self.total)).index_add(0, self.group, values)

    def spread(self, amounts: Tensor) -> Tensor:
        """Amounts ``(groups,)`` evenly over the atoms ``(atoms,)`` of groups that are held; nothing to the others."""
        share = torch.where(self.held, amounts, 0.0) / self.sizes
        return share[self.group] if len(share) > 1 else share.expand(len(self.group))

    def without_mean(self, values: Tensor) -> Tensor:
        """Less the mean of each group that is held: what is left of potentials that can move charge."""
        return values - self.spread(self.sums(values))

    @property
    def sizes(self) -> Tensor:
        """Atoms of each group, in the type of the totals; one at least."""
        counts = torch.bincount(self.group, minlength=len(self.total)).clamp_min(1)
        return counts.to(self.total.dtype)


def _check(system: System, fragments: Tensor, charges: Tensor) -> None:
    whole = not (fragments.is_floating_point() or fragments.is_complex() or fragments.dtype == torch.bool)
    if tuple(fragments.shape) != (system.n_atoms,) or not whole or charges.ndim != 1:
        raise InputError(
            f"fragments should be ({system.n_atoms},) integers and fragment_charges one number a fragment; their shapes"
            f" are {tuple(fragments.shape)} ({fragments.dtype}) and {tuple(charges.shape)}"
        )
    if system.fermi_level is not None and not bool(system.fermi_level.isnan().all()):
        raise InputError("fragments keep their charges, a Fermi level frees the total: give one of the two")
    count = len(charges)
    if len(fragments) and (int(fragments.min()) < 0 or int(fragments.max()) >= count):
        raise InputError(
            f"fragments must lie in 0 to {count - 1}, as there are {count} fragment_charges; they lie in "
            f"{int(fragments.min())} to {int(fragments.max())}"
        )
    owner = system.system_index
    first, last = (
        torch.full((count,), fill, device=owner.device).scatter_reduce(0, fragments.long(), owner, how)
        for fill, how in ((system.n_systems, "amin"), (-1, "amax"))
    )
    if (wrong := last < 0).any():
        raise InputError(f"fragment {int(wrong.nonzero()[0])} has a charge but no atoms")
    if (wrong := first != last).any():
        k = int(wrong.nonzero()[0])
        raise InputError(f"fragment {k} has atoms of the structures {int(first[k])} and {int(last[k])} of the batch")
    total = torch.zeros_like(system.charge).index_add(0, first, charges.detach().to(system.charge))
    if (wrong := ~((total - system.charge.detach()).abs() <= SAME)).any():
        k = int(wrong.nonzero()[0])
        raise InputError(
            f"structure {k}: its fragment_charges add up to {float(total[k]):+g} e, its total charge is "
            f"{float(system.charge[k]):+g} e"
        )
