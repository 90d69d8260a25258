"""Steps in a function that should have none, from values on a fine grid.

A step δ between two points makes fourth differences of up to 3δ there; what a smooth function makes is h⁴ f'''', alike
for neighbouring points, so that the median around takes care of most of it. What is left is looked at again on a finer
grid: a step stays, a steep place goes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from farfield.probe.subject import Floats

AROUND = 10
"""Points on either side that say how smooth the function is."""
FINER, LOOKS = 5, 3
NEGLIGIBLE = 1e-6
"""Steps (eV, eV/Å) that nobody looks at again."""

Function = Callable[[Floats], list[Floats]]
"""Points in; for each quantity its values ``(points, ...)`` out."""


@dataclass(frozen=True)
class Step:
    """The largest that is left."""

    size: float
    at: float


def largest_steps(function: Function, grid: Floats) -> tuple[list[Floats], list[Step]]:
    """Values of every quantity on the (even) grid, and the largest step of each."""
    values = function(grid)
    return values, [_confirmed(function, k, grid, quantity) for k, quantity in enumerate(values)]


def _confirmed(function: Function, which: int, grid: Floats, values: Floats) -> Step:
    """The largest step of one quantity, smaller and smaller grids about it until it no longer shrinks."""
    size, place = _largest(values)
    at, spacing = float(grid[place]), float(grid[1] - grid[0])
    for _ in range(LOOKS):
        spacing /= FINER
        near = at + np.arange(-2 * FINER - AROUND, 2 * FINER + AROUND + 1) * spacing
        near = near[(near >= grid[0]) & (near <= grid[-1])]
        if size < NEGLIGIBLE or len(near) < AROUND:
            break
        finer, place = _largest(function(near)[which])
        at = float(near[place])
        if finer > 0.5 * size:
            break
        size = finer
    return Step(size, at)


def _largest(values: Floats) -> tuple[float, int]:
    fourth = np.abs(np.diff(values, 4, axis=0)).reshape(len(values) - 4, -1).max(1)
    padded = np.pad(fourth, AROUND, mode="symmetric" if len(fourth) >= AROUND else "wrap")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND + 1), axis=1)
    excess = np.maximum(fourth - 5 * around, 0) / 3
    at = int(excess.argmax())
    return float(excess[at]), at + 2
