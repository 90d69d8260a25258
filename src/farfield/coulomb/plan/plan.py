"""Plans of periodic sums: splitting, cutoff and waves, from the error asked.

With t = α·cutoff = k_max/(2α), random charges leave out of either half of the sum the same rms force (Kolafa and
Perram 1992, here for any cell), and both together, over K⟨q²⟩ρ^(2/3) with ρ = N/V,

    error = √(8α/t) ρ^(-1/6) exp(-t²)

so that one number t fixes the accuracy and α is free to balance the costs. Dipoles leave this times k_max²/3 ρ^(-2/3),
over K⟨μ²⟩ρ^(4/3), quadrupoles times 2k_max⁴/135 ρ^(-4/3), over K⟨Θ:Θ⟩ρ²; a plan reaches what is asked for each alone.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from farfield.coulomb.functions.multipoles import steepened
from farfield.coulomb.kernels.numba.wave_rows import Rows, rows_of
from farfield.coulomb.plan.box import Box, box_of
from farfield.coulomb.plan.grid import Grid
from farfield.coulomb.plan.mesh_plan import BEYOND, cheapest_mesh
from farfield.coulomb.sources import PlacedSources

PAIR_COST = 12.0
"""Time of one pair (each counted twice, search and second derivatives included) over that of one atom with one wave."""

GAUSSIAN_PAIR_COST = 25.0
"""The same where pairs need two error functions."""

SAFETY = 0.3
"""The plan aims at this fraction of the error asked: charges are not quite random, nor spread evenly."""

KEPT = 32
"""Plans of waves that are kept, each of a batch."""

_Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Plan:
    """Plan of a batch of periodic systems; depends on no derivative, so energies are smooth at a fixed plan."""

    splitting: Tensor  # (systems,) α, 1/Å
    cutoff: Tensor  # (systems,) Å; 0 where all is left to the waves
    indices: Tensor  # (systems, waves, 3) integers of one half of k-space, zeros where padded
    multiplicity: Tensor  # (systems, waves): 2 for a wave and its opposite, 0 where padded
    error: Tensor  # (systems,) expected, relative to K⟨q²⟩(N/V)^(2/3), or the like of dipoles and quadrupoles
    grids: tuple[Grid | None, ...]  # the mesh of each system that has one instead of waves
    wave_cell: Tensor  # (systems, 3, 3) vectors instead of the lattice's along open axes, Å
    radius: Tensor  # (systems,) where the kernel ends across periodic axes, Å; 0 in 3D
    extent_allowed: Tensor  # (systems, 3) how far apart sources may be along open axes, Å
    rank: int = 0  # of the moments it is accurate for: 1 with dipoles, 2 with quadrupoles

    @property
    def meshed(self) -> Tensor:
        """Mark the systems that have a mesh ``(systems,)``."""
        return torch.tensor([grid is not None for grid in self.grids], dtype=torch.bool, device=self.cutoff.device)

    @property
    def on_mesh(self) -> bool:
        """Tell whether any system has a mesh."""
        return any(grid is not None for grid in self.grids)

    @cached_property
    def reach(self) -> float:
        """Largest real-space cutoff of the batch, Å."""
        return float(self.cutoff.max()) if len(self.cutoff) else 0.0

    def double(self) -> "Plan":
        """Convert to double precision, once for all."""
        return self if self.splitting.dtype == torch.float64 else self._doubled

    @cached_property
    def rows(self) -> Rows:
        """The waves as compiled sums read them, k = 0 ahead of all."""
        indices = torch.nn.functional.pad(self.indices.detach(), (0, 0, 1, 0))
        counts = 1 + (self.multiplicity > 0).sum(1)
        return rows_of(indices.long().numpy(), counts.numpy())

    @cached_property
    def _doubled(self) -> "Plan":
        moved: dict[str, Any] = {name: x.double() for name, x in vars(self).items() if isinstance(x, Tensor)}
        return replace(self, **moved)

    def part(self, systems: Tensor) -> "Plan":
        """Take the plan of some systems of the batch."""
        used = self.multiplicity[systems].any(0)
        return Plan(
            self.splitting[systems],
            self.cutoff[systems],
            self.indices[systems][:, used],
            self.multiplicity[systems][:, used],
            self.error[systems],
            tuple(self.grids[k] for k in systems.tolist()),
            self.wave_cell[systems],
            self.radius[systems],
            self.extent_allowed[systems],
            self.rank,
        )


@dataclass(frozen=True)
class AllPairs:
    """Plan of open systems that are summed pair by pair: there is nothing to choose, and no error but rounding."""

    error: float = 0.0


DIRECT = AllPairs()

AnyPlan = Plan | AllPairs


def join_plans(pieces: list[tuple[Tensor, Plan]], count: int, like: Tensor) -> Plan:
    """Join plans of some systems each to one of a batch of ``count``; nothing to be done in the others."""
    waves = max((plan.indices.shape[1] for _, plan in pieces), default=0)
    whole = Plan(
        like.new_ones(count), like.new_zeros(count), like.new_zeros(count, waves, 3), like.new_zeros(count, waves),
        like.new_zeros(count), (None,) * count, like.new_zeros(count, 3, 3), like.new_zeros(count),
        like.new_zeros(count, 3),
    )  # fmt: skip
    grids = list(whole.grids)
    for systems, plan in pieces:
        for name in ("splitting", "cutoff", "error", "wave_cell", "radius", "extent_allowed"):
            getattr(whole, name)[systems] = getattr(plan, name)
        for name in ("indices", "multiplicity"):
            getattr(whole, name)[systems, : plan.indices.shape[1]] = getattr(plan, name)
        for k, grid in zip(systems.tolist(), plan.grids):
            grids[k] = grid
    return replace(whole, grids=tuple(grids), rank=min((plan.rank for _, plan in pieces), default=2))


def make_mesh_plan(placed: PlacedSources, error: float, points: PlacedSources | None = None) -> Plan:
    """Plan the cheapest meshes that reach ``error`` in systems periodic along as many axes; wide enough for ``points``.

    Raises:
        InputError: a cell without volume.
    """
    system = placed.system
    box = box_of(system, None if points is None else points.system)
    sizes = system.atoms_per_system.clamp_min(1).tolist()
    rank = placed.moments.rank
    meshes = [
        cheapest_mesh(box.of(k).key(), count, error, widest=float(widest), uniform=bool(uniform), rank=rank)
        for k, (count, widest, uniform) in enumerate(zip(sizes, *_widths(placed, points)))
    ]
    like = system.positions
    return Plan(
        splitting=like.new_tensor([mesh.splitting for mesh in meshes]),
        cutoff=like.new_tensor([mesh.cutoff for mesh in meshes]),
        indices=like.new_zeros(len(meshes), 0, 3),
        multiplicity=like.new_zeros(len(meshes), 0),
        error=like.new_tensor([mesh.error for mesh in meshes]),
        grids=tuple(mesh.grid for mesh in meshes),
        wave_cell=like.new_tensor(np.stack([mesh.wave_cell for mesh in meshes])),
        radius=like.new_tensor([mesh.radius for mesh in meshes]),
        extent_allowed=like.new_tensor(box.extents + np.array([[BEYOND / mesh.splitting] for mesh in meshes])),
        rank=rank,
    )


def make_plan(placed: PlacedSources, error: float, points: PlacedSources | None = None) -> Plan:
    """Plan the cheapest waves that reach ``error`` in systems periodic along equally many axes; wide enough for points.

    Raises:
        InputError: a cell without volume.
    """
    system = placed.system
    like, sizes = system.positions, system.atoms_per_system.clamp_min(1).tolist()
    widest, uniform = _widths(placed, points)
    box = box_of(system, None if points is None else points.system)
    wish = _Wish(box.key(), tuple(sizes), tuple(widest.tolist()), tuple(uniform.tolist()), error, placed.moments.rank)
    return _waves_for(wish, like.dtype, like.device)


class _Wish(NamedTuple):
    """Everything that a plan of waves depends on."""

    box: tuple[tuple[float, ...], ...]
    sizes: tuple[int, ...]
    widest: tuple[float, ...]
    uniform: tuple[bool, ...]
    error: float
    rank: int


@lru_cache(maxsize=KEPT)
def _waves_for(wish: _Wish, dtype: torch.dtype, device: torch.device) -> Plan:
    """The plan; one and the same for batches of the same cells and sizes, step after step."""
    box, count = Box.from_key(wish.box), np.array(wish.sizes)
    widths, volume = (np.array(wish.widest), np.array(wish.uniform)), box.volume
    summed = volume  # of the cells for the waves, wider than the volume where axes are open
    for _ in range(4 if box.open.any() else 1):
        alpha, bare = _splitting(count, volume * summed, *widths)
        t = _depth(alpha, count / volume, SAFETY * wish.error, wish.rank)
        wave_cell, radius = box.wave_cell((t + BEYOND) / alpha)
        summed = np.abs(np.linalg.det(wave_cell))
    indices, multiplicity = half_of_waves(wave_cell, 2 * alpha * t, origin=bool(box.open.any()))
    expected = np.sqrt(8 * alpha / t) * (count / volume) ** (-1 / 6) * np.exp(-t * t)
    expected = expected * steepened(2 * alpha * t, count / volume, wish.rank)
    extent_allowed = box.extents + BEYOND / alpha[:, None]
    columns = (
        alpha,
        np.where(bare, 0.0, t / alpha),
        indices,
        multiplicity,
        expected,
        wave_cell,
        radius,
        extent_allowed,
    )
    with torch.inference_mode(False):  # kept for all, also for those who differentiate
        moved = [torch.from_numpy(column).to(device, dtype) for column in columns]
    grids: tuple[Grid | None, ...] = (None,) * len(count)
    return Plan(moved[0], moved[1], moved[2], moved[3], moved[4], grids, moved[5], moved[6], moved[7], wish.rank)


def _splitting(count: _Array, volumes: _Array, widest: _Array, uniform: _Array) -> tuple[_Array, _Array]:
    """α that balances the two halves, and where the waves alone do it more cheaply.

    ``volumes`` is that of the sources times that of the waves' cell. Gaussians need α ≤ 1/(2σ), so that their own tail
    too ends within the cutoff; at equality, and one width for all, nothing is left of the real-space sum.
    """
    pair_cost = np.where(widest > 0, GAUSSIAN_PAIR_COST, PAIR_COST)
    balanced = (2 * math.pi**3 * pair_cost * count / volumes) ** (1 / 6)
    with np.errstate(divide="ignore"):
        limit = np.where(widest > 0, 0.5 / widest, np.inf)
    bare = uniform & (limit < 2 ** (1 / 3) * balanced)
    return np.where(bare, limit, np.minimum(balanced, limit)), bare


def _depth(alpha: _Array, density: _Array, error: float, rank: int) -> _Array:
    """The t that solves error = √(8α/t) ρ^(-1/6) exp(-t²), for dipoles and quadrupoles times their own factor."""
    t = np.full_like(alpha, math.sqrt(-math.log(error)))
    for _ in range(8 + 8 * rank):
        factor = steepened(2 * alpha * t, density, rank)
        t = np.sqrt(np.maximum(np.log(np.sqrt(8 * alpha / t) * density ** (-1 / 6) * factor / error), 1.0))
    return t


def half_of_waves(cell: _Array, longest: _Array, *, origin: bool) -> tuple[_Array, _Array]:
    """Integer triples of one half of k-space with 0 < |k| ≤ longest (1/Å), packed to the front of each row.

    The ``origin`` too, and first, where space is open.
    """
    bounds = np.ceil(longest[:, None] * np.linalg.norm(cell, axis=2) / (2 * math.pi)).astype(int).max(0, initial=0)
    axes = [np.arange(0, bounds[0] + 1), *(np.arange(-n, n + 1) for n in bounds[1:])]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    grid = grid[grid @ np.array([1e12, 1e6, 1.0]) > 0]
    k = grid @ (2 * math.pi * np.linalg.inv(cell).transpose(0, 2, 1))  # (systems, grid, 3)
    inside = np.einsum("sga,sga->sg", k, k) <= longest[:, None] ** 2
    most = int(inside.sum(1).max(initial=0))
    order = np.argsort(~inside, axis=1, kind="stable")[:, :most]
    kept = np.take_along_axis(inside, order, 1)
    indices, multiplicity = grid[order] * kept[..., None].astype(float), 2.0 * kept
    if not origin:
        return indices, multiplicity
    nothing = np.zeros((len(cell), 1, 3))
    return np.concatenate([nothing, indices], 1), np.concatenate([nothing[..., 0] + 1, multiplicity], 1)


def _widths(placed: PlacedSources, points: PlacedSources | None = None) -> tuple[_Array, _Array]:
    """Largest width of each system (0 for points), and whether all its widths are the same and fixed."""
    if points is not None:
        (widest, uniform), (other, alike) = _widths(placed), _widths(points)
        return np.maximum(widest, other), uniform & alike & (widest == other)
    systems = placed.system.n_systems
    if placed.widths is None:
        return np.zeros(systems), np.zeros(systems, dtype=bool)
    widths = placed.widths.detach()
    if placed.uniform and len(widths):
        return np.full(systems, float(widths[0])), np.ones(systems, dtype=bool)
    zero = widths.new_zeros(systems)
    largest = zero.scatter_reduce(0, placed.system.system_index, widths, "amax", include_self=True)
    return largest.to("cpu", torch.float64).numpy(), np.full(systems, placed.uniform)
