"""Charges and dipoles to the potentials and fields they make: prepared once, applied as often as an iteration wants.

With s = (q, μ) of every source the energy is ½ s·W·s; what is applied here is W, its blocks of pairs

    W_ij = | B_0       -B_1 dᵀ         |   d = r_j - r_i
           | B_1 d   B_1 1 - B_2 d dᵀ  |

(pair_tensors.py), its waves or its mesh. Differentiable to any order in positions, cell, widths and sources.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from farfield.compiled import has_loops, numbers
from farfield.coulomb import scaling
from farfield.coulomb.functions.pair_tensors import pair_blocks
from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.methods import Part, join
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.scaling import PairScaling
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums import boundary, mesh
from farfield.coulomb.sums.dipole_pairs import Blocks, DipolePairs, of_pairs
from farfield.coulomb.sums.ewald import neutralising, plane_waves, wave_vectors, wave_weights
from farfield.coulomb.sums.pairs import HalfPairs, all_pairs, bare_kernels, half_pairs, refuse_coincident
from farfield.coulomb.sums.real_space import blocks_of, pair_rates
from farfield.coulomb.sums.structure_factors import gather, spread
from farfield.system import System, per_system
from farfield.units import COULOMB

Apply = Callable[[Tensor], Tensor]
"""Columns (q, μ) ``(sources, 4, channels)`` to dE/d(q, μ) in the same shape, e/Å and e/Å²."""


@dataclass(frozen=True)
class LinearMap:
    """Map that applies an interaction, and may write down that of dipoles with dipoles."""

    apply: Apply
    dipoles: Callable[[Padding], Tensor] | None  # (systems, longest, 3, longest, 3), 1/Å³; None on a mesh

    def __call__(self, columns: Tensor) -> Tensor:
        """Apply the map."""
        return self.apply(columns)


@dataclass(frozen=True)
class Interaction:
    """The charges and dipoles of a batch on one another, Gaussian self-energies left out."""

    n_atoms: int
    prepared: tuple[tuple[Part, LinearMap], ...]
    scaled: LinearMap | None  # what scaled pairs are short of
    boundary: Apply | None  # of the boundary

    def __call__(
        self,
        charges: Tensor | None,  # (atoms,) or (atoms, channels), e
        dipoles: Tensor,  # (atoms, 3) or (atoms, channels, 3), e·Å
    ) -> tuple[Tensor, Tensor]:  # like charges, V; like dipoles, V/Å
        """Evaluate the potential dE/dq and the field -dE/dμ at every source."""
        bare = dipoles.ndim == 2
        vectors = dipoles.unsqueeze(1) if bare else dipoles
        scalars = vectors.new_zeros(vectors.shape[:2]) if charges is None else charges.reshape(vectors.shape[:2])
        gradient = self.gradient(torch.cat([scalars.unsqueeze(1), vectors.transpose(1, 2)], 1))
        potential, field = gradient[:, 0], -gradient[:, 1:].transpose(1, 2)
        return (potential.squeeze(1), field.squeeze(1)) if bare else (potential, field)

    def dipole_matrix(self, padding: Padding) -> Tensor | None:
        """Write down d²E/dμdμ ``(systems, 3·longest, 3·longest)`` in V/(e·Å²); None where a mesh sums it."""
        if self.boundary is not None or any(one.dipoles is None for _, one in self.prepared):
            return None
        pieces = []
        for part, one in self.prepared:
            assert one.dipoles is not None
            block = one.dipoles(Padding.of(part.placed.system))
            missing = padding.longest - block.shape[1]
            pieces.append((part, torch.nn.functional.pad(block, (0, 0, 0, missing, 0, 0, 0, missing))))
        whole = join(pieces, padding.systems, lambda part: part.systems)
        if self.scaled is not None and self.scaled.dipoles is not None:
            whole = whole + self.scaled.dipoles(padding)
        return COULOMB * whole.flatten(3).flatten(1, 2)

    def gradient(self, columns: Tensor) -> Tensor:
        """Evaluate dE/d(q, μ) ``(atoms, 4, channels)``, V and V/Å, of (q, μ) ``(atoms, 4, channels)``."""
        pieces = [(part, apply(columns if part.whole else columns[part.places])) for part, apply in self.prepared]
        found = join(pieces, self.n_atoms, lambda part: part.places)
        for more in (self.scaled, self.boundary):
            found = found if more is None else found + more(columns)
        return COULOMB * found


def interaction(
    parts: list[tuple[Part, Plan | None]], placed: PlacedSources, pairs: PairScaling | None, *, vacuum: bool
) -> Interaction:
    """Prepare the parts of a batch with their plans (None where the sum is direct); ``placed`` is the whole of it."""
    prepared = tuple((p, _direct(p.placed) if plan is None else _periodic(p.placed, plan)) for p, plan in parts)
    scaled = None if pairs is None else _scaled(placed, pairs)
    return Interaction(placed.system.n_atoms, prepared, scaled, _boundary(placed.system) if vacuum else None)


def _direct(placed: PlacedSources) -> LinearMap:
    """Prepare the map of all pairs of open systems.

    Raises:
        InputError: two atoms on top of each other.
    """
    system = placed.system
    i, j = all_pairs(Padding.of(system))
    vector = system.positions.index_select(0, j) - system.positions.index_select(0, i)
    refuse_coincident(placed, torch.linalg.vecdot(vector, vector).detach(), i, j)

    def blocks(vector: Tensor) -> Tensor:
        return pair_blocks(vector, bare_kernels(placed, torch.linalg.vecdot(vector, vector), i, j))

    return _of_pairs(
        placed, HalfPairs(i, j, vector, torch.linalg.vecdot(vector, vector)), vector.new_zeros(len(i)), blocks
    )


def _periodic(placed: PlacedSources, plan: Plan) -> LinearMap:
    system, split = placed.system, plan.splitting[placed.system.system_index]
    wave_part = LinearMap(mesh.dipole_operator(placed, plan), None) if plan.meshed.any() else _waves(placed, plan)
    self_term = torch.stack([2 * split, *[4 / 3 * split**3] * 3], 1).unsqueeze(2) / math.sqrt(math.pi)
    background = neutralising(system, plan)
    pair_part = None
    if plan.reach > 0:
        pairs = half_pairs(placed, plan.cutoff)
        pair_part = _of_pairs(placed, pairs, split[pairs.i], blocks_of(placed, plan, pairs))

    def apply(columns: Tensor) -> Tensor:
        total = wave_part(columns) - self_term * columns
        shift = (background * per_system(columns[:, 0], system))[system.system_index]
        total = total - torch.nn.functional.pad(shift.unsqueeze(1), (0, 0, 0, 3))
        return total if pair_part is None else total + pair_part(columns)

    def dipoles(padding: Padding) -> Tensor:
        assert wave_part.dipoles is not None
        diagonal = torch.diag_embed(padding.pad(self_term[:, 1:, 0]).flatten(1)).reshape(-1, *2 * (padding.longest, 3))
        whole = wave_part.dipoles(padding) - diagonal
        return whole if pair_part is None or pair_part.dipoles is None else whole + pair_part.dipoles(padding)

    return LinearMap(apply, None if wave_part.dipoles is None else dipoles)


def _of_pairs(placed: PlacedSources, pairs: HalfPairs, split: Tensor, blocks: Blocks) -> LinearMap:
    """Prepare the map of pairs, compiled where it can be."""
    i, j, widths = pairs.i, pairs.j, placed.widths
    if not has_loops(pairs.vector):
        return _written(i, j, blocks(pairs.vector))
    found = DipolePairs.of(i, j, pairs.vector, pair_rates(placed, i, j), split, blocks)
    if widths is None or not widths.requires_grad:
        return LinearMap(
            lambda columns: found.potentials(pairs.vector, columns),
            lambda padding: _dipoles(i, j, blocks(pairs.vector), padding),
        )
    written = _written(i, j, blocks(pairs.vector))  # differentiable by the widths, too

    def potentials(columns: Tensor) -> Tensor:
        return written(columns) if torch.is_grad_enabled() else found.potentials(pairs.vector, columns)

    return LinearMap(potentials, written.dipoles)


def _written(i: Tensor, j: Tensor, blocks: Tensor) -> LinearMap:
    """Prepare the map of pairs whose blocks W ``(pairs, 4, 4)`` are written down."""
    return LinearMap(of_pairs(i, j, blocks), lambda padding: _dipoles(i, j, blocks, padding))


def _dipoles(i: Tensor, j: Tensor, blocks: Tensor, padding: Padding) -> Tensor:
    """The dipoles' part of the blocks ``(systems, longest, 3, longest, 3)``."""
    n, inner = padding.longest, blocks[:, 1:, 1:]
    row, column = padding.slots[i], padding.slots[j]
    flat = inner.new_zeros(padding.systems * n * n, 3, 3)
    flat = flat.index_add(0, row * n + column % n, inner)
    flat = flat.index_add(0, column * n + row % n, inner.transpose(1, 2))
    return flat.reshape(-1, n, n, 3, 3).transpose(2, 3)


