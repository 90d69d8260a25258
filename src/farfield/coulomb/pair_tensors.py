"""Pairs of multipoles: with d = r_j - r_i and the radial functions B_n of kernels.py, a pair's energy is Σ_n B_n G_n.

    G_0 = q_i q_j
    G_1 = q_j μ_i·d - q_i μ_j·d + μ_i·μ_j
    G_2 = q_i dQ_jd + q_j dQ_id - (μ_i·d)(μ_j·d) - 2 μ_i·Q_j·d + 2 μ_j·Q_i·d + 2 Q_i:Q_j
    G_3 = (μ_i·d) dQ_jd - (μ_j·d) dQ_id - 4 (Q_i·d)·(Q_j·d)
    G_4 = (dQ_id)(dQ_jd)

for Q = Θ/3 (Smith, CCP5 Newsletter 46, 18 (1998)). Plain torch: differentiable to any order.
"""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from farfield.coulomb.kernels import bare_orders, pair_rate, smeared_orders
from farfield.coulomb.multipoles import Moments
from farfield.coulomb.padding import Padding
from farfield.coulomb.pairs import refuse_coincident
from farfield.coulomb.sources import Charged

BLOCK = 1 << 18
"""Pairs of an open system summed at once; more are summed again, block by block, for their gradient."""


def pair_energies(one: Moments, two: Moments, vector: Tensor, kernels: list[Tensor]) -> Tensor:
    """Energies ``(pairs, channels)`` of ``one`` with ``two``, d ``(pairs, 3)`` from it; each B_n is ``(pairs,)``."""
    d = vector.unsqueeze(1)
    b = [kernel.unsqueeze(1) for kernel in kernels]
    total = b[0] * one.charges * two.charges
    if one.dipoles is None or two.dipoles is None:
        return total
    along_one, along_two = (one.dipoles * d).sum(-1), (two.dipoles * d).sum(-1)
    first = two.charges * along_one - one.charges * along_two + (one.dipoles * two.dipoles).sum(-1)
    total = total + b[1] * first - b[2] * along_one * along_two
    if one.quadrupoles is None or two.quadrupoles is None:
        return total
    turned_one, turned_two = ((tensors @ d.unsqueeze(-1)).squeeze(-1) for tensors in (one.quadrupoles, two.quadrupoles))
    twice_one, twice_two = (turned_one * d).sum(-1), (turned_two * d).sum(-1)
    second = one.charges * twice_two + two.charges * twice_one
    second = second + 2 * ((two.dipoles * turned_one).sum(-1) - (one.dipoles * turned_two).sum(-1))
    second = second + 2 * (one.quadrupoles * two.quadrupoles).sum((-1, -2))
    third = along_one * twice_two - along_two * twice_one - 4 * (turned_one * turned_two).sum(-1)
    return total + b[2] * second + b[3] * third + b[4] * twice_one * twice_two


def potentials(sources: Moments, vector: Tensor, kernels: list[Tensor]) -> Tensor:
    """Potential ``(pairs, channels)`` in e/Å at points from which the sources are at ``vector``, from B_0 to B_rank."""
    d = vector.unsqueeze(1)
    total = kernels[0].unsqueeze(1) * sources.charges
    if sources.dipoles is not None:
        total = total - kernels[1].unsqueeze(1) * (sources.dipoles * d).sum(-1)
    if sources.quadrupoles is not None:
        twice = torch.einsum("pa,pcab,pb->pc", vector, sources.quadrupoles, vector)
        total = total + kernels[2].unsqueeze(1) * twice
    return total


def open_energy(charged: Charged) -> Tensor:
    """Plain sum over all pairs of each system ``(systems, channels)``, in e²/Å.

    Raises:
        InputError: two atoms, or two point sources, on top of each other.
    """
    moments, system = charged.moments, charged.system
    i, j = all_pairs(Padding.of(system))
    total = charged.charges.new_zeros(system.n_systems, charged.charges.shape[1])

    def block(i: Tensor, j: Tensor) -> Tensor:
        vector = system.positions.index_select(0, j) - system.positions.index_select(0, i)
        squared = torch.linalg.vecdot(vector, vector)
        refuse_coincident(charged, squared.detach(), i, j)
        return pair_energies(moments.at(i), moments.at(j), vector, radial(charged, squared, i, j))

    for first in range(0, len(i), BLOCK):
        some = i[first : first + BLOCK], j[first : first + BLOCK]
        again = len(i) > BLOCK and torch.is_grad_enabled()
        energies = checkpoint(block, *some, use_reentrant=False, preserve_rng_state=False) if again else block(*some)
        total = total.index_add(0, system.system_index[some[0]], energies)
    return total


def all_pairs(padding: Padding) -> tuple[Tensor, Tensor]:
    """Rows i < j of every pair within a system."""
    real = padding.mask()
    system, first, second = (real.unsqueeze(2) & real.unsqueeze(1)).triu(1).nonzero().unbind(1)
    rows = torch.zeros(padding.systems * padding.longest, dtype=torch.long, device=real.device)
    rows[padding.slots] = torch.arange(len(padding.slots), device=real.device)
    return rows[system * padding.longest + first], rows[system * padding.longest + second]


def radial(charged: Charged, squared: Tensor, i: Tensor, j: Tensor) -> list[Tensor]:
    """B_0, B_1, … of pairs in open space, each ``(pairs,)``, as many as their moments need."""
    highest = 2 * charged.moments.rank
    if charged.widths is None:
        return bare_orders(squared, highest)
    variance = charged.widths.square()
    rate = pair_rate(variance.index_select(0, i), variance.index_select(0, j))
    return smeared_orders(squared, rate, highest)
