"""Sums of kernels over all atoms and images, each atom without itself: over waves, or over the pairs of a molecule.

Sources are charges v and dipoles p, so to speak, φ(r) = Σ_j (v_j + p_j·∇_j) K(r - r_j) and its gradient what arrives:

    φ(r) = (1/V) Σ_k K(k) Re Σ_j (v_j - i k·p_j) exp(ik·(r - r_j))

The part of an atom's own, K(0) v and -K'/r p, is taken off. Along open axes a box holds the atoms and the reach of the
kernels (box.py), so that images are not felt.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from farfield.backbone.radial import envelope
from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.box import box_of, summed_cell
from farfield.coulomb.plan.plan import half_of_waves
from farfield.coulomb.sums.structure_factors import gather, spread, waves_at
from farfield.paradigms.ewald_mp.indices import IndexedWeights
from farfield.paradigms.ewald_mp.kernels import Kernels
from farfield.system import System

TAPER = 0.1
"""Of the longest wave: so much further filters are brought to zero, smoothly in the cell."""

BLOCK = 1 << 22
"""Pairs times kernels at once; more are summed again, row by row, for their gradient."""


@dataclass(frozen=True)
class Filters:
    """Kernels and how much of each is in the filter of every channel."""

    kernels: Kernels
    weights: Tensor  # (kernels, channels)
    error: float
    indexed: IndexedWeights | None = None  # of scalars in crystals, instead


def arriving(system: System, sources: Tensor, filters: Filters) -> Tensor:
    """Sum what arrives at atoms of what they send, both ``(atoms, rows, channels)``; differentiable.

    A row for the scalars and, if there are four, three for the vectors (sent in Å times what a scalar is; what
    arrives is the gradient, in 1/Å).
    """
    system, total = replace(system, neighbors=None), torch.zeros_like(sources)
    dimensions = system.periodic.sum(1)
    for number in sorted(set(dimensions.tolist())):
        part, places = system.select((dimensions == number).nonzero().squeeze(1))
        summed = over_waves if number else over_pairs
        total = total.index_copy(0, places, summed(part, sources[places], filters))
    return total


def over_pairs(system: System, sources: Tensor, filters: Filters) -> Tensor:
    """Sum over every pair of open systems."""
    padding = Padding.of(system)
    positions, sent, real = padding.pad(system.positions), padding.pad(sources), padding.mask()
    rows = max(BLOCK // max(len(real) * padding.longest * filters.kernels.count, 1), 1)
    again = rows < padding.longest and torch.is_grad_enabled()

    def block(first: int, positions: Tensor, sent: Tensor, weights: Tensor) -> Tensor:
        vector = positions.unsqueeze(1) - positions[:, first : first + rows].unsqueeze(2)
        paired = real[:, first : first + rows].unsqueeze(2) & real.unsqueeze(1)
        paired[:, :, first : first + rows].diagonal(dim1=1, dim2=2).fill_(False)
        return _of_pairs(vector, paired, sent, replace(filters, weights=weights))

    blocks = [(first, positions, sent, filters.weights) for first in range(0, padding.longest, rows)]
    if again:
        found = [checkpoint(block, *given, use_reentrant=False, preserve_rng_state=False) for given in blocks]
    else:
        found = [block(*given) for given in blocks]
    return padding.unpad(torch.cat(found, 1))


def _of_pairs(vector: Tensor, paired: Tensor, sent: Tensor, filters: Filters) -> Tensor:
    """Sum over j of vectors r_j - r_i ``(systems, i, j, 3)``; what is not paired does not count."""
    # 10 Å apart where there is no pair, so that no derivative divides by zero
    squared = torch.where(paired, vector.square().sum(-1), 100.0)
    highest = 0 if sent.shape[2] == 1 else 2
    kernels = [torch.where(paired.unsqueeze(-1), k, 0.0) for k in filters.kernels.in_space(squared, highest)]
    value, *slopes = (kernel @ filters.weights for kernel in kernels)  # (systems, i, j, channels)
    potential = torch.einsum("sijc,sjc->sic", value, sent[:, :, 0])
    if highest == 0:
        return potential.unsqueeze(2)
    first, second = slopes
    along = torch.einsum("sijx,sjxc->sijc", vector, sent[:, :, 1:])
    potential = potential + (first * along).sum(2)
    pull = first * sent[:, None, :, 0] + second * along
    gradient = -torch.einsum("sijx,sijc->sixc", vector, pull) - torch.einsum("sijc,sjxc->sixc", first, sent[:, :, 1:])
    return torch.cat([potential.unsqueeze(2), gradient], 2)


def over_waves(system: System, sources: Tensor, filters: Filters) -> Tensor:
    """Sum over waves of systems that are periodic along equally many axes, one at least; in double precision."""
    exact, sent, padding = system.to(dtype=torch.float64), sources.double(), Padding.of(system)
    if filters.indexed is not None and bool(system.periodic.all()):
        cell, indices, spectrum = filters.indexed.spectrum(exact)
        own = sent * spectrum.sum(1)[system.system_index].unsqueeze(1)
    else:
        cell, indices, spectrum = _spectrum(exact, filters)
        own = _own(sent, filters)
    phases, waves = waves_at(exact, padding, cell, indices)
    columns = padding.pad(sent).flatten(2)
    cosine, sine = (x.reshape(*x.shape[:2], *sent.shape[1:]) for x in spread(phases, columns, waves))
    if sent.shape[1] == 1:
        amplitudes = spectrum * cosine[:, :, 0], spectrum * sine[:, :, 0]
    else:
        amplitudes = _with_gradient(cosine, sine, spectrum, _wave_vectors(indices, cell).unsqueeze(3))
    found = padding.unpad(gather(phases, *amplitudes, waves)).reshape(sent.shape)
    return (found - own).to(sources.dtype)


def _with_gradient(cosine: Tensor, sine: Tensor, spectrum: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Amplitudes ``(systems, waves, 4·channels)`` of potential and gradient, from sums of scalars and vectors."""
    real = spectrum * (cosine[:, :, 0] - (k * sine[:, :, 1:]).sum(2))
    imaginary = spectrum * (sine[:, :, 0] + (k * cosine[:, :, 1:]).sum(2))
    return (
        torch.cat([real.unsqueeze(2), k * imaginary.unsqueeze(2)], 2).flatten(2),
        torch.cat([imaginary.unsqueeze(2), -k * real.unsqueeze(2)], 2).flatten(2),
    )


