"""Waves at the atoms: C_lm(∇) takes every wave times i^l C_lm(k), so that all of l and m share their structure factors.

k ends where the Gaussians have decayed; how far that is depends on the width alone, and wide orbitals take few waves.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from scipy.special import gammainccinv
from torch import Tensor

from farfield.compiled import Array
from farfield.coulomb.functions.harmonics import solid_harmonics
from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.box import Box, box_of, summed_cell
from farfield.coulomb.plan.mesh_plan import BEYOND
from farfield.coulomb.plan.plan import half_of_waves
from farfield.coulomb.projections.kernels import SmoothKernel
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.structure_factors import gather, spread, waves_at


def by_waves(placed: PlacedSources, kernel: SmoothKernel, width: float, order: int, error: float) -> Tensor:
    """C_lm(∇) Σ q v ``(atoms, (order + 1)², channels)``, each charge itself included; differentiable."""
    system, charges = placed.system, placed.charges
    planned = _waves(box_of(system).key(), width, order, error)
    wave_cell, radius, indices, multiplicity = (torch.from_numpy(x).to(system.positions) for x in planned)
    cell, padding = summed_cell(system, wave_cell), Padding.of(system)
    phases, waves = waves_at(system, padding, cell, indices)
    cosine, sine = spread(phases, padding.pad(charges), waves)
    form = kernel.waves(indices, cell, system.periodic, radius, width)
    weight = multiplicity * form / torch.linalg.det(cell).abs().unsqueeze(1)
    k = indices @ (2 * math.pi * torch.linalg.inv(cell).transpose(1, 2))
    harmonics = (weight.unsqueeze(2) * solid_harmonics(k, order)).unsqueeze(3)  # (systems, waves, lm, 1)
    real, imaginary = [], []
    for n in range(order + 1):
        here = harmonics[:, :, n * n : (n + 1) ** 2]
        one, two = here * cosine.unsqueeze(2), here * sine.unsqueeze(2)
        real.append((one, two, -one, -two)[n % 4])
        imaginary.append((two, -one, -two, one)[n % 4])
    one, two = (torch.cat(parts, 2).flatten(2) for parts in (real, imaginary))
    values = padding.unpad(gather(phases, one, two, waves))
    return values.reshape(len(charges), -1, charges.shape[1])


@lru_cache(maxsize=64)
def _waves(
    key: tuple[tuple[float, ...], ...],  # of the boxes
    width: float,
    order: int,
    error: float,
) -> tuple[Array, Array, Array, Array]:
    """Boxes, radii, indices and multiplicity of the waves, as a ``Plan`` has them."""
    box = Box.from_key(key)
    every = np.ones(len(box.frame))
    depth = math.sqrt(float(gammainccinv(order + 0.5, error)))  # of ∫ x^2l exp(-x²) dx, x = ks/√2, the part beyond
    wave_cell, radius = box.wave_cell(math.sqrt(2) * width * (depth + BEYOND) * every)
    indices, multiplicity = half_of_waves(wave_cell, math.sqrt(2) * depth / width * every, origin=True)
    return wave_cell, radius, indices, multiplicity
