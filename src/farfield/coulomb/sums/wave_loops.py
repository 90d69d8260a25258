"""Waves of charges with the terms that have no pairs, in one pass of loops, closed under differentiation.

    E = Σ_k w_k |S_k|² - (α/√π) Σ q²,  S_k = Σ q_i exp(ik·r_i),  in e²/Å

k = 0 counts: with the weight of the neutralising background, or none. Energies, first and second derivatives are
compiled sums in the precision of the charges, which open axes want to be double: their terms cancel. What lies beyond
is autograd over structure_factors.py, which is also what they are tested against.
"""

import math
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from farfield.compiled import Array, has_loops, numbers
from farfield.coulomb.kernels.numba import wave_energy, wave_hessian
from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.box import summed_cell
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.structure_factors import spread, waves_at
from farfield.coulomb.sums.third_derivatives import hessian_vector
from farfield.system import per_system


def compiled(placed: PlacedSources) -> bool:
    """Tell whether there are loops for these sources."""
    return has_loops(placed.charges) and placed.dipoles is None and placed.quadrupoles is None


def energy(placed: PlacedSources, plan: Plan, weights: Tensor) -> Tensor:
    """Energy ``(systems, channels)`` in e²/Å of weights ``(systems, 1 + waves)``, that of k = 0 first, in 1/Å."""
    system = placed.system
    total: Tensor = _WaveEnergy.apply(
        system.positions, system.cell, placed.charges, weights, WaveLoops(placed, plan, weights)
    )  # type: ignore[no-untyped-call]
    return total


def energy_reference(placed: PlacedSources, plan: Plan, weights: Tensor) -> Tensor:
    """Sum ``energy`` in plain torch."""
    system, charges, plan = placed.system, placed.charges, plan.double()
    padding = Padding.of(system)
    phases, waves = waves_at(system, padding, summed_cell(system, plan.wave_cell), plan.indices)
    cosine, sine = spread(phases, padding.pad(charges), waves)
    of_waves = (weights[:, 1:].unsqueeze(1) @ (cosine.square() + sine.square())).squeeze(1)
    self_term = -plan.splitting.unsqueeze(1) / math.sqrt(math.pi) * per_system(charges.square(), system)
    return of_waves + self_term + weights[:, :1] * per_system(charges, system).square()


class WaveLoops:
    """Sources and waves, what of them is not differentiated, and the energies ``(systems, channels)``."""

    def __init__(self, placed: PlacedSources, plan: Plan, weights: Tensor) -> None:
        self.placed, self.plan = placed, plan
        system = placed.system
        lattice = numbers(system.cell)
        periodic = system.periodic.numpy()
        self._along = None if periodic.all() else periodic[:, :, None]
        if self._along is not None:
            lattice = np.where(self._along, lattice, numbers(plan.wave_cell))
        offsets = np.searchsorted(system.system_index.numpy(), np.arange(system.n_systems + 1))
        own = numbers(plan.splitting) / -math.sqrt(math.pi)
        self._charges = wave_energy.WaveCharges(
            numbers(system.positions),
            placed.charges.detach().contiguous().numpy(),
            offsets,
            np.linalg.inv(lattice),
            own,
        )
        self._spectrum = wave_energy.Spectrum(plan.rows, numbers(weights))

        self.energies, self._factors = wave_energy.zeroth_order(self._charges, self._spectrum)

    @cached_property
    def first_order(self) -> wave_energy.EnergyGradients:
        """Gradient of every E: for forces, and once more for what the charges depend on."""
        return wave_energy.first_order(self._charges, self._spectrum, self._factors)

    def gradient(self, scale: Tensor) -> list[Array]:
        """Gradient of Σ scale·E by positions, cell, charges and weights."""
        first = self.first_order
        of_systems = numbers(scale)
        of_sources = np.repeat(of_systems, np.diff(self._charges.offsets), 0)
        grad_positions = np.einsum("nc,ncx->nx", of_sources, first.grad_positions)
        grad_cell = np.einsum("sc,scxy->sxy", of_systems, first.grad_cell)
        grad_weights = np.einsum("sc,sck->sk", of_systems, first.grad_weights)
        return self._masked((grad_positions, grad_cell, of_sources * first.grad_charges, grad_weights))

    def hessian_vector(self, scale: Tensor, along: tuple[Tensor, ...]) -> list[Array]:
        """Gradient by positions, cell, charges, weights and scale of the derivative of Σ scale·E along a direction."""
        positions, cell, charges, weights = self._masked(tuple(map(numbers, along)))
        change = wave_hessian.Change(positions, charges, cell, weights)
        found = wave_hessian.hessian_vector(self._charges, self._spectrum, self._factors, numbers(scale), change)
        return self._masked(found)

    def _masked(self, found: tuple[Array, ...]) -> list[Array]:
        """Clear derivatives by the cell along open axes: nothing depends on it there."""
        positions, cell, *others = found
        return [positions, cell if self._along is None else np.where(self._along, cell, 0.0), *others]

    def reference(self, positions: Tensor, cell: Tensor, charges: Tensor, weights: Tensor) -> Tensor:
        """Sum the energy in plain torch, differentiable without end."""
        system = replace(self.placed.system, positions=positions.double(), cell=cell.double())
        return energy_reference(replace(self.placed, system=system, charges=charges.double()), self.plan, weights)


class _WaveEnergy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, positions: Tensor, cell: Tensor, charges: Tensor, weights: Tensor, waves: WaveLoops
    ) -> Tensor:
        ctx.waves = waves
        ctx.save_for_backward(positions, cell, charges, weights)
        return torch.from_numpy(waves.energies).to(charges.dtype, copy=True)

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        gradient = _WaveGradient.apply(scale, *ctx.saved_tensors, ctx.waves)  # type: ignore[no-untyped-call]
        return (*gradient, None)


class _WaveGradient(torch.autograd.Function):
    """Σ scale·E differentiated by positions, cell, charges and weights."""

    @staticmethod
    def forward(ctx: Any, scale: Tensor, *given: Any) -> tuple[Tensor, ...]:
        *inputs, ctx.waves = given
        ctx.save_for_backward(scale, *inputs)
        found = ctx.waves.gradient(scale)
        return tuple(torch.from_numpy(grad).to(like.dtype) for grad, like in zip(found, inputs))

    @staticmethod
    def backward(ctx: Any, *along: Tensor) -> tuple[Tensor | None, ...]:
        scale, *inputs = ctx.saved_tensors
        if not torch.is_grad_enabled():
            found = ctx.waves.hessian_vector(scale, along)
            *others, grad_scale = (torch.from_numpy(one).to(like.dtype) for one, like in zip(found, (*inputs, scale)))
            return grad_scale, *others, None
        return (*hessian_vector(ctx.waves.reference, scale, inputs, along, ctx.needs_input_grad[:5]), None)
