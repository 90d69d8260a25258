"""Flat rows of a batch, and the same as one dense block per system."""

from dataclasses import dataclass

import torch
from torch import Tensor

from farfield.system import System


@dataclass(frozen=True)
class Padding:
    """Places of the rows of a flat batch in ``(systems, longest)``."""

    slots: Tensor  # (rows,) into the flattened block
    systems: int
    longest: int
    even: bool  # every system has the same number of rows: padding is a view

    @classmethod
    def of(cls, system: System) -> "Padding":
        """The padding of a system's atoms."""
        index, count = system.system_index, system.n_atoms
        if system.n_systems == 1:
            return cls(torch.arange(count, device=index.device), 1, count, True)
        sizes = system.atoms_per_system
        longest = int(sizes.max())
        rows = torch.arange(count, device=index.device)
        first = torch.cumsum(sizes, 0) - sizes
        return cls(rows + (index * longest - first[index]), len(sizes), longest, count == longest * len(sizes))

    def pad(self, rows: Tensor) -> Tensor:
        """``(rows, ...)`` to ``(systems, longest, ...)``, zeros in the gaps; differentiable."""
        shape = (self.systems, self.longest, *rows.shape[1:])
        if self.even:
            return rows.reshape(shape)
        block = rows.new_zeros(self.systems * self.longest, *rows.shape[1:])
        return block.index_copy(0, self.slots, rows).reshape(shape)

    def unpad(self, block: Tensor) -> Tensor:
        """``(systems, longest, ...)`` back to ``(rows, ...)``; differentiable."""
        flat = block.flatten(0, 1)
        return flat if self.even else flat.index_select(0, self.slots)

    def mask(self) -> Tensor:
        """``(systems, longest)``, True where a row stands."""
        real = torch.zeros(self.systems * self.longest, dtype=torch.bool, device=self.slots.device)
        real[self.slots] = True
        return real.reshape(self.systems, self.longest)


def plus_diagonal(block: Tensor, values: Tensor) -> Tensor:
    """``block`` (systems, n, n), which may be written to, with ``values`` (systems, n) added to its diagonal."""
    if block.requires_grad or values.requires_grad:
        return block + torch.diag_embed(values)
    block.diagonal(dim1=1, dim2=2).add_(values)
    return block