def _waves(placed: PlacedSources, plan: Plan) -> LinearMap:
    system, padding = placed.system, Padding.of(placed.system)
    phases, waves = plane_waves(system, padding, plan)
    k = wave_vectors(system, plan).unsqueeze(3)  # (systems, waves, 3, 1)
    weight = 2 * wave_weights(system, plan).unsqueeze(2)
    known = (numbers(k.squeeze(3)), numbers(weight.squeeze(2))) if has_loops(k) else None

    def apply(columns: Tensor) -> Tensor:
        channels = columns.shape[2]
        if known is not None and not torch.is_grad_enabled():  # an iteration: one pass
            return padding.unpad(waves.potentials(*known, padding.pad(columns).flatten(2))).reshape(-1, 4, channels)
        found = spread(phases, padding.pad(columns).flatten(2), waves)
        cosine, sine = (x.reshape(*x.shape[:2], 4, channels) for x in found)
        real = weight * (cosine[:, :, 0] - (k * sine[:, :, 1:]).sum(2))
        imaginary = weight * (sine[:, :, 0] + (k * cosine[:, :, 1:]).sum(2))
        amplitudes = _turned(real, imaginary, k), _turned(imaginary, -real, k)
        potentials = padding.unpad(gather(phases, *amplitudes, waves))
        return potentials.reshape(-1, 4, channels)

    def dipoles(padding: Padding) -> Tensor:
        whole = weight.new_zeros(padding.systems, 3 * padding.longest, 3 * padding.longest)
        for some, *parts in waves.blocks():
            for part in parts:  # cosines, then sines
                steep = (k[:, some].unsqueeze(1) * part.transpose(1, 2)[:, :, :, None, None]).squeeze(4)
                steep = steep.transpose(2, 3).flatten(1, 2)  # (systems, 3·longest, waves)
                whole.baddbmm_(steep, weight[:, some] * steep.transpose(1, 2))
        real = padding.mask().to(whole.dtype).repeat_interleave(3, 1)
        return (whole * real.unsqueeze(1) * real.unsqueeze(2)).reshape(-1, *2 * (padding.longest, 3))

    return LinearMap(apply, dipoles)


def _turned(value: Tensor, slope: Tensor, k: Tensor) -> Tensor:
    """Amplitudes ``(systems, waves, 4·channels)`` of a potential ``(systems, waves, channels)`` and its gradient."""
    return torch.cat([value.unsqueeze(2), slope.unsqueeze(2) * k], 2).flatten(2)


def _scaled(placed: PlacedSources, pairs: PairScaling) -> LinearMap:
    vector, kernels = scaling.missing(placed, pairs)
    return _written(pairs.i, pairs.j, pair_blocks(vector, kernels))


def _boundary(system: System) -> Apply:
    """½ c M², M = Σ (q r + μ): the linear map of a sphere in vacuum."""
    frame = torch.nn.functional.pad(torch.eye(3, dtype=system.positions.dtype), (0, 0, 1, 0)).to(system.positions)
    frame = frame.expand(system.n_atoms, 4, 3).clone()
    frame[:, 0] = system.positions  # by which (q, μ) become dipoles
    strength = boundary.strength(system)[:, None, None]

    def apply(columns: Tensor) -> Tensor:
        moment = strength * per_system(frame.transpose(1, 2) @ columns, system)
        return frame @ moment[system.system_index] / COULOMB

    return apply
