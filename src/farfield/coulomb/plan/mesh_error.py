"""The error that a mesh leaves of a smooth particle-mesh sum.

With the influence function G and the spectra U of the splines (influence.py), forces being the exact derivatives of the
energy, the mean square of a pair's force error is (1/V²) Σ_k of

    Σ_m k_m² φ_m² - 2 G Σ_m k_m² φ_m U_m² + G² Σ_m U_m² Σ_m k_m² U_m²,    φ_m = (4π/k_m²) exp(-k_m²/4α²)

(Ballenegger, Cerdà and Holm, J. Chem. Theory Comput. 8, 936 (2012)). Dipoles and quadrupoles, spread with the
derivatives of the splines, bring the mean f of |L exp(ik·r)|² over their orientations for either partner:

    Σ_m k_m² φ_m² f_m² - 2 G Σ_m k_m² φ_m U_m² f_m² + G² Σ_m U_m² f_m Σ_m k_m² U_m² f_m
"""

import math
from itertools import product

import numpy as np

from farfield.compiled import Array
from farfield.coulomb.functions.multipoles import ORIENTED
from farfield.coulomb.plan.grid import Grid

SAMPLES = 8
"""Points along half an axis of k-space at which the error is looked up."""

FEW = 12
"""Points of a mesh along an axis up to which its waves are summed one by one instead: a thin cell has only those."""

_ALIASES = (-1, 0, 1)
_FURTHEST = 3


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
