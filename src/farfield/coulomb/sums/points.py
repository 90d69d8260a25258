"""Pairs of points and sources: potentials at places that carry no charge, or averaged over Gaussians around them."""

from dataclasses import replace

import torch
from torch import Tensor

from farfield.coulomb.functions.pair_tensors import potentials
from farfield.coulomb.functions.radial import bare_orders, pair_rate, screened_orders, smeared_orders
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.pairs import cross_pairs
from farfield.errors import InputError
from farfield.geometry.neighbors import CLOSEST

POINT_BLOCK = 1 << 23
"""Pairs of a point and a source summed at once."""


def open_potential(placed: PlacedSources, points: PlacedSources) -> Tensor:
    """Sum 1/r of every pair of a point and a source of its system ``(points, channels)``, in e/Å; differentiable."""
    return torch.cat([_open_block(placed, points, rows) for rows in _blocks(placed, points)])


def real_space_potential(placed: PlacedSources, plan: Plan, points: PlacedSources) -> Tensor:
    """Sum the real-space kernel of points and sources within the cutoff ``(points, channels)``, in e/Å."""
    return torch.cat([_real_block(placed, plan, points, rows) for rows in _blocks(placed, points)])


def _blocks(placed: PlacedSources, points: PlacedSources) -> list[slice]:
    """Runs of points that do not make too many pairs at once."""
    step, count = max(POINT_BLOCK // max(len(placed.charges), 1), 1), len(points.charges)
    return [slice(first, first + step) for first in range(0, max(count, 1), step)]


def _open_block(placed: PlacedSources, points: PlacedSources, rows: slice) -> Tensor:
    sizes, owner = placed.system.atoms_per_system, points.system.system_index[rows]
    count = sizes[owner]
    i = torch.arange(len(owner), device=sizes.device).repeat_interleave(count)
    first = (torch.cumsum(sizes, 0) - sizes)[owner]
    j = torch.arange(len(i), device=sizes.device) + (first - (torch.cumsum(count, 0) - count))[i]
    vector = placed.system.positions[j] - points.system.positions[rows][i]
    squared, rank = vector.square().sum(-1), placed.moments.rank
    rate = _rate(placed, points, i + rows.start, j, squared)
    kernels = bare_orders(squared, rank) if rate is None else smeared_orders(squared, rate, rank)
    return _summed(placed, kernels, vector, (i, j), len(owner))


def _real_block(placed: PlacedSources, plan: Plan, points: PlacedSources, rows: slice) -> Tensor:
    system, there = placed.system, points.system
    here = replace(there, positions=there.positions[rows], system_index=there.system_index[rows])
    i, j, shift = cross_pairs(here, system, plan.cutoff)
    owner = here.system_index[i]
    images = torch.einsum("pa,pab->pb", shift, system.cell[owner])
    vector = system.positions[j] + images - here.positions[i]
    squared, rank, split = vector.square().sum(-1), placed.moments.rank, plan.splitting[owner]
    rate = _rate(placed, points, i + rows.start, j, squared)
    if rate is None:
        kernels = screened_orders(squared, split, rank)
    else:
        both = (smeared_orders(squared, one, rank) for one in (rate, split))
        kernels = [pair_part - wave_part for pair_part, wave_part in zip(*both)]
    return _summed(placed, kernels, vector, (i, j), len(here.positions))


def _rate(placed: PlacedSources, points: PlacedSources, i: Tensor, j: Tensor, squared: Tensor) -> Tensor | None:
    """Rates ``(pairs,)`` of the Gaussians of points i and sources j in 1/Å; None where all are points.

    Raises:
        InputError: a point on top of a point charge.
    """
    widths = [(one.widths, rows) for one, rows in ((placed, j), (points, i)) if one.widths is not None]
    variances = [sigma.index_select(0, rows).square() for sigma, rows in widths]
    total = torch.stack(variances).sum(0) if variances else None
    close = squared.detach() < CLOSEST**2
    if total is not None:
        close &= total.detach() == 0
    if close.any():
        pair = int(close.nonzero()[0])
        raise InputError(
            f"point {int(i[pair])} (sorted by system) is {float(squared[pair]) ** 0.5:.1e} Å from point charge "
            f"{int(j[pair])}, where the potential is infinite: move the point or give the charge a width"
        )
    return None if total is None else pair_rate(total, torch.zeros_like(total))


def _summed(
    placed: PlacedSources, kernels: list[Tensor], vector: Tensor, pairs: tuple[Tensor, Tensor], count: int
) -> Tensor:
    i, j = pairs
    values = potentials(placed.moments.at(j), vector, kernels)
    return values.new_zeros(count, values.shape[1]).index_add(0, i, values)
