"""The potential of sources at points that carry no charge themselves."""

import torch
from torch import Tensor

from farfield.coulomb.functions.pair_tensors import potentials
from farfield.coulomb.functions.radial import bare_orders, pair_rate, screened_orders, smeared_orders
from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.methods import Part
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import Charged, part
from farfield.coulomb.sums import ewald, mesh
from farfield.coulomb.sums.pairs import cross_pairs
from farfield.coulomb.sums.structure_factors import Waves, gather
from farfield.errors import InputError
from farfield.geometry.neighbors import CLOSEST
from farfield.system import System, per_system
from farfield.units import COULOMB


def potential(cut: list[tuple[Part, Plan | None]], points: System, order: Tensor) -> Tensor:
    """Potential ``(points, channels)`` in V at points sorted by system, put back into their first order."""
    channels = cut[0][0].charged.charges.shape[1]
    values = points.positions.new_zeros(points.n_atoms, channels)
    for sources, plan in cut:
        some, places = part(points, sources.systems)
        if plan is None:
            here = open_potential(sources.charged, some)
        else:
            here = periodic_potential(sources.charged, plan, some)
        values = values.index_copy(0, order[places], here)
    return values


def open_potential(charged: Charged, points: System) -> Tensor:
    """Direct sum ``(points, channels)`` in V, over every pair of a point and a source of its system."""
    sizes = charged.system.atoms_per_system
    here = torch.arange(points.n_atoms, device=sizes.device)
    i = here.repeat_interleave(sizes[points.system_index])
    first = (torch.cumsum(sizes, 0) - sizes)[points.system_index]
    count = sizes[points.system_index]
    j = torch.arange(len(i), device=sizes.device) + (first - (torch.cumsum(count, 0) - count))[i]
    vector = charged.system.positions[j] - points.positions[i]
    squared = vector.square().sum(-1)
    _refuse_on_top(charged, squared.detach(), i, j)
    rank = charged.moments.rank
    points_only = charged.widths is None
    kernels = bare_orders(squared, rank) if points_only else smeared_orders(squared, _rate(charged, j), rank)
    return COULOMB * _summed(charged, kernels, vector, (i, j), points.n_atoms)


def periodic_potential(charged: Charged, plan: Plan, points: System) -> Tensor:
    """Ewald sum ``(points, channels)`` in V, background included."""
    near = _real_potential(charged, plan, points)
    summed = mesh.potential if plan.meshed.any() else _wave_potential
    far = summed(charged, plan, points)
    background = ewald.neutralising(charged.system, plan) * per_system(charged.charges, charged.system)
    return COULOMB * (near + far - background[points.system_index])


def _real_potential(charged: Charged, plan: Plan, points: System) -> Tensor:
    system = charged.system
    i, j, shift = cross_pairs(points, system, plan.cutoff)
    images = torch.einsum("pa,pab->pb", shift, system.cell[points.system_index[i]])
    vector = system.positions[j] + images - points.positions[i]
    squared, rank = vector.square().sum(-1), charged.moments.rank
    _refuse_on_top(charged, squared.detach(), i, j)
    split = plan.splitting[points.system_index[i]]
    if charged.widths is None:
        kernels = screened_orders(squared, split, rank)
    else:
        both = (smeared_orders(squared, rate, rank) for rate in (_rate(charged, j), split))
        kernels = [near - far for near, far in zip(*both)]
    return _summed(charged, kernels, vector, (i, j), points.n_atoms)


def _wave_potential(charged: Charged, plan: Plan, points: System) -> Tensor:
    padding = Padding.of(charged.system)
    phases, waves = ewald.plane_waves(charged.system, padding, plan)
    cosine, sine = ewald.structure_factors(charged, plan, padding, (phases, waves))
    weight = 2 * ewald.wave_weights(charged.system, plan).unsqueeze(2)
    there = Padding.of(points)
    point_phases, _ = ewald.plane_waves(points, there, plan)
    at_points = Waves(point_phases, plan.indices)
    return there.unpad(gather(point_phases, weight * cosine, weight * sine, at_points))


def _rate(charged: Charged, j: Tensor) -> Tensor:
    assert charged.widths is not None
    variance = charged.widths[j].square()
    return pair_rate(variance, torch.zeros_like(variance))


def _summed(
    charged: Charged, kernels: list[Tensor], vector: Tensor, pairs: tuple[Tensor, Tensor], count: int
) -> Tensor:
    i, j = pairs
    values = potentials(charged.moments.at(j), vector, kernels)
    return values.new_zeros(count, values.shape[1]).index_add(0, i, values)


def _refuse_on_top(charged: Charged, squared: Tensor, i: Tensor, j: Tensor) -> None:
    close = squared < CLOSEST**2
    if charged.widths is not None:
        close &= charged.widths[j] == 0
    if close.any():
        pair = int(close.nonzero()[0])
        raise InputError(
            f"point {int(i[pair])} (sorted by system) is {float(squared[pair]) ** 0.5:.1e} Å from point charge "
            f"{int(j[pair])}, where the potential is infinite: move the point or give the charge a width"
        )
