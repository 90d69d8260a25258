"""Charges and dipoles of pairs on one another, and its derivatives by the vector between them.

With (p, m) at i, (q, μ) at j and d = r_j - r_i a pair's energy is

    T = B_0 pq + B_1 (q d·m - p d·μ + m·μ) - B_2 (d·m)(d·μ)

bilinear in the two; B_{n+1} = -(1/r) dB_n/dr gives every derivative by d. Columns are (q, μ), one a channel.
"""

import math

import numpy as np

from farfield.compiled import Array, compiled, regrouped

ORDERS = 5
"""B_0 to B_4: two derivatives of a force."""

_FACTOR = 2 / math.sqrt(math.pi)
_SERIES_BELOW = 0.5
_NOTHING_ABOVE = 36.0


@compiled
def radial(squared: Array, rate: Array, split: Array) -> Array:
    """B_n ``(pairs, ORDERS)`` of (erf(rate·r) - erf(split·r))/r; rate is infinite for points, split 0 in open space."""
    found = np.zeros((len(squared), ORDERS))
    near, far = np.zeros(ORDERS), np.zeros(ORDERS)
    for p in range(len(squared)):
        _of_erf(squared[p], rate[p], near)
        _of_erf(squared[p], split[p], far)
        for n in range(ORDERS):
            found[p, n] = near[n] - far[n]
    return found


@compiled
def _of_erf(squared: float, rate: float, found: Array) -> None:
    z = rate * rate * squared
    if rate == 0:
        found[:] = 0.0
    elif z > _NOTHING_ABOVE:  # a point; infinite rates too
        value = 1 / math.sqrt(squared)
        for n in range(ORDERS):
            found[n] = value
            value *= (2 * n + 1) / squared
    elif z < _SERIES_BELOW:  # Boys functions, downwards from the last
        gauss = math.exp(-z)
        last = ORDERS - 1
        term = 1 / (2 * last + 1.0)
        value = term
        for k in range(1, 16):
            term *= 2 * z / (2 * last + 2 * k + 1)
            value += term
        value *= gauss
        weight = _FACTOR * rate * (2 * rate * rate) ** last
        for n in range(last, -1, -1):
            found[n] = weight * value
            value = (2 * z * value + gauss) / (2 * n - 1)
            weight /= 2 * rate * rate
    else:
        weight = _FACTOR * rate * math.exp(-z)
        value = math.erf(math.sqrt(z)) / math.sqrt(squared)
        for n in range(ORDERS):
            found[n] = value
            value = ((2 * n + 1) * value - weight) / squared
            weight *= 2 * rate * rate


@regrouped
def potentials(i: Array, j: Array, vector: Array, b: Array, columns: Array) -> Array:
    """∂T/∂(p, m) and ∂T/∂(q, μ), added up at every atom ``(atoms, 4, channels)``."""
    found = np.zeros_like(columns)
    for n in range(len(i)):
        one, two = i[n], j[n]
        x, y, z = vector[n, 0], vector[n, 1], vector[n, 2]
        b0, b1, b2 = b[n, 0], b[n, 1], b[n, 2]
        for c in range(columns.shape[2]):
            q, mx, my, mz = columns[two, 0, c], columns[two, 1, c], columns[two, 2, c], columns[two, 3, c]
            along = x * mx + y * my + z * mz
            pull = b1 * q - b2 * along
            found[one, 0, c] += b0 * q - b1 * along
            found[one, 1, c] += pull * x + b1 * mx
            found[one, 2, c] += pull * y + b1 * my
            found[one, 3, c] += pull * z + b1 * mz
            q, mx, my, mz = columns[one, 0, c], columns[one, 1, c], columns[one, 2, c], columns[one, 3, c]
            along = x * mx + y * my + z * mz
            pull = -b1 * q - b2 * along
            found[two, 0, c] += b0 * q + b1 * along
            found[two, 1, c] += pull * x + b1 * mx
            found[two, 2, c] += pull * y + b1 * my
            found[two, 3, c] += pull * z + b1 * mz
    return found


@regrouped
def gradient(i: Array, j: Array, vector: Array, b: Array, left: Array, right: Array) -> Array:
    """∂/∂d of T(left_i, right_j) + T(right_i, left_j), channels added up ``(pairs, 3)``."""
    found = np.empty((len(i), 3))
    for n in range(len(i)):
        x, y, z = vector[n, 0], vector[n, 1], vector[n, 2]
        b1, b2, b3 = b[n, 1], b[n, 2], b[n, 3]
        fx, fy, fz = 0.0, 0.0, 0.0
        for c in range(left.shape[2]):
            for turn in range(2):
                one, two = (left, right) if turn == 0 else (right, left)
                p, ax, ay, az = one[i[n], 0, c], one[i[n], 1, c], one[i[n], 2, c], one[i[n], 3, c]
                q, mx, my, mz = two[j[n], 0, c], two[j[n], 1, c], two[j[n], 2, c], two[j[n], 3, c]
                da, dm = x * ax + y * ay + z * az, x * mx + y * my + z * mz
                inner = ax * mx + ay * my + az * mz
                steep = b1 * p * q + b2 * (q * da - p * dm + inner) - b3 * da * dm
                to_a, to_m = b1 * q - b2 * dm, -b1 * p - b2 * da
                fx += to_a * ax + to_m * mx - steep * x
                fy += to_a * ay + to_m * my - steep * y
                fz += to_a * az + to_m * mz - steep * z
        found[n, 0], found[n, 1], found[n, 2] = fx, fy, fz
    return found


