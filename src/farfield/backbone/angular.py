"""Real spherical harmonics and the couplings that multiply them, in plain torch.

A harmonic is written as a fixed contraction of the Cartesian powers r̂, r̂⊗r̂, r̂⊗r̂⊗r̂, so that its derivatives of any
order are matrix products; beyond l = 3 recurrences are shorter. Normalised to Σ_m Y_lm² = 2l + 1 ("component": every
entry has unit mean square on the sphere); m runs from -l to l, the l = 1 triple is (y, z, x)√3.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from farfield.coulomb.functions.harmonics import solid_harmonics

CARTESIAN = 3
"""l up to which harmonics are contractions of Cartesian powers."""
Array = NDArray[np.float64]


def spherical_harmonics(unit: Tensor, l_max: int) -> Tensor:
    """Harmonics ``(points, (l_max + 1)²)`` of unit vectors ``(points, 3)``."""
    power, parts = unit, [torch.ones_like(unit[:, :1])]
    for order in range(1, min(l_max, CARTESIAN) + 1):
        parts.append(power @ cartesian_form(order, unit))
        if order < l_max:
            power = (power[:, :, None] * unit[:, None, :]).flatten(1)
    if l_max > CARTESIAN:
        every = solid_harmonics(unit, l_max)
        parts += [math.sqrt(2 * k + 1) * every[:, k * k : (k + 1) ** 2] for k in range(CARTESIAN + 1, l_max + 1)]
    return torch.cat(parts, dim=1)


def cartesian_form(order: int, like: Tensor) -> Tensor:
    """The matrix ``(3^order, 2·order + 1)`` that takes the Cartesian power to the harmonics of that order.

    Its columns, read as tensors, are symmetric and traceless: transposed it takes l = 2 components to (3, 3).
    """
    return torch.as_tensor(_cartesian_form(order), dtype=like.dtype, device=like.device)


@lru_cache
def _cartesian_form(order: int) -> Array:
    points = _random_directions(200)
    power = points
    for _ in range(order - 1):
        power = np.einsum("pi,pj->pij", power, points).reshape(len(points), -1)
    # the minimum-norm solution is the symmetric one
    form = np.linalg.lstsq(power, _polynomials(points, order), rcond=1e-10)[0]
    return np.asarray(np.where(np.abs(form) < 1e-12, 0.0, form))


def _polynomials(points: Array, order: int) -> Array:
    """Homogeneous real solid harmonics of one order on the unit sphere, ``(points, 2·order + 1)``."""
    x, y, z = points.T
    r2 = x * x + y * y + z * z
    if order == 0:
        return np.ones((len(points), 1))
    if order == 1:
        return np.asarray(np.sqrt(3) * np.stack([y, z, x], 1))
    if order == 2:
        five = [x * y, y * z, (3 * z * z - r2) / np.sqrt(12), x * z, (x * x - y * y) / 2]
        return np.asarray(np.sqrt(15) * np.stack(five, 1))
    if order > CARTESIAN:
        every = solid_harmonics(torch.from_numpy(points), order).numpy()
        return np.asarray(math.sqrt(2 * order + 1) * every[:, order * order :])
    return np.stack(
        [
            np.sqrt(35 / 8) * y * (3 * x * x - y * y),
            np.sqrt(105) * x * y * z,
            np.sqrt(21 / 8) * y * (5 * z * z - r2),
            np.sqrt(7 / 4) * z * (5 * z * z - 3 * r2),
            np.sqrt(21 / 8) * x * (5 * z * z - r2),
            np.sqrt(105 / 4) * z * (x * x - y * y),
            np.sqrt(35 / 8) * x * (x * x - 3 * y * y),
        ],
        1,
    )


@lru_cache
def gaunt(l1: int, l2: int, l3: int) -> Array:
    """Coupling ``(2l1+1, 2l2+1, 2l3+1)``: ∝ ∮ Y_l1 Y_l2 Y_l3, unit variance out for unit variance in.

    It vanishes unless the triangle holds and l1 + l2 + l3 is even: the products that keep natural parity.
    """
    nodes = max(8, (l1 + l2 + l3) // 2 + 1)  # exact to degree 2·nodes - 1
    cosines, weights = np.polynomial.legendre.leggauss(nodes)
    angles = np.arange(2 * nodes) * np.pi / nodes
    sine = np.sqrt(1 - cosines**2)[:, None]
    upright = np.broadcast_to(cosines[:, None], (nodes, 2 * nodes))
    points = np.stack([sine * np.cos(angles), sine * np.sin(angles), upright], -1).reshape(-1, 3)
    weight = np.repeat(weights / 2, 2 * nodes) / (2 * nodes)
    y1, y2, y3 = (_polynomials(points, order) for order in (l1, l2, l3))
    coupling = np.einsum("p,pa,pb,pc->abc", weight, y1, y2, y3)
    coupling[np.abs(coupling) < 1e-12] = 0.0
    norm = np.sqrt((coupling**2).sum() / (2 * l3 + 1))
    return np.asarray(coupling / norm if norm > 0 else coupling)


def paths(l_max: int, l_out: int, *, symmetric: bool) -> list[tuple[int, int, int]]:
    """All (l1, l2, l3) with l1, l2 ≤ l_max and l3 ≤ l_out that couple; l1 ≤ l2 only if ``symmetric``."""
    orders = range(l_max + 1)
    return [
        (l1, l2, l3)
        for l1 in orders
        for l2 in orders[l1 if symmetric else 0 :]
        for l3 in range(abs(l1 - l2), min(l1 + l2, l_out) + 1, 2)
    ]


def _random_directions(count: int) -> Array:
    v = np.random.default_rng(0).normal(size=(count, 3))
    return np.asarray(v / np.linalg.norm(v, axis=1, keepdims=True))
