"""Terms that a Coulomb sum consists of, each of which answers every question that is asked of the whole.

In e and Å: energies in e²/Å, potentials in e/Å, fields in e/Å². Who asks multiplies with K, once for all terms.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TypeVar

import torch
from torch import Tensor

from farfield.coulomb.padding import Padding
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.linear_map import LinearMap, Operator
from farfield.coulomb.sums.second_derivatives import Derivatives

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class PotentialAndField:
    """Potential, field and virial of one term."""

    potential: Tensor  # (sources, channels)
    field: Tensor | None  # (sources, channels, 3); None where there is none
    virial: Tensor  # (systems, channels, 3, 3), dE/dstrain

    def __add__(self, other: "PotentialAndField") -> "PotentialAndField":
        """Add the answer of another term."""
        fields = [one.field for one in (self, other) if one.field is not None]
        field = reduce(add, fields) if fields else None
        return PotentialAndField(self.potential + other.potential, field, self.virial + other.virial)


class Term(ABC):
    """One sum over the sources of some systems. What it cannot answer it answers with None."""

    placed: PlacedSources

    @abstractmethod
    def energy(self) -> Tensor:
        """Energy ``(systems, channels)``; differentiable."""

    @abstractmethod
    def potential_and_field(self) -> PotentialAndField:
        """Potentials, fields and dE/dstrain of charges, without a graph."""

    @abstractmethod
    def operator(self) -> Operator:
        """Prepare the map of charges ``(sources, channels)`` to their potentials; differentiable."""

    @abstractmethod
    def interaction(self) -> LinearMap:
        """Prepare the map of charges and dipoles to dE/d(q, μ); differentiable."""

    @abstractmethod
    def potential_at(self, points: PlacedSources) -> Tensor:
        """Potential ``(points, channels)`` over Gaussians around points sorted by system; differentiable."""

    def matrix(self, padding: Padding) -> Tensor:
        """d²E/dqdq ``(systems, longest, longest)``, zero where padded; differentiable."""
        units = torch.diag_embed(padding.mask().to(self.placed.charges.dtype))
        return padding.pad(self.operator()(padding.unpad(units)))

    def second_derivatives(self) -> Derivatives | None:
        """First and second derivatives by charges and positions at fixed cells, by loops of its own."""
        return None


class Sum(Term):
    """Terms added up."""

    def __init__(self, *terms: Term) -> None:
        self.placed, self.terms = terms[0].placed, terms

    def energy(self) -> Tensor:
        """Add the energies."""
        return self._total(lambda term: term.energy())

    def potential_and_field(self) -> PotentialAndField:
        """Add potentials, fields and virials."""
        return self._total(lambda term: term.potential_and_field())

    def operator(self) -> Operator:
        """Add the maps of charges."""
        return _added([term.operator() for term in self.terms])

    def interaction(self) -> LinearMap:
        """Add the maps of charges and dipoles."""
        maps = [term.interaction() for term in self.terms]
        dipoles = [one.dipoles for one in maps if one.dipoles is not None]
        return LinearMap(_added([one.apply for one in maps]), _added(dipoles) if len(dipoles) == len(maps) else None)

    def potential_at(self, points: PlacedSources) -> Tensor:
        """Add the potentials."""
        return self._total(lambda term: term.potential_at(points))

    def matrix(self, padding: Padding) -> Tensor:
        """Add the matrices."""
        return self._total(lambda term: term.matrix(padding))

    def _total(self, ask: Callable[[Term], Answer]) -> Answer:
        answers = (ask(term) for term in self.terms)
        return reduce(add, answers)


def _added(maps: list[Callable[..., Tensor]]) -> Callable[..., Tensor]:
    """Add what several maps make of one argument."""
    return maps[0] if len(maps) == 1 else lambda given: reduce(add, (apply(given) for apply in maps))
