"""Messages that atoms send each other through filters, and what they make of them where they arrive."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from farfield.backbone.linear import UnitLinear
from farfield.backbone.product import orders
from farfield.backbone.unit_size import UnitSize
from farfield.paradigms.ewald_mp.config import EwaldMPConfig
from farfield.paradigms.ewald_mp.indices import IndexedWeights, count_of
from farfield.paradigms.ewald_mp.kernels import Kernels
from farfield.paradigms.ewald_mp.sums import Filters, arriving
from farfield.system import System

STEP = 2.0
"""Å: a vector sent counts as two scalars of unit size and opposite sign so far apart, and so does a gradient felt."""


class Arrived(NamedTuple):
    """Messages of all others to each atom, zero where there are none."""

    scalars: Tensor  # (atoms, scalar_messages)
    vectors: Tensor  # (atoms, 3, channels), or no rows


class Exchange(nn.Module):
    """Messages between all atoms of a system: c_i = Σ_j K(r_ij) (W h_j), K a sum of kernels with learned weights.

    An atom reads them as they are, times what it is itself, and along its own vectors.
    """

    def __init__(self, config: EwaldMPConfig, scalars: int, vectors: int) -> None:
        super().__init__()
        self.kernels = Kernels(config.shells, config.range, config.width if config.coulomb else None)
        self.error, self.order, channels = config.error, config.order, config.channels
        self.scalar_messages = (2 + config.order) * channels
        self.send, self.weigh = UnitLinear(scalars, channels), UnitLinear(scalars, channels)
        if config.order:
            self.send_vectors, self.turn = UnitLinear(vectors, channels), UnitLinear(vectors, channels)
        self.filter = nn.Parameter(torch.randn(self.kernels.count, channels) / math.sqrt(self.kernels.count))
        self.index_cutoff, self.per_wave = config.index_cutoff, None
        if config.filter == "per_wave":
            self.per_wave = nn.Parameter(torch.randn(count_of(config.index_cutoff), channels))
            self.wave_size = UnitSize([0])
        self.kernel_size = UnitSize(list(range(self.kernels.count)))
        self.size = UnitSize(orders(config.order))

    def forward(self, system: System, scalars: Tensor, vectors: Tensor) -> Arrived:
        """Exchange what scalars ``(atoms, …)`` and vectors ``(atoms, …, 3)`` say."""
        vectors = vectors.transpose(1, 2)
        sent = self.send(scalars).unsqueeze(1)
        if self.order:
            sent = torch.cat([sent, STEP * self.send_vectors(vectors)], 1)
        if self.kernel_size.measuring:
            self._measure(system, sent)
        filters = Filters(self.kernels, self.kernel_size.scale.unsqueeze(1) * self.filter, self.error, self._indexed())
        felt = arriving(system, sent, filters)
        felt = self.size(torch.cat([felt[:, :1], STEP * felt[:, 1:]], 1))
        messages = [felt[:, 0], felt[:, 0] * self.weigh(scalars)]
        if self.order:
            messages.append((felt[:, 1:] * self.turn(vectors)).sum(1) / math.sqrt(3))
        return Arrived(torch.cat(messages, 1), felt[:, 1:])

    def _indexed(self) -> IndexedWeights | None:
        if self.per_wave is None:
            return None
        return IndexedWeights(self.index_cutoff, self.wave_size.scale * self.per_wave)

    def _measure(self, system: System, sent: Tensor) -> None:
        """Give what comes through every kernel alone unit size, and through the weights per wave."""
        alone = torch.eye(self.kernels.count).to(sent).unsqueeze(2).expand(-1, -1, sent.shape[2])
        felt = [arriving(system, sent, Filters(self.kernels, weights, self.error))[:, 0] for weights in alone]
        self.kernel_size(torch.stack(felt, 1))
        if self.per_wave is not None:
            self.wave_size(arriving(system, sent, Filters(self.kernels, 0 * self.filter, self.error, self._indexed())))
