"""E = Σ ε(h): nothing beyond the cutoff."""

from typing import ClassVar

from torch import Tensor

from farfield.backbone.contract import Features, Widths
from farfield.backbone.heads import AtomicEnergy
from farfield.data.statistics import Statistics
from farfield.paradigms.contract import Paradigm, Prediction
from farfield.paradigms.short_range.config import ShortRangeConfig
from farfield.system import System, per_system


class ShortRange(Paradigm):
    """A sum of atomic energies."""

    Config: ClassVar = ShortRangeConfig

    def __init__(self, config: ShortRangeConfig, *, widths: Widths, species: tuple[int, ...]) -> None:
        super().__init__(config, widths=widths, species=species)
        self.atomic_energy = AtomicEnergy(widths)

    def prepare(self, statistics: Statistics) -> None:
        """Scale the energies to the data."""
        self.atomic_energy.prepare(statistics)

    def forward(self, system: System, features: Features) -> Prediction:
        """Energy only."""
        energy: Tensor = per_system(self.atomic_energy(system, features), system)
        return Prediction(energy=energy)