@regrouped
def along_vectors(i: Array, j: Array, vector: Array, b: Array, along: Array, columns: Array) -> Array:
    """The derivative of ``potentials`` along a change ``(pairs, 3)`` of the vectors."""
    found = np.zeros_like(columns)
    for n in range(len(i)):
        one, two = i[n], j[n]
        x, y, z = vector[n, 0], vector[n, 1], vector[n, 2]
        ux, uy, uz = along[n, 0], along[n, 1], along[n, 2]
        b1, b2, b3 = b[n, 1], b[n, 2], b[n, 3]
        nearer = -(ux * x + uy * y + uz * z)
        for c in range(columns.shape[2]):
            q, mx, my, mz = columns[two, 0, c], columns[two, 1, c], columns[two, 2, c], columns[two, 3, c]
            dm, um = x * mx + y * my + z * mz, ux * mx + uy * my + uz * mz
            on_d, on_m, on_u = nearer * (b2 * q - b3 * dm) - b2 * um, nearer * b2, b1 * q - b2 * dm
            found[one, 0, c] += nearer * (b1 * q - b2 * dm) - b1 * um
            found[one, 1, c] += on_d * x + on_m * mx + on_u * ux
            found[one, 2, c] += on_d * y + on_m * my + on_u * uy
            found[one, 3, c] += on_d * z + on_m * mz + on_u * uz
            q, mx, my, mz = columns[one, 0, c], columns[one, 1, c], columns[one, 2, c], columns[one, 3, c]
            dm, um = x * mx + y * my + z * mz, ux * mx + uy * my + uz * mz
            on_d, on_m, on_u = nearer * (-b2 * q - b3 * dm) - b2 * um, nearer * b2, -b1 * q - b2 * dm
            found[two, 0, c] += nearer * (b1 * q + b2 * dm) + b1 * um
            found[two, 1, c] += on_d * x + on_m * mx + on_u * ux
            found[two, 2, c] += on_d * y + on_m * my + on_u * uy
            found[two, 3, c] += on_d * z + on_m * mz + on_u * uz
    return found


@regrouped
def hessian_vector(i: Array, j: Array, vector: Array, b: Array, along: Array, left: Array, right: Array) -> Array:
    """The derivative of ``gradient`` along a change ``(pairs, 3)`` of the vectors ``(pairs, 3)``."""
    found = np.empty((len(i), 3))
    for n in range(len(i)):
        x, y, z = vector[n, 0], vector[n, 1], vector[n, 2]
        ux, uy, uz = along[n, 0], along[n, 1], along[n, 2]
        b1, b2, b3, b4 = b[n, 1], b[n, 2], b[n, 3], b[n, 4]
        ud = ux * x + uy * y + uz * z
        fx, fy, fz = 0.0, 0.0, 0.0
        for c in range(left.shape[2]):
            for turn in range(2):
                one, two = (left, right) if turn == 0 else (right, left)
                p, ax, ay, az = one[i[n], 0, c], one[i[n], 1, c], one[i[n], 2, c], one[i[n], 3, c]
                q, mx, my, mz = two[j[n], 0, c], two[j[n], 1, c], two[j[n], 2, c], two[j[n], 3, c]
                da, dm = x * ax + y * ay + z * az, x * mx + y * my + z * mz
                ua, um = ux * ax + uy * ay + uz * az, ux * mx + uy * my + uz * mz
                first = q * da - p * dm + ax * mx + ay * my + az * mz
                steep = b1 * p * q + b2 * first - b3 * da * dm
                steeper = b2 * p * q + b3 * first - b4 * da * dm
                on_d = ud * steeper - b2 * (q * ua - p * um) + b3 * (ua * dm + um * da)
                on_a, on_m = -ud * (b2 * q - b3 * dm) - b2 * um, -ud * (-b2 * p - b3 * da) - b2 * ua
                fx += on_d * x + on_a * ax + on_m * mx - steep * ux
                fy += on_d * y + on_a * ay + on_m * my - steep * uy
                fz += on_d * z + on_a * az + on_m * mz - steep * uz
        found[n, 0], found[n, 1], found[n, 2] = fx, fy, fz
    return found
