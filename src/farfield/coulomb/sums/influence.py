"""The influence function of a smooth particle-mesh sum: what stands between Ewald's waves and a mesh.

Charges spread by splines of order p have the spectrum Σ_m U(k_m), k_m the aliases of k and U = Π sinc^p. The influence

    G(k) = (4π/V) exp(-k²/4α²)/k² · A(k),    A = Π_axes U²/(Σ_m U_m²)²

makes the energy right on average over positions (Hockney and Eastwood, Computer Simulation Using Particles, ch. 8); A
depends on the mesh alone, so that the cell's derivatives are those of Ewald's weights. (Where axes are open 4π/k² ends
at a radius: truncated_kernel.py.)
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from farfield.compiled import Array
from farfield.coulomb.functions.truncated_kernel import kernel
from farfield.coulomb.kernels.numba import mesh_sums
from farfield.coulomb.plan.grid import Grid

MOST_KEPT = 1 << 23
"""Points of influence functions, of cells met before, beyond which the oldest is forgotten."""


@dataclass(frozen=True)
class Influence:
    """Factors of the transform of the charges; half of k-space, as rfftn has it."""

    weight: Tensor  # (a, b, c//2 + 1), G in 1/Å
    stretch: Tensor | None  # in 3D G · 2(1/k² + 1/4α²): what k⊗k is multiplied with in the strain's derivative


class Covered(NamedTuple):
    """Region that a mesh covers."""

    cell: Tensor  # (3, 3) lattice vectors along periodic axes, those of a box along open ones, Å
    periodic: Tensor  # (3,)
    radius: Tensor  # () Å, where the kernel ends across periodic axes


def influence(box: Covered, splitting: Tensor, grid: Grid) -> Influence:
    """Make the influence function of one system; kept as long as its cell stays what it is and needs no gradient."""
    if box.cell.requires_grad:
        return _influence(box, splitting, grid)
    cell, periodic, radius = box
    values = (*cell.flatten().tolist(), *periodic.tolist(), float(radius), float(splitting))
    key = (values, grid, cell.dtype, cell.device)
    if key not in _kept:
        while sum(one.weight.numel() for one in _kept.values()) > MOST_KEPT:
            _kept.pop(next(iter(_kept)))
        with torch.inference_mode(False):
            own = Covered(cell.detach().clone(), periodic.clone(), radius.detach().clone())
            _kept[key] = _influence(own, splitting.detach().clone(), grid)
    return _kept[key]


_kept: dict[Any, Influence] = {}


def wave_numbers(grid: Grid, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """List the whole numbers of the waves along each axis, the last only from 0 on."""
    a, b, c = grid.shape
    axes = (torch.fft.fftfreq(a, 1 / a), torch.fft.fftfreq(b, 1 / b), torch.fft.rfftfreq(c, 1 / c))
    one, two, three = (axis.to(like).round() for axis in axes)
    return one, two, three


def _influence(box: Covered, splitting: Tensor, grid: Grid) -> Influence:
    numbers = wave_numbers(grid, box.cell)
    here, there, up = (
        torch.from_numpy(_modifier(n, grid.spline)[: len(axis)]).to(box.cell) for n, axis in zip(grid.shape, numbers)
    )
    shape = here[:, None, None] * there[:, None] * up / torch.linalg.det(box.cell).abs()
    if not bool(box.periodic.all()):
        indices = torch.cartesian_prod(*numbers).unsqueeze(0)
        form, squared = kernel(indices, box.cell[None], box.periodic[None], box.radius[None])
        decay = torch.exp(squared * (-0.25 / splitting.square()))
        return Influence(shape * (form * decay).reshape(shape.shape), None)
    a, b, c = numbers
    reciprocal = 2 * math.pi * torch.linalg.inv(box.cell).T
    metric = reciprocal @ reciprocal.T
    in_plane = metric[0, 0] * a[:, None] ** 2 + metric[1, 1] * b**2 + 2 * metric[0, 1] * a[:, None] * b
    cross = 2 * (metric[0, 2] * a[:, None] + metric[1, 2] * b)
    squared = in_plane[:, :, None] + cross[:, :, None] * c + metric[2, 2] * c**2
    origin = torch.zeros_like(squared)
    origin[0, 0, 0] = 1
    squared = squared + origin
    weight = shape * (1 - origin) * torch.exp(squared * (-0.25 / splitting.square())) / squared * (4 * math.pi)
    return Influence(weight, weight * (2 / squared + 0.5 / splitting.square()))


@lru_cache(maxsize=64)
def _modifier(points: int, spline: int) -> Array:
    """A along one axis, in the order of fftfreq; 0 for the highest wave of an even mesh, which has no opposite."""
    n = np.fft.fftfreq(points, 1 / points)
    double = mesh_sums.spline(2 * spline, 0)
    samples = double.pieces.reshape(2 * spline, -1)[:, : 2 * spline]
    at_integers = np.polynomial.polynomial.polyval(0.5, samples[::-1])  # M_2p at 0, 1 … 2p - 1
    phase = 2 * math.pi / points * np.outer(n, np.arange(2 * spline) - spline)
    overlap = np.cos(phase) @ at_integers
    modifier: Array = np.sinc(n / points) ** (2 * spline) / overlap**2
    if points % 2 == 0:
        modifier[points // 2] = 0
    return modifier
