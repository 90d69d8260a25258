"""An atom's density in the potential it feels, in one pass: what an iteration asks for again and again."""

import math

import numpy as np

from farfield.compiled import Array, compiled


@compiled
def response_to(
    potentials: Array,  # (atoms, 4)
    self_term: Array,  # (atoms, 4)
    charge: Array,  # (atoms,)
    dipole: Array,  # (atoms, 3)
    softness: Array,  # (atoms,)
    polarizability: Array,  # (atoms,)
    height: Array,  # (atoms, steps)
    place: Array,  # (atoms, steps)
    slope: Array,  # (atoms, steps)
    turn: Array,  # (atoms, steps, 3)
) -> tuple[Array, Array]:
    """The density, and the row of the susceptibility that a potential moves, both ``(atoms, 4)``."""
    density, row = np.empty_like(potentials), np.empty_like(potentials)
    for i in range(len(potentials)):
        u = potentials[i, 0] - self_term[i, 0] * charge[i]
        x = self_term[i, 1] * dipole[i, 0] - potentials[i, 1]
        y = self_term[i, 2] * dipole[i, 1] - potentials[i, 2]
        z = self_term[i, 3] * dipole[i, 2] - potentials[i, 3]
        q, soft = charge[i] - softness[i] * u, softness[i]
        mx = dipole[i, 0] + polarizability[i] * x
        my = dipole[i, 1] + polarizability[i] * y
        mz = dipole[i, 2] + polarizability[i] * z
        sx, sy, sz = 0.0, 0.0, 0.0
        for k in range(height.shape[1]):
            nx, ny, nz, a = turn[i, k, 0], turn[i, k, 1], turn[i, k, 2], slope[i, k]
            there = math.tanh(place[i, k] + a * u + nx * x + ny * y + nz * z)
            pull = height[i, k] * (there - math.tanh(place[i, k]))
            q -= pull * a
            mx += pull * nx
            my += pull * ny
            mz += pull * nz
            bend = height[i, k] * (1 - there * there) * a
            soft += bend * a
            sx -= bend * nx
            sy -= bend * ny
            sz -= bend * nz
        density[i, 0], density[i, 1], density[i, 2], density[i, 3] = q, mx, my, mz
        row[i, 0], row[i, 1], row[i, 2], row[i, 3] = soft, sx, sy, sz
    return density, row
