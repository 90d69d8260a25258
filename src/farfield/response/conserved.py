"""Which atoms share a total charge: all of a system, or its fragments one by one; or none, beside a reservoir."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farfield.system import System


@dataclass(frozen=True)
class Conserved:
    """Groups of atoms that keep their total charge; no group spans two systems."""

    group: Tensor  # (atoms,) int64
    total: Tensor  # (groups,) e
    held: Tensor  # (groups,) bool; the others take what charge they like

    @classmethod
    def of(cls, system: System) -> "Conserved":
        """Every system its own charge, but for those with a Fermi level."""
        level = system.fermi_level
        held = torch.ones_like(system.spin, dtype=torch.bool) if level is None else level.isnan()
        return cls(system.system_index, system.charge, held)

    def at(self, total: Tensor) -> "Conserved":
        """The same with other totals."""
        return replace(self, total=total)

    @property
    def held_atoms(self) -> Tensor:
        """Whose group keeps its charge ``(atoms,)``."""
        return self.held[self.group]

    def sums(self, values: Tensor) -> Tensor:
        """Of atoms ``(atoms,)`` over each group ``(groups,)``."""
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
