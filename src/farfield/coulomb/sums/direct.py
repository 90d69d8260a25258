"""Open systems: the plain sum over all pairs, E = ½ K Σ q_i q_j erf(r/√(2(σ_i²+σ_j²)))/r, 1/r for points."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from farfield.coulomb.functions.pair_tensors import pair_energies
from farfield.coulomb.functions.radial import pair_rate, smeared
from farfield.coulomb.padding import Padding
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.pairs import all_pairs, bare_kernels, refuse_coincident
from farfield.geometry.neighbors import CLOSEST
from farfield.units import COULOMB

BLOCK = 1 << 18
"""Pairs of multipoles summed at once; more are summed again, block by block, for their gradient."""


def energy(placed: PlacedSources) -> Tensor:
    """Energy ``(systems, channels)`` in eV, Gaussian self-energies left out."""
    if placed.moments.rank > 0:
        return COULOMB * _of_multipoles(placed)
    padding = Padding.of(placed.system)
    charges = padding.pad(placed.charges)
    return 0.5 * (charges * (matrix(placed, padding) @ charges)).sum(1)


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


def operator(placed: PlacedSources) -> Callable[[Tensor], Tensor]:
    """Charges ``(sources, channels)`` in e to potentials in V, Gaussian self-energies left out; differentiable."""
    padding = Padding.of(placed.system)
    block = matrix(placed, padding)
    return lambda charges: padding.unpad(block @ padding.pad(charges))


def matrix(placed: PlacedSources, padding: Padding) -> Tensor:
    """d²E/dqdq ``(systems, longest, longest)`` in V/e, Gaussian self-energies left out; zero where padded."""
    kernel, _ = kernels_and_vectors(placed, padding)
    return COULOMB * kernel


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
