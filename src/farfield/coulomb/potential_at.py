"""The potential of sources at points that carry no charge themselves, or averaged over Gaussians around them."""

from dataclasses import replace

import torch
from torch import Tensor

from farfield.coulomb.functions.pair_tensors import potentials
from farfield.coulomb.functions.radial import bare_orders, pair_rate, screened_orders, smeared_orders
from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.methods import Part
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums import ewald, mesh
from farfield.coulomb.sums.pairs import cross_pairs
from farfield.coulomb.sums.structure_factors import PlaneWaves, gather
from farfield.errors import InputError
from farfield.geometry.neighbors import CLOSEST
from farfield.system import System, per_system
from farfield.units import COULOMB

POINT_BLOCK = 1 << 23
"""Pairs of a point and a source summed at once."""


def potential(planned: list[tuple[Part, Plan | None]], points: PlacedSources) -> Tensor:
    """Potential ``(points, channels)`` in V at points sorted by system, whose charges do not count."""
    channels = planned[0][0].placed.charges.shape[1]
    values = points.charges.new_zeros(len(points.charges), channels)
    for sources, plan in planned:
        some, places = points.part(sources.systems)
        placed = sources.placed
        here = open_potential(placed, some) if plan is None else periodic_potential(placed, plan, some)
        values = values.index_copy(0, places, here)
    return values


def open_potential(placed: PlacedSources, points: PlacedSources) -> Tensor:
    """Direct sum ``(points, channels)`` in V, over every pair of a point and a source of its system."""
    blocks = [_open_block(placed, points, rows) for rows in _blocks(placed, points)]
    return COULOMB * torch.cat(blocks)


def periodic_potential(placed: PlacedSources, plan: Plan, points: PlacedSources) -> Tensor:
    """Ewald sum ``(points, channels)`` in V, background included."""
    pair_part = torch.cat([_real_block(placed, plan, points, rows) for rows in _blocks(placed, points)])
    summed = mesh.potential if plan.on_mesh else _wave_potential
    wave_part = summed(placed, plan, points.system)
    background = ewald.neutralising(placed.system, plan) * per_system(placed.charges, placed.system)
    return COULOMB * (pair_part + wave_part - background[points.system.system_index])


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


def _wave_potential(placed: PlacedSources, plan: Plan, points: System) -> Tensor:
    padding = Padding.of(placed.system)
    phases, waves = ewald.plane_waves(placed.system, padding, plan)
    cosine, sine = ewald.structure_factors(placed, plan, padding, (phases, waves))
    weight = 2 * ewald.wave_weights(placed.system, plan).unsqueeze(2)
    there = Padding.of(points)
    point_phases, _ = ewald.plane_waves(points, there, plan)
    at_points = PlaneWaves(point_phases, plan.indices)
    return there.unpad(gather(point_phases, weight * cosine, weight * sine, at_points))


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
