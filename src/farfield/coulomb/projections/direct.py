"""Pairs in open space: C_lm(∇) v(r) = C_lm(d) B_l for d towards the charge (Hobson's theorem), each pair both ways."""

import torch
from torch import Tensor

from farfield.coulomb.functions.harmonics import solid_harmonics
from farfield.coulomb.padding import Padding
from farfield.coulomb.projections.kernels import SmoothKernel
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.pairs import all_pairs, refuse_coincident


def by_pairs(placed: PlacedSources, kernel: SmoothKernel, width: float, order: int) -> Tensor:
    """C_lm(∇) Σ q v ``(atoms, (order + 1)², channels)`` of all others in the system; differentiable.

    Raises:
        InputError: two atoms on top of each other.
    """
    positions, charges = placed.system.positions, placed.charges
    i, j = all_pairs(Padding.of(placed.system))
    vector = positions.index_select(0, j) - positions.index_select(0, i)
    squared = vector.square().sum(1)
    refuse_coincident(placed, squared.detach(), i, j)
    radial = kernel.orders(squared, width, order)
    harmonics, total = solid_harmonics(vector, order), charges.new_zeros(len(charges), 0, charges.shape[1])
    for n in range(order + 1):
        columns = (harmonics[:, n * n : (n + 1) ** 2] * radial[n].unsqueeze(1)).unsqueeze(2)
        found = charges.new_zeros(len(charges), 2 * n + 1, charges.shape[1])
        found = found.index_add(0, i, columns * charges.index_select(0, j).unsqueeze(1))
        found = found.index_add(0, j, (-1) ** n * columns * charges.index_select(0, i).unsqueeze(1))
        total = torch.cat([total, found], 1)
    return total
