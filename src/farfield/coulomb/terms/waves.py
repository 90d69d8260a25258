"""The reciprocal half of Ewald's sum by waves: (2π/V) Σ_k |S_k|² exp(-k²/4α²)/k², every source with itself included.

Where axes are open the kernel 4π/k² ends at a radius (truncated_kernel.py), and k = 0 counts.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from farfield.compiled import Array, has_loops, numbers
from farfield.coulomb.functions import truncated_kernel
from farfield.coulomb.functions.multipoles import SYMMETRIC
from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.box import summed_cell
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.linear_map import LinearMap, Operator
from farfield.coulomb.sums.structure_factors import PlaneWaves, gather, gather_with_gradient, spread, waves_at
from farfield.coulomb.terms.background import neutralising
from farfield.coulomb.terms.term import PotentialAndField, Term
from farfield.system import System


@dataclass(frozen=True)
class WaveSum(Term):
    """Structure factors of half of k-space, and what they make at the sources."""

    placed: PlacedSources
    plan: Plan

    @cached_property
    def _padding(self) -> Padding:
        return Padding.of(self.placed.system)

    @cached_property
    def _waves(self) -> tuple[Tensor, PlaneWaves]:
        return plane_waves(self.placed.system, self._padding, self.plan)

    def energy(self) -> Tensor:
        """Sum |S_k|²."""
        cosine, sine = self._structure_factors()
        weight = wave_weights(self.placed.system, self.plan)
        return (weight.unsqueeze(1) @ (cosine.square() + sine.square())).squeeze(1)

    def potential_and_field(self) -> PotentialAndField:
        """Gather potentials and fields."""
        system, padding, (phases, waves) = self.placed.system, self._padding, self._waves
        cosine, sine = spread(phases, padding.pad(self.placed.charges), waves)
        weight = wave_weights(system, self.plan).unsqueeze(2)
        potential, gradient = gather_with_gradient(phases, 2 * weight * cosine, 2 * weight * sine, waves)
        to_space = 2 * math.pi * torch.linalg.inv(summed_cell(system, self.plan.wave_cell)).transpose(1, 2)
        field = -gradient @ to_space.unsqueeze(1)
        virial = _virial(system, self.plan, weight * (cosine.square() + sine.square()))
        return PotentialAndField(padding.unpad(potential), padding.unpad(field), virial)

    def operator(self) -> Operator:
        """Evaluate waves once, for however many charges follow."""
        padding, (phases, waves) = self._padding, self._waves
        weight = 2 * wave_weights(self.placed.system, self.plan).unsqueeze(2)

        def potential(charges: Tensor) -> Tensor:
            cosine, sine = spread(phases, padding.pad(charges), waves)
            return padding.unpad(gather(phases, weight * cosine, weight * sine, waves))

        return potential

    def interaction(self) -> LinearMap:
        """Evaluate waves once, for however many dipoles follow."""
        padding, (phases, waves) = self._padding, self._waves
        k = wave_vectors(self.placed.system, self.plan).unsqueeze(3)  # (systems, waves, 3, 1)
        weight = 2 * wave_weights(self.placed.system, self.plan).unsqueeze(2)
        known = (numbers(k.squeeze(3)), numbers(weight.squeeze(2))) if has_loops(k) else None

        def apply(columns: Tensor) -> Tensor:
            channels = columns.shape[2]
            if known is not None and not torch.is_grad_enabled():  # an iteration: one pass
                return padding.unpad(waves.potentials(*known, padding.pad(columns).flatten(2))).reshape(-1, 4, channels)
            found = spread(phases, padding.pad(columns).flatten(2), waves)
            cosine, sine = (x.reshape(*x.shape[:2], 4, channels) for x in found)
            real = weight * (cosine[:, :, 0] - (k * sine[:, :, 1:]).sum(2))
            imaginary = weight * (sine[:, :, 0] + (k * cosine[:, :, 1:]).sum(2))
            amplitudes = _with_gradient(real, imaginary, k), _with_gradient(imaginary, -real, k)
            potentials = padding.unpad(gather(phases, *amplitudes, waves))
            return potentials.reshape(-1, 4, channels)

        return LinearMap(apply, lambda padding: _dipole_matrix(waves, weight, k, padding))

    def potential_at(self, points: PlacedSources) -> Tensor:
        """Gather at the points."""
        cosine, sine = self._structure_factors()
        weight = 2 * wave_weights(self.placed.system, self.plan).unsqueeze(2)
        there = Padding.of(points.system)
        phases, waves = plane_waves(points.system, there, self.plan)
        return there.unpad(gather(phases, weight * cosine, weight * sine, waves))

    def matrix(self, padding: Padding) -> Tensor:
        """Write down Σ_k w_k cos(k·(r_i - r_j))."""
        phases, waves = self._waves
        if phases.requires_grad:
            return super().matrix(padding)
        mask = padding.mask().to(phases.dtype)  # half the work where no graph is asked for
        products = waves.products(2 * wave_weights(self.placed.system, self.plan).unsqueeze(2))
        return mask.unsqueeze(1) * mask.unsqueeze(2) * products

    def _structure_factors(self) -> tuple[Tensor, Tensor]:
        return structure_factors(self.placed, self.plan, self._padding, self._waves)


def structure_factors(
    placed: PlacedSources, plan: Plan, padding: Padding, waves: tuple[Tensor, PlaneWaves]
) -> tuple[Tensor, Tensor]:
    """Real and imaginary part ``(systems, waves, channels)`` of Σ (q + ik·μ - k·Q·k) exp(ik·r)."""
    moments, (phases, here) = placed.moments, waves
    if moments.rank == 0:
        return spread(phases, padding.pad(moments.charges), here)
    channels = moments.charges.shape[1]
    columns = padding.pad(moments.columns()).flatten(2)
    cosine, sine = (x.reshape(*x.shape[:2], -1, channels) for x in spread(phases, columns, here))
    k = wave_vectors(placed.system, plan).unsqueeze(3)
    real = cosine[:, :, 0] - (k * sine[:, :, 1:4]).sum(2)
    imaginary = sine[:, :, 0] + (k * cosine[:, :, 1:4]).sum(2)
    if moments.rank > 1:
        twice = torch.stack([k[:, :, a] * k[:, :, b] for a, b in SYMMETRIC], 2)
        real = real - (twice * cosine[:, :, 4:]).sum(2)
        imaginary = imaginary - (twice * sine[:, :, 4:]).sum(2)
    return real, imaginary


def _virial(system: System, plan: Plan, energies: Tensor) -> Tensor:
    """Strain changes k and V, not the phases: dE_k/dε = E_k (2 k⊗k (1/k² + 1/4α²) - 1); zero but in 3D."""
    if not bool(system.periodic.all()):
        return energies.new_zeros(len(energies), energies.shape[2], 3, 3)
    k = wave_vectors(system, plan)
    squared = torch.where(plan.multiplicity > 0, k.square().sum(-1), 1.0)
    factor = 2 * (1 / squared + 1 / (4 * plan.splitting.square()).unsqueeze(1))
    eye = torch.eye(3, dtype=k.dtype, device=k.device)
    return torch.einsum("skc,sk,skx,sky->scxy", energies, factor, k, k) - energies.sum(1)[..., None, None] * eye


def _with_gradient(value: Tensor, gradient: Tensor, k: Tensor) -> Tensor:
    """Amplitudes ``(systems, waves, 4·channels)`` of a potential ``(systems, waves, channels)`` and its gradient."""
    return torch.cat([value.unsqueeze(2), gradient.unsqueeze(2) * k], 2).flatten(2)


def _dipole_matrix(waves: PlaneWaves, weight: Tensor, k: Tensor, padding: Padding) -> Tensor:
    """Σ_k w_k k⊗k cos(k·(r_i - r_j)) ``(systems, longest, 3, longest, 3)``."""
    whole = weight.new_zeros(padding.systems, 3 * padding.longest, 3 * padding.longest)
    for some, *parts in waves.blocks():
        for part in parts:  # cosines, then sines
            wave_gradient = (k[:, some].unsqueeze(1) * part.transpose(1, 2)[:, :, :, None, None]).squeeze(4)
            wave_gradient = wave_gradient.transpose(2, 3).flatten(1, 2)  # (systems, 3·longest, waves)
            whole.baddbmm_(wave_gradient, weight[:, some] * wave_gradient.transpose(1, 2))
    real = padding.mask().to(whole.dtype).repeat_interleave(3, 1)
    return (whole * real.unsqueeze(1) * real.unsqueeze(2)).reshape(-1, *2 * (padding.longest, 3))


def plane_waves(system: System, padding: Padding, plan: Plan) -> tuple[Tensor, PlaneWaves]:
    """Phases ``(systems, longest, 3)``, differentiable in positions and cell, and the waves of the plan there."""
    return waves_at(system, padding, summed_cell(system, plan.wave_cell), plan.indices)


def wave_vectors(system: System, plan: Plan) -> Tensor:
    """Wave vectors k ``(systems, waves, 3)`` in 1/Å, differentiable in the cell."""
    reciprocal: Tensor = 2 * math.pi * torch.linalg.inv(summed_cell(system, plan.wave_cell)).transpose(1, 2)
    return plan.indices @ reciprocal


def wave_weights(system: System, plan: Plan) -> Tensor:
    """Weights of |S_k|²: multiplicity · (2π/V) exp(-k²/4α²)/k² in 3D ``(systems, waves)``, in 1/Å."""
    cell = summed_cell(system, plan.wave_cell)
    form, squared = truncated_kernel.kernel(plan.indices, cell, system.periodic, plan.radius)
    volume: Tensor = torch.linalg.det(cell).abs().unsqueeze(1)
    decay = torch.exp(-squared / (4 * plan.splitting.square()).unsqueeze(1))
    return plan.multiplicity * form * decay / (2 * volume)


def weights_with_origin(system: System, plan: Plan) -> Tensor:
    """Put the weight of k = 0 (in 3D the background's) ahead of the others ``(systems, 1 + waves)``, all in double."""
    exact, plan = replace(system, cell=system.cell.double()), plan.double()
    return torch.cat([-0.5 * neutralising(exact, plan), wave_weights(exact, plan)], 1)


def kept_weights(system: System, plan: Plan) -> Tensor:
    """Make ``weights_with_origin`` once for as long as plan and cells stay, unless somebody differentiates by these."""
    if torch.is_grad_enabled() and system.cell.requires_grad:
        return weights_with_origin(system, plan)
    cell = system.cell.detach().numpy()
    known = _kept.get(plan)
    if known is not None and np.array_equal(known[0], cell):
        return known[1]
    with torch.inference_mode(False), torch.no_grad():  # kept for all, also for those who differentiate
        weights = weights_with_origin(replace(system, cell=torch.from_numpy(cell.copy())), plan)
    _kept[plan] = cell.copy(), weights
    return weights


_kept: WeakKeyDictionary[Plan, tuple[Array, Tensor]] = WeakKeyDictionary()