def _wave_vectors(indices: Tensor, cell: Tensor) -> Tensor:
    """Wave vectors ``(systems, waves, 3)`` in 1/Å."""
    vectors: Tensor = indices @ (2 * math.pi * torch.linalg.inv(cell).transpose(1, 2))
    return vectors


def _spectrum(system: System, filters: Filters) -> tuple[Tensor, Tensor, Tensor]:
    """Cell and indices of the waves, and filters ``(systems, waves, channels)`` over the volume."""
    kernels, box = filters.kernels, box_of(system)
    boxes = box.wave_cell(np.full(system.n_systems, kernels.tail(filters.error)))
    end = kernels.longest_wave(filters.error)
    found = half_of_waves(boxes[0], np.full(system.n_systems, (1 + TAPER) * end), origin=True)
    wave_cell, radius, indices, multiplicity = (torch.from_numpy(x).to(system.positions) for x in (*boxes, *found))
    cell = summed_cell(system, wave_cell)
    transforms = kernels.in_waves(indices, cell, system.periodic, radius)
    squared = _wave_vectors(indices, cell).square().sum(-1)
    beyond = (squared.clamp_min(end**2).sqrt() / end - 1) / TAPER
    per_volume = multiplicity * envelope(beyond) / torch.linalg.det(cell).abs().unsqueeze(1)
    return cell, indices, (per_volume.unsqueeze(-1) * transforms) @ filters.weights.double()


def _own(sent: Tensor, filters: Filters) -> Tensor:
    """Take what an atom gets of itself: K(0) = 1 times its scalar, and -K'/r times its vector."""
    weights = filters.weights.double()
    scalar = weights.sum(0) * sent[:, :1]
    if sent.shape[1] == 1:
        return scalar
    return torch.cat([scalar, -(filters.kernels.at_origin(sent) @ weights) * sent[:, 1:]], 1)
