"""The potential of sources at points that carry no charge themselves."""

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


def potential(planned: list[tuple[Part, Plan | None]], points: System, order: Tensor) -> Tensor:
    """Potential ``(points, channels)`` in V at points sorted by system, put back into their first order."""
    channels = planned[0][0].placed.charges.shape[1]
    values = points.positions.new_zeros(points.n_atoms, channels)
    for sources, plan in planned:
        some, places = points.select(sources.systems)
        placed = sources.placed
        here = open_potential(placed, some) if plan is None else periodic_potential(placed, plan, some)
        values = values.index_copy(0, order[places], here)
    return values


def open_potential(placed: PlacedSources, points: System) -> Tensor:
    """Direct sum ``(points, channels)`` in V, over every pair of a point and a source of its system."""
    sizes = placed.system.atoms_per_system
    here = torch.arange(points.n_atoms, device=sizes.device)
    i = here.repeat_interleave(sizes[points.system_index])
    first = (torch.cumsum(sizes, 0) - sizes)[points.system_index]
    count = sizes[points.system_index]
    j = torch.arange(len(i), device=sizes.device) + (first - (torch.cumsum(count, 0) - count))[i]
    vector = placed.system.positions[j] - points.positions[i]
    squared = vector.square().sum(-1)
    _refuse_on_top(placed, squared.detach(), i, j)
    rank = placed.moments.rank
    points_only = placed.widths is None
    kernels = bare_orders(squared, rank) if points_only else smeared_orders(squared, _rate(placed, j), rank)
    return COULOMB * _summed(placed, kernels, vector, (i, j), points.n_atoms)


def periodic_potential(placed: PlacedSources, plan: Plan, points: System) -> Tensor:
    """Ewald sum ``(points, channels)`` in V, background included."""
    pair_part = _real_potential(placed, plan, points)
    summed = mesh.potential if plan.meshed.any() else _wave_potential
    wave_part = summed(placed, plan, points)
    background = ewald.neutralising(placed.system, plan) * per_system(placed.charges, placed.system)
    return COULOMB * (pair_part + wave_part - background[points.system_index])


def _real_potential(placed: PlacedSources, plan: Plan, points: System) -> Tensor:
    system = placed.system
    i, j, shift = cross_pairs(points, system, plan.cutoff)
    images = torch.einsum("pa,pab->pb", shift, system.cell[points.system_index[i]])
    vector = system.positions[j] + images - points.positions[i]
    squared, rank = vector.square().sum(-1), placed.moments.rank
    _refuse_on_top(placed, squared.detach(), i, j)
    split = plan.splitting[points.system_index[i]]
    if placed.widths is None:
        kernels = screened_orders(squared, split, rank)
    else:
        both = (smeared_orders(squared, rate, rank) for rate in (_rate(placed, j), split))
        kernels = [pair_part - wave_part for pair_part, wave_part in zip(*both)]
    return _summed(placed, kernels, vector, (i, j), points.n_atoms)


def _wave_potential(placed: PlacedSources, plan: Plan, points: System) -> Tensor:
    padding = Padding.of(placed.system)
    phases, waves = ewald.plane_waves(placed.system, padding, plan)
    cosine, sine = ewald.structure_factors(placed, plan, padding, (phases, waves))
    weight = 2 * ewald.wave_weights(placed.system, plan).unsqueeze(2)
    there = Padding.of(points)
    point_phases, _ = ewald.plane_waves(points, there, plan)
    at_points = PlaneWaves(point_phases, plan.indices)
    return there.unpad(gather(point_phases, weight * cosine, weight * sine, at_points))


def _rate(placed: PlacedSources, j: Tensor) -> Tensor:
    assert placed.widths is not None
    variance = placed.widths[j].square()
    return pair_rate(variance, torch.zeros_like(variance))


def _summed(
    placed: PlacedSources, kernels: list[Tensor], vector: Tensor, pairs: tuple[Tensor, Tensor], count: int
) -> Tensor:
    i, j = pairs
    values = potentials(placed.moments.at(j), vector, kernels)
    return values.new_zeros(count, values.shape[1]).index_add(0, i, values)


def _refuse_on_top(placed: PlacedSources, squared: Tensor, i: Tensor, j: Tensor) -> None:
    close = squared < CLOSEST**2
    if placed.widths is not None:
        close &= placed.widths[j] == 0
    if close.any():
        pair = int(close.nonzero()[0])
        raise InputError(
            f"point {int(i[pair])} (sorted by system) is {float(squared[pair]) ** 0.5:.1e} Å from point charge "
            f"{int(j[pair])}, where the potential is infinite: move the point or give the charge a width"
        )
