"""Pairs of multipoles: with d = r_j - r_i and the radial functions B_n of radial.py, a pair's energy is Σ_n B_n G_n.

    G_0 = q_i q_j
    G_1 = q_j μ_i·d - q_i μ_j·d + μ_i·μ_j
    G_2 = q_i dQ_jd + q_j dQ_id - (μ_i·d)(μ_j·d) - 2 μ_i·Q_j·d + 2 μ_j·Q_i·d + 2 Q_i:Q_j
    G_3 = (μ_i·d) dQ_jd - (μ_j·d) dQ_id - 4 (Q_i·d)·(Q_j·d)
    G_4 = (dQ_id)(dQ_jd)

for Q = Θ/3 (Smith, CCP5 Newsletter 46, 18 (1998)). Plain torch: differentiable to any order.
"""

import torch
from torch import Tensor

from farfield.coulomb.functions.multipoles import Moments


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


def pair_blocks(vector: Tensor, kernels: list[Tensor]) -> Tensor:
    """W ``(pairs, 4, 4)`` of the first source with the second, which is at ``vector`` from it; B_0 to B_2."""
    b0, b1, b2 = kernels
    along = b1.unsqueeze(1) * vector
    eye = torch.eye(3, dtype=vector.dtype, device=vector.device)
    inner = b1[:, None, None] * eye - (b2.unsqueeze(1) * vector).unsqueeze(2) * vector.unsqueeze(1)
    top = torch.cat([b0.unsqueeze(1), -along], 1).unsqueeze(1)
    return torch.cat([top, torch.cat([along.unsqueeze(2), inner], 2)], 1)
