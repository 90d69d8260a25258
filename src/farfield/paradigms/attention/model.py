"""E = Σ ε(h), where h has learned from all atoms of the system by attention that knows distances.

Frank, Chmiela, Müller & Unke, arXiv:2412.08541 (2024). Written from the equations.
"""

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from farfield.backbone.contract import Features, Widths
from farfield.backbone.heads import AtomicEnergy
from farfield.data.statistics import Statistics
from farfield.paradigms.attention.config import AttentionConfig
from farfield.paradigms.attention.layer import AttentionLayer
from farfield.paradigms.attention.nodes import Nodes
from farfield.paradigms.attention.sums import Others, others_of
from farfield.paradigms.contract import Paradigm, Prediction
from farfield.system import System, per_system

SHORTEST = 16.0
"""Å: range where the data's molecules are smaller, or there are none."""


class Attention(Paradigm):
    """Short-range energies of features that all atoms have changed, between layers and before the readout."""

    Config: ClassVar = AttentionConfig
    mixing_order: ClassVar = 0
    span: Tensor

    def __init__(self, config: AttentionConfig, *, widths: Widths, species: tuple[int, ...]) -> None:
        super().__init__(config, widths=widths, species=species)
        self.config = config
        self.atomic_energy = AtomicEnergy(widths)
        sizes = [widths.channels] * (widths.layers - 1) + [widths.scalars]
        orders = [0] * (widths.layers - 1) + [config.order]
        self.layers = nn.ModuleList(
            AttentionLayer(config, size, widths.channels, order) for size, order in zip(sizes, orders)
        )
        self.nodes = nn.ModuleList(Nodes(size, config.nodes) for size in sizes if config.nodes)
        self.register_buffer("span", torch.tensor(config.range or SHORTEST))
        self.prepared: tuple[System, Others] | None = None

    @classmethod
    def order_of(cls, config: AttentionConfig) -> int:
        """Values of this order are made of features of it."""
        return config.order

    def prepare(self, statistics: Statistics) -> None:
        """Scale the energies to the data; let the waves span its molecules."""
        self.atomic_energy.prepare(statistics)
        if self.config.range is None:
            self.span.fill_(max(SHORTEST, statistics.extent))

    def mix(self, layer: int, system: System, features: Features) -> Tensor:
        """Learn, as each atom, from all others after one layer."""
        if layer == 0:
            self.prepared = None  # a pass that was broken off may have left its own
        found: Tensor = self.layers[layer](features, self._others_of(system))
        return found + self.nodes[layer](system, features) if self.config.nodes else found

    def _others_of(self, system: System) -> Others:
        """Prepare the sums once for all layers; what was prepared goes with the last of them."""
        if self.prepared is None or self.prepared[0] is not system:
            self.prepared = system, others_of(system, self.span, self.config.frequencies)
        return self.prepared[1]

    def __getstate__(self) -> dict[str, Any]:
        """Copies begin without what was prepared: it belongs to a pass, and may have a graph."""
        return self.__dict__ | {"prepared": None}

    def forward(self, system: System, features: Features) -> Prediction:
        """Energy only."""
        learned = self.mix(len(self.layers) - 1, system, features)
        self.prepared = None
        features = replace(features, scalars=features.scalars + learned)
        energy: Tensor = per_system(self.atomic_energy(system, features), system)
        return Prediction(energy=energy)
