"""Pairs that do not interact in full: exclusions, and the damping of close multipoles (Thole).

The sums take every pair as it is; what a listed pair's interaction is short of it, Σ_n (λ_n - 1) B_n G_n with the bare
radial functions B_n and the contractions G_n of pair_tensors.py, is added here. λ = 0 excludes a pair. One λ_n per
order damps as Thole does: Gaussian widths belong to B_n, λ_n to the pair.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farfield.coulomb.functions.pair_tensors import pair_energies
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.pairs import bare_kernels
from farfield.errors import InputError
from farfield.units import COULOMB


@dataclass(frozen=True)
class PairScaling:
    """Factors of the interactions of some pairs, each listed once.

    Args:
        i: ``(pairs,)`` int64, sources of the batch.
        j: ``(pairs,)`` int64, in the same systems.
        scale: ``(pairs,)``, or ``(pairs, orders)`` with a column λ_n for every B_n: one for charges, three with
            dipoles, five with quadrupoles. Or a function of r² ``(pairs,)`` in Å² that returns either; forces are
            derivatives of it too.
        shift: ``(pairs, 3)`` lattice vectors added to j; None for none.

    Raises:
        InputError: shapes that do not fit, factors that are not finite, a source paired with itself, a pair that is
            listed twice.
    """

    i: Tensor
    j: Tensor
    scale: Tensor | Callable[[Tensor], Tensor]
    shift: Tensor | None = None

    def __post_init__(self) -> None:
        for name, index in (("i", self.i), ("j", self.j)):
            if not isinstance(index, Tensor):
                raise InputError(f"PairScaling.{name} should be a torch tensor, not {type(index).__name__}")
        if not isinstance(self.scale, Tensor) and not callable(self.scale):
            raise InputError(
                f"PairScaling.scale should be a tensor or a function of r², not {self.scale!r}: "
                "torch.full((len(i),), …) for one number"
            )
        count = len(self.i)
        for name, value, shape in (("i", self.i, (count,)), ("j", self.j, (count,)), ("shift", self.shift, (count, 3))):
            if value is not None and tuple(value.shape) != shape:
                raise InputError(f"PairScaling.{name} has shape {tuple(value.shape)}, expected {shape}")
        if isinstance(self.scale, Tensor):
            _refuse_wrong(self.scale, count)
        same = self.i == self.j if self.shift is None else (self.i == self.j) & (self.shift == 0).all(1)
        if same.any():
            raise InputError(f"PairScaling has source {int(self.i[same][0])} paired with itself")
        _refuse_twice(self.i, self.j, self.shift)

    def reordered(self, order: Tensor) -> "PairScaling":
        """Follow sources that were sorted by ``order``."""
        number = torch.argsort(order)
        return replace(self, i=number[self.i], j=number[self.j])


def energy(placed: PlacedSources, scaling: PairScaling) -> Tensor:
    """Sum what to add ``(systems, channels)``, in eV; differentiable.

    Raises:
        InputError: sources that are not there or in different systems, too few factors.
    """
    moments, (vector, kernels) = placed.moments, missing(placed, scaling)
    energies = pair_energies(moments.at(scaling.i), moments.at(scaling.j), vector, kernels)
    total = energies.new_zeros(placed.system.n_systems, energies.shape[1])
    return COULOMB * total.index_add(0, placed.system.system_index[scaling.i], energies)


def missing(placed: PlacedSources, scaling: PairScaling) -> tuple[Tensor, list[Tensor]]:
    """Vectors r_j - r_i ``(pairs, 3)``, and (λ_n - 1) B_n ``(pairs,)`` of every order; differentiable.

    Raises:
        InputError: sources that are not there or in different systems, too few factors.
    """
    system, i, j = placed.system, scaling.i, scaling.j
    _refuse_strangers(placed, scaling)
    vector = system.positions.index_select(0, j) - system.positions.index_select(0, i)
    if scaling.shift is not None:
        vector = vector + torch.einsum("pa,pab->pb", scaling.shift.to(vector), system.cell[system.system_index[i]])
    squared = torch.linalg.vecdot(vector, vector)
    scale = scaling.scale if isinstance(scaling.scale, Tensor) else scaling.scale(squared)
    orders = 2 * placed.moments.rank + 1
    _refuse_wrong(scale, len(i), orders)
    short = (scale.to(vector).unsqueeze(1) if scale.ndim == 1 else scale.to(vector)) - 1
    columns = short.expand(-1, orders) if scale.ndim == 1 else short
    return vector, [columns[:, n] * b for n, b in enumerate(bare_kernels(placed, squared, i, j))]


def _refuse_twice(i: Tensor, j: Tensor, shift: Tensor | None) -> None:
    images = torch.zeros(len(i), 3, dtype=torch.long, device=i.device) if shift is None else shift.round().long()
    forward = torch.cat([i[:, None], j[:, None], images], 1)
    backward = torch.cat([j[:, None], i[:, None], -images], 1)
    # of the two ways to write a pair the one that is first in lexical order
    unlike = forward != backward
    first = unlike.int().argmax(1, keepdim=True)
    ahead = forward.gather(1, first) <= backward.gather(1, first)
    written, count = torch.unique(torch.where(ahead, forward, backward), dim=0, return_counts=True)
    if (count > 1).any():
        pair = written[count > 1][0].tolist()
        raise InputError(f"PairScaling lists the pair {pair[0]}, {pair[1]} (shift {pair[2:]}) more than once")


def _refuse_strangers(placed: PlacedSources, scaling: PairScaling) -> None:
    last, index = len(placed.charges) - 1, placed.system.system_index
    if not len(scaling.i):
        return
    for name, row in (("i", scaling.i), ("j", scaling.j)):
        if int(row.min()) < 0 or int(row.max()) > last:
            raise InputError(f"PairScaling.{name} must lie in 0 to {last}, got {int(row.min())} to {int(row.max())}")
    apart = index[scaling.i] != index[scaling.j]
    if apart.any():
        k = int(apart.nonzero()[0])
        raise InputError(f"PairScaling pairs sources {int(scaling.i[k])} and {int(scaling.j[k])} of different systems")


def _refuse_wrong(scale: Tensor, count: int, orders: int = 1) -> None:
    fits = tuple(scale.shape) == (count,) or (scale.ndim == 2 and len(scale) == count and scale.shape[1] >= orders)
    if not fits:
        raise InputError(
            f"PairScaling.scale has shape {tuple(scale.shape)}, expected ({count},) or ({count}, {orders} or more)"
        )
    if not torch.isfinite(scale.detach()).all():
        raise InputError("PairScaling.scale has values that are not finite")
