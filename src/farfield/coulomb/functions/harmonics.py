"""Real solid harmonics r^l C_lm, C_lm in Racah's normalisation: C_00 = 1, and z/r, x/r, y/r stand first for l = 1."""

import math

import torch
from torch import Tensor

HIGHEST = 6
"""l up to which recurrences have been tried."""


def solid_harmonics(vectors: Tensor, highest: int) -> Tensor:
    """``(..., (highest + 1)²)`` of ``vectors`` (..., 3), in their unit to the l-th; m = -l … l for every l.

    By recurrence (Hobson 1931): no angles, no divisions, smooth at the origin.
    """
    x, y, z = vectors.unbind(-1)
    squared = vectors.square().sum(-1)
    one = torch.ones_like(x)
    # (x + iy)^m
    cosines, sines = [one], [torch.zeros_like(x)]
    for _ in range(highest):
        c, s = cosines[-1], sines[-1]
        cosines.append(x * c - y * s)
        sines.append(y * c + x * s)
    # r^(l-m) d^m P_l/dz^m, over (2m-1)!! at l = m
    upright: dict[tuple[int, int], Tensor] = {}
    for m in range(highest + 1):
        upright[m, m] = one * math.prod(range(1, 2 * m, 2))
        for n in range(m + 1, highest + 1):
            below = upright[n - 2, m] if n - 2 >= m else 0.0
            upright[n, m] = ((2 * n - 1) * z * upright[n - 1, m] - (n + m - 1) * squared * below) / (n - m)
    found = []
    for n in range(highest + 1):
        for m in range(-n, n + 1):
            k = abs(m)
            size = math.sqrt((2 if m else 1) * math.factorial(n - k) / math.factorial(n + k))
            found.append(size * upright[n, k] * (sines[k] if m < 0 else cosines[k]))
    return torch.stack(found, -1)
