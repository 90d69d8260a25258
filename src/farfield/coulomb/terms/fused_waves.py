"""Waves and background of charges: what loops take in one pass is asked of them, the rest of the two terms apart."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from farfield.compiled import numbers
from farfield.coulomb.kernels.numba import wave_matrix
from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.box import summed_cell
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums import wave_loops
from farfield.coulomb.sums.pair_loops import fixed
from farfield.coulomb.sums.second_derivatives import Gradient
from farfield.coulomb.sums.structure_factors import phases_at
from farfield.coulomb.sums.wave_loops import WaveLoops
from farfield.coulomb.terms.background import Background
from farfield.coulomb.terms.term import Sum
from farfield.coulomb.terms.waves import WaveSum, kept_weights
from farfield.system import System


class FusedWaves(Sum):
    """Waves and background together."""

    def __init__(self, placed: PlacedSources, plan: Plan) -> None:
        super().__init__(WaveSum(placed, plan), Background(placed, plan))
        self.plan = plan

    def energy(self) -> Tensor:
        """Sum in one pass."""
        return wave_loops.energy(self.placed, self.plan, kept_weights(self.placed.system, self.plan))

    def matrix(self, padding: Padding) -> Tensor:
        """Write down the matrix, in one pass where no graph is asked for."""
        if not fixed(self.placed):
            return super().matrix(padding)
        placed, plan = self.placed.double(), self.plan.double()
        with torch.no_grad():
            return _fixed_matrix(placed.system, plan, padding).to(self.placed.charges.dtype)

    def second_derivatives(self) -> "WaveDerivatives | None":
        """Derivatives by loops, where nobody differentiates by cells."""
        if not fixed(self.placed, only_cell=True):
            return None
        return WaveDerivatives(self.placed.double(), self.plan.double())


def _fixed_matrix(system: System, plan: Plan, padding: Padding) -> Tensor:
    phases = phases_at(system, padding, summed_cell(system, plan.wave_cell))
    block = torch.from_numpy(wave_matrix.products(numbers(phases), plan.rows, numbers(2 * kept_weights(system, plan))))
    if not padding.even:
        mask = padding.mask().to(block.dtype)
        block *= mask.unsqueeze(1) * mask.unsqueeze(2)
    own = -2 / math.sqrt(math.pi) * plan.splitting[system.system_index]
    block.diagonal(dim1=1, dim2=2).add_(padding.pad(own))
    return block


@dataclass(frozen=True)
class WaveDerivatives:
    """First and second derivatives of one channel of charges."""

    placed: PlacedSources
    plan: Plan

    @cached_property
    def _loops(self) -> WaveLoops:
        return WaveLoops(self.placed, self.plan, kept_weights(self.placed.system, self.plan))

    def gradient(self) -> Gradient:
        """Gradient of the energy."""
        found = self._loops.first_order
        return torch.from_numpy(found.grad_charges)[:, 0], torch.from_numpy(found.grad_positions[:, 0])

    def hessian_vector(self, scale: Tensor, charges: Tensor, positions: Tensor) -> Gradient:
        """Gradient of the derivative of Σ scale·E along charges and positions."""
        system = self.placed.system
        still = torch.zeros_like(system.cell), torch.zeros_like(kept_weights(system, self.plan))
        along = positions, still[0], charges.unsqueeze(1), still[1]
        grad_positions, _, grad_charges, _, _ = map(
            torch.from_numpy, self._loops.hessian_vector(scale.unsqueeze(1), along)
        )
        return grad_charges[:, 0], grad_positions
