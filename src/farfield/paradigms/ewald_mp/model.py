"""E = Σ ε(h), h_i ← h_i + W (1/V) Re Σ_k f(|k|) exp(-ik·r_i) Σ_j exp(ik·r_j) W'h_j between layers and before ε.

Kosmala, Gasteiger, Gao & Günnemann, ICML 2023. The filter f is a sum of kernels whose form in space is known, too
(kernels.py), so that molecules, wires and slabs, whose k is continuous, have the messages of a crystal.
"""

import math
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from farfield.backbone.angular import cartesian_form
from farfield.backbone.contract import Features, Widths
from farfield.backbone.heads import AtomicEnergy
from farfield.backbone.linear import UnitLinear
from farfield.data.statistics import Statistics
from farfield.paradigms.contract import Paradigm, Prediction
from farfield.paradigms.ewald_mp.config import EwaldMPConfig
from farfield.paradigms.ewald_mp.exchange import Arrived, Exchange
from farfield.system import System, per_system

GAIN = 0.5
"""Size of what messages add to features of unit size."""


class EwaldMP(Paradigm):
    """A sum of atomic energies, of atoms that know of all others."""

    Config: ClassVar = EwaldMPConfig

    def __init__(self, config: EwaldMPConfig, *, widths: Widths, species: tuple[int, ...]) -> None:
        super().__init__(config, widths=widths, species=species)
        self.per_cell = config.filter == "per_wave"
        between = widths.layers - 1 if config.every_layer else 0
        self.between = nn.ModuleList(Passing(config, widths.channels) for _ in range(between))
        self.last = Exchange(config, widths.scalars, widths.vectors)
        self.atomic_energy = AtomicEnergy(replace(widths, scalars=widths.scalars + self.last.scalar_messages))

    @classmethod
    def order_of(cls, config: EwaldMPConfig) -> int:
        """Vectors where these are sent."""
        return config.order

    @classmethod
    def mixing_order_of(cls, config: EwaldMPConfig) -> int | None:
        """Scalars between layers, vectors where these are sent."""
        return config.order if config.every_layer else None

    @property
    def breaks(self) -> frozenset[str]:
        """Weights per wave belong to a cell."""
        return frozenset({"check_periodic_images"} if self.per_cell else ())

    def prepare(self, statistics: Statistics) -> None:
        """Scale the energies to the data."""
        self.atomic_energy.prepare(statistics)

    def mix(self, layer: int, system: System, features: Features) -> Tensor:
        """Pass messages between a layer and the next."""
        return torch.as_tensor(self.between[layer](system, features))

    def forward(self, system: System, features: Features) -> Prediction:
        """Energy only."""
        arrived: Arrived = self.last(system, features.scalars, features.vectors)
        alone = nn.functional.pad(features.alone, (0, self.last.scalar_messages))
        told = replace(features, scalars=torch.cat([features.scalars, arrived.scalars], 1), alone=alone)
        return Prediction(energy=per_system(self.atomic_energy(system, told), system))


class Passing(nn.Module):
    """Messages, and what they add to the features of a layer."""

    def __init__(self, config: EwaldMPConfig, channels: int) -> None:
        super().__init__()
        self.exchange = Exchange(config, channels, channels)
        self.scalars = UnitLinear(self.exchange.scalar_messages, channels, gain=GAIN)
        self.vectors = UnitLinear(config.channels, channels, gain=GAIN) if config.order else None

    def forward(self, system: System, features: Features) -> Tensor:
        """Scalars ``(atoms, channels)``, or these and the harmonics of l = 1 ``(atoms, 4, channels)``."""
        arrived: Arrived = self.exchange(system, features.scalars, features.vectors)
        added: Tensor = self.scalars(arrived.scalars)
        if self.vectors is None:
            return added
        which = cartesian_form(1, added).T / math.sqrt(3)  # of x, y, z each harmonic is
        return torch.cat([added.unsqueeze(1), which @ self.vectors(arrived.vectors)], 1)
