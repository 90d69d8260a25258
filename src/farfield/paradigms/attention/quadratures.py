"""Plane waves that stand for all of them: the reciprocal lattice, or shells of directions where nothing is periodic.

A half of them is listed; the other half, -k, makes the real part of what this one does, and is in the weights.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import spherical_jn
from torch import Tensor

from farfield.coulomb.plan.box import box_of
from farfield.paradigms.attention.waves import TAIL, highest, transform
from farfield.system import System

ERROR = 1e-6
"""Of shells: how exactly the mean over all directions is that of the grid."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class WeighedWaves:
    """Waves of every system, as many for each, and how much of each there is in every K_n."""

    vectors: Tensor  # (systems, waves, 3), 1/Å
    weights: Tensor  # (systems, waves, frequencies)


def lattice_waves(system: System, span: Tensor, count: int) -> WeighedWaves:
    """Reciprocal lattice vectors of crystals; along open axes those of a box too large for the images to be felt.

    Raises:
        InputError: a periodic system without volume.
    """
    most = highest(float(span), count)
    box = box_of(system)
    lengths = np.where(box.open, box.extents + TAIL * float(span), 1.0)
    around = torch.as_tensor(box.frame * lengths[:, :, None], dtype=system.cell.dtype, device=system.cell.device)
    cell = torch.where(system.periodic.unsqueeze(2), system.cell, around)
    whole = [_half_lattice(rows, most) for rows in cell.detach().cpu().double().numpy()]
    longest = max(map(len, whole))
    padded = np.stack([np.pad(rows, ((0, longest - len(rows)), (0, 0))) for rows in whole])
    listed = torch.arange(longest) < torch.tensor([[len(rows)] for rows in whole])
    integers = torch.as_tensor(padded, dtype=cell.dtype, device=cell.device)
    vectors = 2 * math.pi * integers @ torch.linalg.inv(cell).transpose(1, 2)
    zero = (integers == 0).all(2)
    length = torch.where(zero, 1.0, vectors.square().sum(2)).sqrt()
    share = torch.where(zero, 1.0, 2.0) * listed.to(cell) / torch.linalg.det(cell).abs()[:, None]
    return WeighedWaves(vectors, share.unsqueeze(2) * transform(torch.where(zero, 0.0, length), span, count))


def _half_lattice(cell: Array, most: float) -> Array:
    """The whole numbers ``(waves, 3)`` of reciprocal lattice vectors up to a length: zero, and one of n and -n."""
    edge = np.floor(most * np.linalg.norm(cell, axis=1) / (2 * np.pi)).astype(int)
    axes = [np.arange(0 if axis == 0 else -edge[axis], edge[axis] + 1) for axis in range(3)]
    n = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    first = (n[:, 0] > 0) | (n[:, 0] == 0) & ((n[:, 1] > 0) | (n[:, 1] == 0) & (n[:, 2] >= 0))
    n = n[first]
    length = 2 * np.pi * np.linalg.norm(n @ np.linalg.inv(cell).T, axis=1)
    kept: Array = n[length <= most].astype(float)
    return kept


def shell_waves(extent: float, span: Tensor, count: int) -> WeighedWaves:
    """Shells of directions for one open system of which no two atoms are further apart than ``extent`` Å.

    Their number follows from the extent and not from the atoms. The error of a mean over all directions is below
    ``ERROR`` for every distance up to the extent.
    """
    fading = math.sqrt(-2 * math.log(ERROR))
    step = 2 * math.pi / (extent + fading * float(span))
    shells = math.ceil((count * math.pi + fading) / float(span) / step)
    vectors, parts = [], []
    for shell in range(1, shells + 1):
        k = shell * step
        unit, weight = half_sphere(_degree(k * extent))
        vectors.append(k * unit)
        parts.append(step * k * k / (2 * math.pi**2) * weight)
    found, share = (torch.from_numpy(np.concatenate(rows)).to(span) for rows in (vectors, parts))
    weights = share[:, None] * transform(torch.linalg.vector_norm(found, dim=1), span, count)
    return WeighedWaves(found[None], weights[None])


@lru_cache(maxsize=512)
def half_sphere(degree: int) -> tuple[Array, Array]:
    """Directions ``(points, 3)`` and weights ``(points,)`` whose real parts average polynomials of a degree exactly.

    Gauss' nodes along z times even steps around it. Half a sphere is enough, as u and -u give conjugate numbers.
    """
    rings = 2 * math.ceil((degree + 1) / 4)
    around = 2 * math.ceil((degree + 1) / 2)
    z, weight = np.polynomial.legendre.leggauss(rings)
    z, weight = z[rings // 2 :], weight[rings // 2 :]
    angle = 2 * np.pi * np.arange(around) / around
    sine = np.sqrt(1 - z * z)[:, None]
    points = np.stack(
        [sine * np.cos(angle), sine * np.sin(angle), np.broadcast_to(z[:, None], sine.shape[:1] + angle.shape)], -1
    )
    return points.reshape(-1, 3), np.repeat(weight / around, around)


def _degree(phase: float) -> int:
    """Degree a rule needs for exp(iz·u), |z| ≤ ``phase``: what it holds of higher orders is below ``ERROR``."""
    orders = np.arange(int(phase) + 60)
    size = (2 * orders + 1) * np.abs(spherical_jn(orders, phase))
    return int(np.nonzero(size > ERROR)[0].max(initial=0))
