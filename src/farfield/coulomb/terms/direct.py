"""Open systems: the plain sum over all pairs, E = ½ K Σ q_i q_j erf(r/√(2(σ_i²+σ_j²)))/r, 1/r for points."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from farfield.coulomb.functions.pair_tensors import pair_blocks, pair_energies
from farfield.coulomb.functions.radial import pair_rate, smeared
from farfield.coulomb.padding import Padding
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.linear_map import LinearMap, Operator, map_of_pairs
from farfield.coulomb.sums.pairs import HalfPairs, all_pairs, bare_kernels, refuse_coincident
from farfield.coulomb.sums.points import open_potential
from farfield.coulomb.terms.term import PotentialAndField, Term
from farfield.geometry.neighbors import CLOSEST

BLOCK = 1 << 18
"""Pairs of multipoles summed at once; more are summed again, block by block, for their gradient."""


@dataclass(frozen=True)
class Direct(Term):
    """Every pair of each system, each source without itself."""

    placed: PlacedSources

    @cached_property
    def _padding(self) -> Padding:
        return Padding.of(self.placed.system)

    def energy(self) -> Tensor:
        """Sum charges as a product with their matrix, multipoles pair by pair.

        Raises:
            InputError: two atoms, or two point sources, on top of each other.
        """
        if self.placed.moments.rank > 0:
            return _of_multipoles(self.placed)
        charges = self._padding.pad(self.placed.charges)
        return 0.5 * (charges * (self.matrix(self._padding) @ charges)).sum(1)

    def potential_and_field(self) -> PotentialAndField:
        """Sum the pairs' kernels and pulls."""
        placed, padding = self.placed, self._padding
        charges = padding.pad(placed.charges)
        kernel, vector = kernels_and_vectors(placed, padding)
        steeper, _ = kernels_and_vectors(placed, padding, 1)
        pull = steeper.unsqueeze(-1) * vector  # (systems, n, n, 3)
        field = -torch.einsum("sijx,sjc->sicx", pull, charges)
        virial = -0.5 * torch.einsum("sijx,sijy,sic,sjc->scxy", pull, vector, charges, charges)
        return PotentialAndField(padding.unpad(kernel @ charges), padding.unpad(field), virial)

    def operator(self) -> Operator:
        """Write down the matrix, once."""
        padding, block = self._padding, self.matrix(self._padding)
        return lambda charges: padding.unpad(block @ padding.pad(charges))

    def interaction(self) -> LinearMap:
        """Prepare all pairs.

        Raises:
            InputError: two atoms on top of each other.
        """
        placed, system = self.placed, self.placed.system
        i, j = all_pairs(self._padding)
        vector = system.positions.index_select(0, j) - system.positions.index_select(0, i)
        squared = torch.linalg.vecdot(vector, vector)
        refuse_coincident(placed, squared.detach(), i, j)

        def blocks(vector: Tensor) -> Tensor:
            return pair_blocks(vector, bare_kernels(placed, torch.linalg.vecdot(vector, vector), i, j))

        return map_of_pairs(placed, HalfPairs(i, j, vector, squared), vector.new_zeros(len(i)), blocks)

    def potential_at(self, points: PlacedSources) -> Tensor:
        """Sum every pair of a point and a source of its system."""
        return open_potential(self.placed, points)

    def matrix(self, padding: Padding) -> Tensor:
        """Write down the kernel of every pair."""
        return kernels_and_vectors(self.placed, padding)[0]


def _of_multipoles(placed: PlacedSources) -> Tensor:
    """Plain sum over all pairs of each system ``(systems, channels)``, in e²/Å.

    Raises:
        InputError: two atoms, or two point sources, on top of each other.
    """
    moments, system = placed.moments, placed.system
    i, j = all_pairs(Padding.of(system))
    total = placed.charges.new_zeros(system.n_systems, placed.charges.shape[1])

    def block(i: Tensor, j: Tensor) -> Tensor:
        vector = system.positions.index_select(0, j) - system.positions.index_select(0, i)
        squared = torch.linalg.vecdot(vector, vector)
        refuse_coincident(placed, squared.detach(), i, j)
        return pair_energies(moments.at(i), moments.at(j), vector, bare_kernels(placed, squared, i, j))

    for first in range(0, len(i), BLOCK):
        some = i[first : first + BLOCK], j[first : first + BLOCK]
        again = len(i) > BLOCK and torch.is_grad_enabled()
        energies = checkpoint(block, *some, use_reentrant=False, preserve_rng_state=False) if again else block(*some)
        total = total.index_add(0, system.system_index[some[0]], energies)
    return total


def kernels_and_vectors(placed: PlacedSources, padding: Padding, order: int = 0) -> tuple[Tensor, Tensor]:
    """B_n ``(systems, n, n)`` in 1/Å^(2n+1), zero on the diagonal and where padded, and r_j - r_i ``(…, 3)`` in Å.

    Raises:
        InputError: two atoms, or two point charges, on top of each other.
    """
    places = padding.pad(placed.system.positions)
    vector = places.unsqueeze(1) - places.unsqueeze(2)
    real = padding.mask()
    paired = real.unsqueeze(1) & real.unsqueeze(2)
    paired.diagonal(dim1=1, dim2=2).fill_(False)
    # far apart where there is no pair, so that no derivative divides by zero
    squared = torch.where(paired, vector.square().sum(-1), 100.0)
    _refuse_coincident(placed, padding, squared.detach())
    return torch.where(paired, _radial(placed, padding, squared, order), 0.0), vector


def _radial(placed: PlacedSources, padding: Padding, squared: Tensor, order: int) -> Tensor:
    if placed.widths is None:
        inverse = squared.rsqrt()
        return inverse if order == 0 else inverse * inverse.square()
    variance = padding.pad(placed.widths.square())
    rate = pair_rate(variance.unsqueeze(1), variance.unsqueeze(2))
    return smeared(squared, rate, order)


def _refuse_coincident(placed: PlacedSources, padding: Padding, squared: Tensor) -> None:
    if not squared.numel() or float(squared.min()) >= CLOSEST**2:
        return
    system, row, column = (squared < CLOSEST**2).nonzero().unbind(1)
    rows = torch.full((padding.systems * padding.longest,), -1, dtype=torch.long, device=squared.device)
    rows[padding.slots] = torch.arange(len(padding.slots), device=squared.device)
    i, j = (rows[system * padding.longest + place] for place in (row, column))
    refuse_coincident(placed, squared[system, row, column], i, j)
