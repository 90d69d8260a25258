"""Answers of the parts of a batch, joined to those of the whole."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.methods import Part, join
from farfield.coulomb.plan.plan import AnyPlan
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.linear_map import LinearMap, Operator
from farfield.coulomb.terms.term import PotentialAndField, Sum, Term


class Piece(NamedTuple):
    """A part of a batch, how it was planned, and its terms."""

    part: Part
    plan: AnyPlan
    sum: Sum


class Joined(Term):
    """A batch as one term."""

    def __init__(self, placed: PlacedSources, pieces: Sequence[Piece]) -> None:
        self.placed, self.pieces = placed, pieces

    def energy(self) -> Tensor:
        """Join the energies, in the precision of the charges."""
        dtype = self.placed.charges.dtype
        return self._of_systems([piece.sum.energy().to(dtype) for piece in self.pieces])

    def potential_and_field(self) -> PotentialAndField:
        """Join potentials, fields and virials."""
        found = [piece.sum.potential_and_field() for piece in self.pieces]
        fields = [one.field for one in found if one.field is not None]
        return PotentialAndField(
            self._of_sources([one.potential for one in found]),
            self._of_sources(fields) if fields else None,
            self._of_systems([one.virial for one in found]),
        )

    def operator(self) -> Operator:
        """Join the maps of charges."""
        return self._apart([piece.sum.operator() for piece in self.pieces])

    def interaction(self) -> LinearMap:
        """Join the maps of charges and dipoles."""
        maps = [piece.sum.interaction() for piece in self.pieces]
        written = [one.dipoles for one in maps if one.dipoles is not None]

        def dipoles(padding: Padding) -> Tensor:
            blocks = [write(local) for write, local in zip(written, self._paddings())]
            return self._of_systems([_enlarged(one, padding, (1, 3)) for one in blocks])

        return LinearMap(self._apart([one.apply for one in maps]), dipoles if len(written) == len(maps) else None)

    def potential_at(self, points: PlacedSources) -> Tensor:
        """Join the potentials, each at the points of its systems."""
        if self._whole:
            return self.pieces[0].sum.potential_at(points)
        values = points.charges.new_zeros(len(points.charges), self.placed.charges.shape[1])
        for piece in self.pieces:
            some, places = points.part(piece.part.systems)
            values = values.index_copy(0, places, piece.sum.potential_at(some))
        return values

    def matrix(self, padding: Padding) -> Tensor:
        """Join the matrices, in the precision of the charges."""
        dtype = self.placed.charges.dtype
        blocks = [piece.sum.matrix(local).to(dtype) for piece, local in zip(self.pieces, self._paddings())]
        return self._of_systems([_enlarged(one, padding, (1, 2)) for one in blocks])

    def error(self) -> Tensor:
        """Join the errors that were planned for ``(systems,)``, relative to the scale of forces."""
        like = self.placed.system.positions
        return self._of_systems([like.new_zeros(len(part.systems)) + plan.error for part, plan, _ in self.pieces])

    @property
    def _whole(self) -> bool:
        return len(self.pieces) == 1 and self.pieces[0].part.whole

    def _of_systems(self, values: list[Tensor]) -> Tensor:
        pieces = [(piece.part, value) for piece, value in zip(self.pieces, values)]
        return join(pieces, self.placed.system.n_systems, lambda part: part.systems)

    def _of_sources(self, values: list[Tensor]) -> Tensor:
        pieces = [(piece.part, value) for piece, value in zip(self.pieces, values)]
        return join(pieces, self.placed.system.n_atoms, lambda part: part.places)

    def _apart(self, maps: list[Operator]) -> Operator:
        """Apply each map to the rows of its part."""
        if self._whole:
            return maps[0]
        rows = [piece.part.places for piece in self.pieces]
        return lambda values: self._of_sources([apply(values[some]) for apply, some in zip(maps, rows)])

    def _paddings(self) -> Iterator[Padding]:
        return (Padding.of(piece.part.placed.system) for piece in self.pieces)


def _enlarged(block: Tensor, padding: Padding, axes: tuple[int, int]) -> Tensor:
    """Fill two axes of a part's block up with zeros to the longest of the batch."""
    missing = padding.longest - block.shape[1]
    if not missing:
        return block
    ends = [missing if axis in axes else 0 for axis in reversed(range(block.ndim))]
    return torch.nn.functional.pad(block, [x for end in ends for x in (0, end)])
