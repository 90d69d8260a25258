"""Atomic charges from an electron density: minimal basis iterative stockholder (MBIS).

Verstraelen et al., J. Chem. Theory Comput. 12, 3894 (2016). The pro-density is a sum of Slater shells,

    ρ₀(r) = Σ_A Σ_m N_m exp(-|r - R_A|/σ_m) / (8π σ_m³),

whose populations and widths are iterated to the Kullback-Leibler minimum,

    N_m = ∫ ρ ρ_m/ρ₀,     σ_m = ∫ ρ |r - R_A| ρ_m/ρ₀ / (3 N_m).
"""

import numpy as np
from numpy.typing import NDArray

from farfield.errors import ConvergenceError

Array = NDArray[np.float64]

_NOBLE = (2, 10, 18, 36, 54, 86, 118)
_PERIODS = (2, 8, 8, 18, 18, 32, 32)


def mbis_charges(
    density: Array,  # (points,), electrons/bohr³
    weights: Array,  # (points,), bohr³
    points: Array,  # (points, 3), bohr
    positions: Array,  # (atoms, 3), bohr
    numbers: NDArray[np.int64],  # (atoms,)
    *,
    nuclear_charges: Array | None = None,  # (atoms,); smaller than numbers under a core potential
    total_charge: float,
    tolerance: float = 1e-7,
    max_steps: int = 2000,
) -> Array:
    """MBIS charges ``(atoms,)`` in e, summing to ``total_charge``.

    What the quadrature misses of the electron number (about 1e-4) is put back in proportion to the populations.

    Raises:
        ConvergenceError: the populations still moved by more than ``tolerance`` after ``max_steps``.
    """
    core = numbers.astype(float) if nuclear_charges is None else nuclear_charges
    owner, population, width = _first_shells(numbers)
    distance = np.linalg.norm(points[None] - positions[:, None], axis=-1)[owner]  # (shells, points)
    electrons = density * weights
    for _ in range(max_steps):
        shells = (population / (8 * np.pi * width**3))[:, None] * np.exp(-distance / width[:, None])
        share = shells * (electrons / np.maximum(shells.sum(0), 1e-100))
        moved = share.sum(1)
        width = np.einsum("sp,sp->s", share, distance) / (3 * np.maximum(moved, 1e-12))
        change = np.abs(moved - population).max()
        population = np.maximum(moved, 1e-12)
        if change < tolerance:
            break
    else:
        raise ConvergenceError(f"MBIS populations still change by {change:.1e} after {max_steps} steps")
    atoms = np.bincount(owner, weights=population, minlength=len(numbers))
    missing = core.sum() - total_charge - atoms.sum()
    return np.asarray(core - atoms * (1 + missing / atoms.sum()))


def _first_shells(numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], Array, Array]:
    """Owner, population and width (bohr) of every Slater shell: one per period of the element."""
    owner, population, width = [], [], []
    for atom, number in enumerate(numbers):
        period = next(p for p, last in enumerate(_NOBLE) if number <= last)
        electrons = [*_PERIODS[:period], number - (_NOBLE[period - 1] if period else 0)]
        owner += [atom] * len(electrons)
        population += electrons
        # inner shell at 1/2Z, outer one at 1/2 bohr, geometric between (section 2.4 of the paper)
        width += list(np.geomspace(0.5 / number, 0.5, len(electrons)) if period else [0.5])
    return np.array(owner), np.array(population, float), np.array(width)
