"""Pairs as a linear map of charges and dipoles to dE/d(q, μ), and the dipoles' part of it written down."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from farfield.compiled import has_loops
from farfield.coulomb.padding import Padding
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.dipole_pairs import Blocks, DipolePairs, of_pairs
from farfield.coulomb.sums.pairs import HalfPairs, rates_of

Operator = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class LinearMap:
    """Map of columns (q, μ) ``(sources, 4, channels)`` to dE/d(q, μ), and the part of it that is dipoles' alone."""

    apply: Operator
    dipoles: Callable[[Padding], Tensor] | None  # (systems, longest, 3, longest, 3); None where it is not written down

    def __call__(self, columns: Tensor) -> Tensor:
        """Apply the map."""
        return self.apply(columns)


def map_of_pairs(placed: PlacedSources, pairs: HalfPairs, split: Tensor, blocks: Blocks) -> LinearMap:
    """Prepare the map of pairs, compiled where it can be."""
    i, j, widths = pairs.i, pairs.j, placed.widths
    if not has_loops(pairs.vector):
        return written_map(i, j, blocks(pairs.vector))
    rate = torch.full_like(split, torch.inf)
    if widths is not None:
        rate = rates_of(widths, i, j)
    found = DipolePairs.of(i, j, pairs.vector, rate, split, blocks)
    if widths is None or not widths.requires_grad:
        return LinearMap(
            lambda columns: found.potentials(pairs.vector, columns),
            lambda padding: _dipoles(i, j, blocks(pairs.vector), padding),
        )
    written = written_map(i, j, blocks(pairs.vector))  # differentiable by the widths, too

    def potentials(columns: Tensor) -> Tensor:
        return written(columns) if torch.is_grad_enabled() else found.potentials(pairs.vector, columns)

    return LinearMap(potentials, written.dipoles)


def written_map(i: Tensor, j: Tensor, blocks: Tensor) -> LinearMap:
    """Prepare the map of pairs whose blocks W ``(pairs, 4, 4)`` are written down."""
    return LinearMap(of_pairs(i, j, blocks), lambda padding: _dipoles(i, j, blocks, padding))


def _dipoles(i: Tensor, j: Tensor, blocks: Tensor, padding: Padding) -> Tensor:
    """The dipoles' part of the blocks ``(systems, longest, 3, longest, 3)``."""
    n, inner = padding.longest, blocks[:, 1:, 1:]
    row, column = padding.slots[i], padding.slots[j]
    flat = inner.new_zeros(padding.systems * n * n, 3, 3)
    flat = flat.index_add(0, row * n + column % n, inner)
    flat = flat.index_add(0, column * n + row % n, inner.transpose(1, 2))
    return flat.reshape(-1, n, n, 3, 3).transpose(2, 3)
