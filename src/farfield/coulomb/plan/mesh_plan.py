"""Plans of mesh sums: splitting, cutoff, mesh and spline, the cheapest that reach the error asked.

Both halves leave the same share of the error. Real space leaves random charges 2 ρ^(-1/6) √(α/t) exp(-t²) over
K⟨q²⟩ρ^(2/3), t = α·cutoff (Kolafa and Perram 1992); the mesh what mesh_error.py says. For a cube of spacing h the
latter is ρ^(-1/6) √α times a function of αh and p alone: tabulated once it finds h, which the real cell then confirms.
Where there are dipoles or quadrupoles too, each of the ranks is asked for this error over its own scale (plan.py).

The mesh runs along the shortest vectors of the lattice: along those of a skewed cell it would have to be far finer, as
what matters is the distance of aliases.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from farfield.compiled import Array
from farfield.coulomb.functions.multipoles import steepened
from farfield.coulomb.plan.box import Box
from farfield.coulomb.plan.grid import Grid, Whole
from farfield.coulomb.plan.mesh_error import mesh_error

SPLINES = (5, 6, 7, 8, 10, 12)
"""Orders tried: the lowest has three continuous derivatives, enough to train on forces; one more for each rank."""

SHARE = 0.6
"""Of the error asked, what either half aims at: charges are not quite random."""

PAIR, ALIKE_PAIRS = 5.0, (5.0, 100.0, 400.0)
"""ns, one thread; of many Gaussians of one width, which need no pairs, by rank as training counts them; measured."""

SOURCE, WEIGHT, POINT = 50.0, 0.4, 16.0
"""ns: a source, each of its mesh points, a point's way through both transforms."""

SEVERAL = 32
"""Atoms that are many; pairs of fewer take the time of the calls, whatever their rank."""

BEYOND = 0.5
"""Depths t beyond the cutoff's that smearing is given room for across open axes."""


@dataclass(frozen=True)
class MeshPlan:
    """Plan of one system."""

    splitting: float  # 1/Å
    cutoff: float  # Å; 0 where all is left to the mesh
    grid: Grid
    error: float  # expected, relative to K⟨q²⟩(N/V)^(2/3)
    wave_cell: Array  # (3, 3) the cell that the mesh covers, along its own vectors, Å
    radius: float  # Å, where the kernel ends across periodic axes; 0 in 3D


@lru_cache(maxsize=256)
def cheapest_mesh(
    key: tuple[tuple[float, ...], ...],  # of the box of one system
    count: int,
    error: float,
    *,
    widest: float,  # Å, of all Gaussians; 0 for points
    uniform: bool,  # all of one width that nobody differentiates
    rank: int = 0,  # 1 with dipoles, 2 with quadrupoles
    bare: bool = False,  # no pairs, whatever it costs
) -> MeshPlan:
    """Choose the cheapest mesh for ``count`` charges in a cell."""
    box, turn = Box.from_key(key).reduced()
    whole: tuple[Whole, Whole, Whole] = tuple(tuple(row) for row in turn.tolist())  # type: ignore[assignment]
    asked = _Asked(count / float(box.volume[0]), error, rank)
    pair = ALIKE_PAIRS[rank] if uniform and count >= SEVERAL else PAIR
    candidates = _candidates(box, asked, widest=widest, uniform=uniform, bare=bare)
    plan = _confirmed(asked, min(candidates, key=lambda c: _cost(c, count, asked.density, pair)))
    return replace(plan, grid=replace(plan.grid, turn=whole))


@dataclass(frozen=True)
class _Asked:
    density: float  # 1/Å³
    error: float
    rank: int


def _candidates(box: Box, asked: _Asked, *, widest: float, uniform: bool, bare: bool) -> Iterator[MeshPlan]:
    limit = 0.5 / widest if widest > 0 else math.inf
    spacing = asked.density ** (-1 / 3)
    for cutoff in () if bare else spacing * np.geomspace(0.8, 8.0, 40):
        alpha = _splitting(float(cutoff), asked)
        if alpha <= limit:
            yield from _meshes(box, asked, (alpha, float(cutoff)))
    if uniform or limit < math.inf:
        yield from _meshes(box, asked, (limit, 0.0 if uniform else _cutoff(limit, asked)))


