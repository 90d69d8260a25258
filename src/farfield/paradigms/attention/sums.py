"""Sums over all other atoms, Σ_j f_h(r_ij) x_jh with f_h = Σ_n a_hn K_n: pair by pair, or wave by wave.

Both are the same sum. Pairs are cheaper in molecules, as the work on one is small; the waves of open systems
are linear in the atoms, and those of crystals include all images.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from farfield.coulomb.padding import Padding
from farfield.paradigms.attention.quadratures import PlaneWaves, lattice_waves, shell_waves
from farfield.paradigms.attention.waves import values_at
from farfield.system import System, per_system

MOST_PAIRED = 2000
"""Atoms of an open system beyond which waves are cheaper than pairs."""

AT_ONCE = 1 << 24
"""Numbers that are held for a block of waves; more of them are forgotten and computed again for the slopes."""

Mixture = Callable[[Tensor], Tensor]
"""Of K_n ``(…, frequencies)`` to f_h ``(…, heads)``, linear."""


def sum_over_others(
    columns: Tensor,  # (atoms, heads, columns), x
    system: System,
    span: Tensor,  # R, Å
    count: int,  # of frequencies
    mixture: Mixture,
) -> Tensor:  # (atoms, heads, columns)
    """Sum what all other atoms of the system, and images of all along periodic axes, send through f_h(r)."""
    periodic = system.periodic.any(1)
    large = ~periodic & (system.atoms_per_system > MOST_PAIRED)
    groups = [(~periodic & ~large, _by_pairs), (periodic, _by_lattice), (large, _by_shells)]
    if len(kinds := [(which, how) for which, how in groups if bool(which.any())]) == 1:
        return kinds[0][1](columns, system, span, count, mixture)
    out = torch.zeros_like(columns)
    for which, how in kinds:
        part, places = system.select(which.nonzero()[:, 0])
        out = out.index_copy(0, places, how(columns[places], part, span, count, mixture))
    return out


def _by_pairs(columns: Tensor, system: System, span: Tensor, count: int, mixture: Mixture) -> Tensor:
    padding = Padding.of(system)
    positions, real = padding.pad(system.positions), padding.mask()
    apart = positions[:, :, None] - positions[:, None]
    others = real[:, :, None] & real[:, None] & ~torch.eye(padding.longest, dtype=torch.bool, device=real.device)
    distance = torch.where(others, apart.square().sum(3), 1.0).sqrt()
    strength = mixture(values_at(distance, span, count)) * others.unsqueeze(3)
    sent = padding.pad(columns).transpose(1, 2)
    return padding.unpad((strength.permute(0, 3, 1, 2) @ sent).transpose(1, 2))


def _by_lattice(columns: Tensor, system: System, span: Tensor, count: int, mixture: Mixture) -> Tensor:
    return _by_waves(columns, system, lattice_waves(system, span, count), mixture)


def _by_shells(columns: Tensor, system: System, span: Tensor, count: int, mixture: Mixture) -> Tensor:
    """One system after the other: each is large."""
    out = torch.zeros_like(columns)
    for k in range(system.n_systems):
        one, places = system.select(torch.tensor([k], device=columns.device))
        away = one.positions.detach() - one.positions.detach().mean(0)
        extent = math.ceil(2 * float(away.norm(dim=1).max()))
        waves = shell_waves(extent, span, count)
        out = out.index_copy(0, places, _by_waves(columns[places], one, waves, mixture))
    return out


def _by_waves(columns: Tensor, system: System, waves: PlaneWaves, mixture: Mixture) -> Tensor:
    """Structure factors, weighed, and back to the atoms; less what an atom sends itself."""
    padding = Padding.of(system)
    centre = per_system(system.positions.detach(), system) / system.atoms_per_system.unsqueeze(1)
    positions = padding.pad(system.positions - centre[system.system_index])
    sent, weights = padding.pad(columns), mixture(waves.weights)
    step = max(1, AT_ONCE // (positions.shape[0] * positions.shape[1]))
    blocks = [slice(start, start + step) for start in range(0, weights.shape[1], step)]
    if len(blocks) == 1:
        found = _block(sent, positions, waves.vectors, weights)
    else:
        parts = [(sent, positions, waves.vectors[:, block], weights[:, block]) for block in blocks]
        found = torch.stack([checkpoint(_block, *part, use_reentrant=False) for part in parts]).sum(0)
    own = mixture(columns.new_ones(waves.weights.shape[2]))
    return padding.unpad(found) - own[:, None] * columns


def _block(sent: Tensor, positions: Tensor, vectors: Tensor, weights: Tensor) -> Tensor:
    phase = positions @ vectors.transpose(1, 2)
    back = torch.cat([torch.cos(phase), torch.sin(phase)], dim=2)
    factors = back.transpose(1, 2) @ sent.flatten(2)
    weighed = factors.view(*factors.shape[:2], *sent.shape[2:]) * weights.repeat(1, 2, 1).unsqueeze(3)
    return (back @ weighed.flatten(2)).view(sent.shape)
