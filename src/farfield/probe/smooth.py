"""Steps in a function that should have none, from values on a fine grid.

A step δ between two points makes fourth differences of up to 3δ there; what a smooth function makes is h⁴ f'''' and
alike for neighbouring points, so that the median around takes care of it.
"""

import numpy as np

from farfield.probe.subject import Floats

AROUND = 10
"""Points on either side that say how smooth the function is."""


def largest_step(values: Floats) -> tuple[float, int]:
    """The largest step between neighbouring points along axis 0 and about where it is; 0 where all is smooth."""
    fourth = np.abs(np.diff(values, 4, axis=0)).reshape(len(values) - 4, -1).max(1)
    padded = np.pad(fourth, AROUND, mode="reflect")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND + 1), axis=1)
    excess = np.maximum(fourth - 5 * around, 0) / 3
    at = int(excess.argmax())
    return float(excess[at]), at + 2