def _meshes(box: Box, asked: _Asked, near: tuple[float, float]) -> Iterator[MeshPlan]:
    alpha, cutoff = near
    tail = _cutoff(alpha, asked) + BEYOND / alpha
    wave_cells, radii = box.wave_cell(np.array([tail]))
    wave_cell, radius = wave_cells[0], float(radii[0])
    lengths = 1 / np.linalg.norm(np.linalg.inv(wave_cell), axis=0)  # between opposite faces
    for spline in SPLINES:
        if spline < SPLINES[0] + asked.rank:
            continue
        wanted = SHARE * asked.error * asked.density ** (1 / 6) / math.sqrt(alpha)
        gain = asked.density ** (1 / 3) / alpha
        spacing = min(_spacing(spline, wanted * gain ** (2 * r), r) for r in range(asked.rank + 1)) / alpha
        shape = [round_up(max(length / spacing, 4)) for length in lengths]
        yield MeshPlan(alpha, cutoff, Grid((shape[0], shape[1], shape[2]), spline), asked.error, wave_cell, radius)


def _cost(plan: MeshPlan, count: int, density: float, pair: float) -> float:
    """Time in ns, where a pair takes so many."""
    pairs = count * density * 2 / 3 * math.pi * plan.cutoff**3
    points = plan.grid.spline**2 * (8 if plan.grid.spline <= 8 else 16)  # as many as the registers take
    return pair * pairs + (SOURCE + WEIGHT * points) * count + POINT * math.prod(plan.grid.shape)


def _confirmed(asked: _Asked, plan: MeshPlan) -> MeshPlan:
    """Refine the mesh until it is fine enough for the cell as it is: skewed cells have closer aliases."""
    grid = plan.grid
    for _ in range(40):
        far = max(
            asked.density ** (-1 / 6 - 2 / 3 * rank) * mesh_error(plan.wave_cell, plan.splitting, grid, rank)
            for rank in range(asked.rank + 1)
        )
        if far <= 1.05 * SHARE * asked.error:
            break
        one, two, three = (round_up(n + 1) for n in grid.shape)
        grid = Grid((one, two, three), grid.spline)
    near = _real_error(plan.splitting, plan.cutoff, asked) if plan.cutoff else 0.0
    return replace(plan, grid=grid, error=math.hypot(near, far))


def _real_error(alpha: float, cutoff: float, asked: _Asked) -> float:
    t = alpha * cutoff
    factor = steepened(2 * alpha * t, asked.density, asked.rank)
    return 2 * math.pow(asked.density, -1 / 6) * math.sqrt(alpha / t) * math.exp(-t * t) * factor


def _splitting(cutoff: float, asked: _Asked) -> float:
    """α that leaves beyond the cutoff its share: 2 ρ^(-1/6) exp(-t²)/√cutoff, times what the rank adds."""
    ratio = 2 * asked.density ** (-1 / 6) / math.sqrt(cutoff) / (SHARE * asked.error)
    t = math.sqrt(max(math.log(ratio), 1.0))
    for _ in range(20 if asked.rank else 0):
        factor = steepened(2 * t * t / cutoff, asked.density, asked.rank)
        t = math.sqrt(max(math.log(ratio * factor), 1.0))
    return t / cutoff


def _cutoff(alpha: float, asked: _Asked) -> float:
    t = 3.0
    for _ in range(20):
        ratio = 2 * asked.density ** (-1 / 6) * math.sqrt(alpha / t) / (SHARE * asked.error)
        t = math.sqrt(max(math.log(ratio * steepened(2 * alpha * t, asked.density, asked.rank)), 1.0))
    return t / alpha


@lru_cache(maxsize=32)
def _universal(spline: int, rank: int) -> tuple[Array, Array]:
    """Logarithms of αh, rising, and of the error of a cubic mesh over K⟨q²⟩√(ρα); of dipoles alone, or quadrupoles."""
    spread = np.geomspace(0.1, 2.5, 16)
    points = 16
    errors = [mesh_error(np.eye(3) * points * h, 1.0, Grid((points,) * 3, spline), rank) for h in spread]
    return np.log(spread), np.maximum.accumulate(np.log(errors))


def _spacing(spline: int, wanted: float, rank: int) -> float:
    """αh at which the mesh leaves ``wanted``."""
    spread, errors = _universal(spline, rank)
    return float(np.exp(np.interp(math.log(wanted), errors, spread)))


def round_up(value: float) -> int:
    """The next product of 2, 3, 5 and 7."""
    n = max(math.ceil(value - 1e-9), 1)
    while not _smooth(n):
        n += 1
    return n


def _smooth(n: int) -> bool:
    for prime in (2, 3, 5, 7):
        while n % prime == 0:
            n //= prime
    return n == 1
