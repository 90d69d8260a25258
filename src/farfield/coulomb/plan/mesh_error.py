"""The mesh of a smooth particle-mesh sum: what stands between Ewald's waves and it, and the error that remains.

Charges spread by splines of order p have the spectrum Σ_m U(k_m), k_m the aliases of k and U = Π sinc^p. The influence

    G(k) = (4π/V) exp(-k²/4α²)/k² · A(k),    A = Π_axes U²/(Σ_m U_m²)²

makes the energy right on average over positions (Hockney and Eastwood, Computer Simulation Using Particles, ch. 8); A
depends on the mesh alone, so that the cell's derivatives are those of Ewald's weights. (Where axes are open 4π/k² ends
at a radius: truncated_kernel.py.) The mean square of a pair's force error, forces being the exact derivatives of the
energy, is (1/V²) Σ_k of

    Σ_m k_m² φ_m² - 2 G Σ_m k_m² φ_m U_m² + G² Σ_m U_m² Σ_m k_m² U_m²,    φ_m = (4π/k_m²) exp(-k_m²/4α²)

(Ballenegger, Cerdà and Holm, J. Chem. Theory Comput. 8, 936 (2012)). Dipoles and quadrupoles, spread with the
derivatives of the splines, bring the mean f of |L exp(ik·r)|² over their orientations for either partner:

    Σ_m k_m² φ_m² f_m² - 2 G Σ_m k_m² φ_m U_m² f_m² + G² Σ_m U_m² f_m Σ_m k_m² U_m² f_m
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from farfield.compiled import Array
from farfield.coulomb.functions.multipoles import ORIENTED
from farfield.coulomb.functions.truncated_kernel import kernel
from farfield.coulomb.kernels.numba import mesh_sums

MOST_KEPT = 1 << 23
"""Points of influence functions, of cells met before, beyond which the oldest is forgotten."""

SAMPLES = 8
"""Points along half an axis of k-space at which the error is looked up."""

FEW = 12
"""Points of a mesh along an axis up to which its waves are summed one by one instead: a thin cell has only those."""

_ALIASES = (-1, 0, 1)
_FURTHEST = 3


Whole = tuple[float, float, float]

UNTURNED: tuple[Whole, Whole, Whole] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Grid:
    """Points along three vectors of the lattice and the order of the splines."""

    shape: tuple[int, int, int]
    spline: int
    turn: tuple[Whole, Whole, Whole] = UNTURNED  # whole numbers that make those vectors of the cell's

    def along(self, cell: Tensor) -> Tensor:
        """The vectors the mesh runs along ``(3, 3)`` in Å, from those of the cell; differentiable."""
        return cell if self.turn == UNTURNED else cell.new_tensor(self.turn) @ cell


@dataclass(frozen=True)
class Influence:
    """Factors of the transform of the charges; half of k-space, as rfftn has it."""

    weight: Tensor  # (a, b, c//2 + 1), G in 1/Å
    stretch: Tensor | None  # in 3D G · 2(1/k² + 1/4α²): what k⊗k is multiplied with in the strain's derivative


class Covered(NamedTuple):
    """Region that a mesh covers."""

    cell: Tensor  # (3, 3) lattice vectors along periodic axes, those of a box along open ones, Å
    periodic: Tensor  # (3,)
    radius: Tensor  # () Å, where the kernel ends across periodic axes


def influence(box: Covered, splitting: Tensor, grid: Grid) -> Influence:
    """Make the influence function of one system; kept as long as its cell stays what it is and needs no gradient."""
    if box.cell.requires_grad:
        return _influence(box, splitting, grid)
    cell, periodic, radius = box
    values = (*cell.flatten().tolist(), *periodic.tolist(), float(radius), float(splitting))
    key = (values, grid, cell.dtype, cell.device)
    if key not in _kept:
        while sum(one.weight.numel() for one in _kept.values()) > MOST_KEPT:
            _kept.pop(next(iter(_kept)))
        with torch.inference_mode(False):
            own = Covered(cell.detach().clone(), periodic.clone(), radius.detach().clone())
            _kept[key] = _influence(own, splitting.detach().clone(), grid)
    return _kept[key]


_kept: dict[Any, Influence] = {}


def wave_numbers(grid: Grid, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """List the whole numbers of the waves along each axis, the last only from 0 on."""
    a, b, c = grid.shape
    axes = (torch.fft.fftfreq(a, 1 / a), torch.fft.fftfreq(b, 1 / b), torch.fft.rfftfreq(c, 1 / c))
    one, two, three = (axis.to(like).round() for axis in axes)
    return one, two, three


def _influence(box: Covered, splitting: Tensor, grid: Grid) -> Influence:
    numbers = wave_numbers(grid, box.cell)
    here, there, up = (
        torch.from_numpy(_modifier(n, grid.spline)[: len(axis)]).to(box.cell) for n, axis in zip(grid.shape, numbers)
    )
    shape = here[:, None, None] * there[:, None] * up / torch.linalg.det(box.cell).abs()
    if not bool(box.periodic.all()):
        indices = torch.cartesian_prod(*numbers).unsqueeze(0)
        form, squared = kernel(indices, box.cell[None], box.periodic[None], box.radius[None])
        decay = torch.exp(squared * (-0.25 / splitting.square()))
        return Influence(shape * (form * decay).reshape(shape.shape), None)
    a, b, c = numbers
    reciprocal = 2 * math.pi * torch.linalg.inv(box.cell).T
    metric = reciprocal @ reciprocal.T
    in_plane = metric[0, 0] * a[:, None] ** 2 + metric[1, 1] * b**2 + 2 * metric[0, 1] * a[:, None] * b
    cross = 2 * (metric[0, 2] * a[:, None] + metric[1, 2] * b)
    squared = in_plane[:, :, None] + cross[:, :, None] * c + metric[2, 2] * c**2
    origin = torch.zeros_like(squared)
    origin[0, 0, 0] = 1
    squared = squared + origin
    weight = shape * (1 - origin) * torch.exp(squared * (-0.25 / splitting.square())) / squared * (4 * math.pi)
    return Influence(weight, weight * (2 / squared + 0.5 / splitting.square()))


@lru_cache(maxsize=64)
def _modifier(points: int, spline: int) -> Array:
    """A along one axis, in the order of fftfreq; 0 for the highest wave of an even mesh, which has no opposite."""
    n = np.fft.fftfreq(points, 1 / points)
    double = mesh_sums.spline(2 * spline, 0)
    samples = double.pieces.reshape(2 * spline, -1)[:, : 2 * spline]
    at_integers = np.polynomial.polynomial.polyval(0.5, samples[::-1])  # M_2p at 0, 1 … 2p - 1
    phase = 2 * math.pi / points * np.outer(n, np.arange(2 * spline) - spline)
    overlap = np.cos(phase) @ at_integers
    modifier: Array = np.sinc(n / points) ** (2 * spline) / overlap**2
    if points % 2 == 0:
        modifier[points // 2] = 0
    return modifier


def mesh_error(cell: Array, splitting: float, grid: Grid, rank: int = 0) -> float:
    """Estimate the rms force error that the mesh leaves random charges, over K⟨q²⟩√(N/V), in Å^(-1/2).

    Of ``rank`` 1 that of dipoles alone, over K⟨μ²⟩√(N/V), of 2 that of quadrupoles, over K⟨Θ:Θ⟩√(N/V). k-space is
    sampled by Gauss' rule; terms of opposite sign are combined by hand, so that nothing cancels.
    """
    # waves beyond 9α carry nothing, however fine the mesh
    reach = 9 * splitting * np.linalg.norm(cell, axis=1) / (2 * math.pi * np.array(grid.shape))
    fractions, measure = _samples(grid.shape, np.minimum(2 * reach, 1.0))
    reciprocal = np.array(grid.shape)[:, None] * 2 * math.pi * np.linalg.inv(cell).T
    power = {
        m: np.sinc(fractions + m) ** (2 * grid.spline) for m in range(-_FURTHEST, _FURTHEST + 1)
    }  # U², axis by axis
    missed = sum(values for m, values in power.items() if m)
    overlap = power[0] + missed
    lost = -np.expm1(np.log1p(-missed / overlap).sum(-1))  # 1 - U²/ΣU²
    kept, whole = 1 - lost, overlap.prod(-1)

    def alias(m: tuple[int, int, int]) -> tuple[Array, Array]:
        squared = np.square((fractions + m) @ reciprocal).sum(-1)
        return squared, 4 * math.pi * np.exp(-squared / (4 * splitting**2)) / squared

    aliases = [m for m in product(_ALIASES, _ALIASES, _ALIASES) if any(m)]
    spread = {m: power[m[0]][:, 0] * power[m[1]][:, 1] * power[m[2]][:, 2] for m in aliases}
    squared, kernel = alias((0, 0, 0))
    weight = kernel * kept / whole
    if rank == 0:
        mean_form = np.ones_like(whole)  # Σ U² f / Σ U²
        total = squared * kernel**2 * lost * (1 + kept - kept**2)
    else:
        stray = sum(_oriented(alias(m)[0], rank) * spread[m] for m in aliases) / whole
        here = _oriented(squared, rank)
        mean_form = here * kept + stray
        total = squared * kernel**2 * here * (here * (lost * (1 + kept)) ** 2 + stray * kept**3)
    for m in aliases:
        squared, kernel = alias(m)
        u, f = spread[m], _oriented(squared, rank)
        total += squared * f * (f * (kernel**2 - 2 * weight * kernel * u) + weight**2 * whole * mean_form * u)
    return math.sqrt(float(measure @ total) * math.prod(grid.shape) / abs(float(np.linalg.det(cell))))


def _oriented(squared: Array, rank: int) -> Array:
    return ORIENTED[rank] * squared**rank


def _samples(shape: tuple[int, int, int], zone: Array) -> tuple[Array, Array]:
    """Places in k-space, as waves over points ``(samples, 3)``, and their measure; k = 0 left out."""
    axes = [_along(points, float(width)) for points, width in zip(shape, zone)]
    places = np.stack(np.meshgrid(*(fractions for fractions, _ in axes), indexing="ij"), -1).reshape(-1, 3)
    measure = np.einsum("a,b,c->abc", *(weights for _, weights in axes)).reshape(-1)
    there = places.any(1)
    return places[there], measure[there]


def _along(points: int, zone: float) -> tuple[Array, Array]:
    if points <= FEW:
        return (np.arange(points) - points // 2) / points, np.full(points, 1 / points)
    nodes, weights = np.polynomial.legendre.leggauss(SAMPLES)
    half, weight = zone * (nodes + 1) / 4, zone * weights / 4
    return np.concatenate([-half, half]), np.concatenate([weight, weight])
