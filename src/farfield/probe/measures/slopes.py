"""Slopes of the energy by differences, for what claims to be one."""

from collections.abc import Callable, Sequence

import ase
import numpy as np

from farfield.probe.stage import Stage
from farfield.probe.subject import Floats

EXACT = 1e-7
"""Rounding of energies, in eV, below which small steps are worth a look."""
ROUNDED, COARSER = 1e-5, 4
"""Rounding of energies, in eV, from which on steps are so many times as coarse."""


def nearest_slopes(
    stage: Stage,
    ways: Sequence[Callable[[float], ase.Atoms]],  # the structure some way along each direction
    found: Floats,  # (directions,), what the model says the slopes are
    steps: tuple[float, float],  # fine and coarse
    noise: float,  # eV, rounding of the energies
) -> tuple[Floats, float]:
    """Fourth-order differences of the energy ``(directions,)``, and by how much rounding may spoil them.

    Of a fine and a coarse step the one that agrees better: where a sum is truncated the energy has steps of less than
    its error, which spoil fine differences; curvature spoils coarse ones; a fault of the model spoils both. Energies
    that are rounded take the coarse step alone, or one that is coarser still.
    """
    tried = steps if noise < EXACT else (steps[1] * (1 if noise < ROUNDED else COARSER),)
    slopes = np.array([_differences(stage, ways, step) for step in tried])
    best = np.abs(slopes - found).argmin(0)
    return slopes[best, np.arange(len(found))], 3 * noise / min(tried)


def _differences(stage: Stage, ways: Sequence[Callable[[float], ase.Atoms]], step: float) -> Floats:
    frames = [at(k * step) for at in ways for k in (-2, -1, 1, 2)]
    slopes: Floats = stage.energies(frames).reshape(-1, 4) @ np.array([1, -8, 8, -1]) / (12 * step)
    return slopes
