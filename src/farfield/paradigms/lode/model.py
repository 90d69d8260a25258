"""Long-distance equivariants: E = Σ ε(h, I[V]) + Σ w(h)·I₁[V] + ½ Σ q V, V a potential projected around every atom.

Grisafi & Ceriotti, J. Chem. Phys. 151, 204105 (2019); Huguenin-Dumittan et al., J. Phys. Chem. Lett. 14, 9612 (2023);
Faller, Kaltak & Kresse, arXiv:2406.17595 (2024) (of the density). I are rotation-invariant combinations of
the projections V_nlm with one another and with the features of the same l; I₁ those linear in V. All vanish far from
everything, as the potential does.
"""

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from farfield.backbone.contract import Features, Widths
from farfield.backbone.heads import AtomicEnergy
from farfield.backbone.linear import UnitLinear
from farfield.backbone.radial import envelope
from farfield.coulomb.projections import Projections
from farfield.data.statistics import Statistics
from farfield.paradigms.contract import Paradigm, Prediction
from farfield.paradigms.lode.config import LodeConfig
from farfield.paradigms.lode.invariants import Invariants
from farfield.paradigms.lode.sources import ElementSources, LearnedSources
from farfield.paradigms.shared.charge_conservation import Conserved, ConservedCharges, mean_square_shift
from farfield.system import System, per_system
from farfield.units import COULOMB


class Lode(Paradigm):
    """Energies that look at the potential of the whole system around each atom."""

    Config: ClassVar = LodeConfig

    def __init__(self, config: LodeConfig, *, widths: Widths, species: tuple[int, ...]) -> None:
        super().__init__(config, widths=widths, species=species)
        self.config = config
        self.far = FarField(config)
        conserved = config.sources == "learned" and config.potential == "coulomb"
        self.charges: ConservedCharges | None = None
        if conserved:
            self.charges = ConservedCharges(
                widths, species, conservation=config.conservation, given=config.formal_charges
            )
        self.sources = _sources(config, widths.scalars, species, config.channels - conserved)
        self.invariants = Invariants(
            (self.sources.count + conserved) * len(config.widths), config.order, widths, config.mixed
        )
        self.weigh = UnitLinear(widths.scalars, self.invariants.linear)
        self.atomic_energy = AtomicEnergy(replace(widths, scalars=widths.scalars + self.invariants.count))
        self.layers = nn.ModuleList()
        if config.every_layer:
            own = Widths(widths.channels, widths.channels, highest=config.order)
            self.layers.extend(Message(config, own, species) for _ in range(widths.layers - 1))

    @classmethod
    def order_of(cls, config: LodeConfig) -> int:
        """Features as high as the projections they are multiplied with."""
        return config.order

    @classmethod
    def mixing_order_of(cls, config: LodeConfig) -> int | None:
        """Features between layers, where projections enter there, too."""
        return config.order if config.every_layer else None

    def prepare(self, statistics: Statistics) -> None:
        """Scale the energies to the data; fit the elements' charges to the total charges."""
        self.atomic_energy.prepare(statistics)
        if self.charges is not None:
            self.charges.prepare(statistics)
            self.element_charges = self.charges.element_charges(statistics)

    def reach(self, system: System) -> float:
        """No pairs besides those of the features; complains of a periodicity, as whoever asks has not begun yet."""
        self.far.projections.refuse_half_open(system)
        return 0.0

    def forward(self, system: System, features: Features) -> Prediction:
        """Energy, and the charges whose Coulomb energy is part of it."""
        found = None if self.charges is None else self.charges(system, features)
        sources = self.sources(system, features.scalars)
        if found is not None:
            sources = torch.cat([found.charges.unsqueeze(1), sources], 1)
        projected = self.far(system, features, sources)
        invariants = self.invariants(projected, features)
        weights = self.weigh(features.scalars)
        scale = self.atomic_energy.surroundings.scale
        linear = scale * (weights * invariants[:, : self.invariants.linear]).mean(1)
        energy = per_system(self.atomic_energy(system, _beside(features, invariants)) + linear, system)
        return self._with_charges(energy, projected, found, system)

    def mix(self, layer: int, system: System, features: Features) -> Tensor:
        """Read the potential of charges learned from one layer: ``(atoms, channels)``."""
        message: Tensor = self.layers[layer](self.far, system, features)
        return message

    def penalty(self, prediction: Prediction, system: System) -> Tensor | None:
        """Squared shift per atom: charges that need no shift are charges that separated fragments keep."""
        if self.config.conservation != "shift" or prediction.charge_residual is None:
            return None
        return self.config.residual_weight * mean_square_shift(prediction.charge_residual, system)

    def only_charge(self, numbers: Tensor) -> float | None:
        """The sum of the formal charges where nothing else is possible (``bond``, ``fixed``)."""
        return None if self.charges is None else self.charges.only_charge(numbers)

    def _with_charges(self, energy: Tensor, projected: Tensor, found: Conserved | None, system: System) -> Prediction:
        if found is None:
            return Prediction(energy=energy)
        potential = COULOMB * self.far.unit * projected[:, 0, 0, 0]
        coulomb = 0.5 * per_system(found.charges * potential, system)
        return Prediction(
            energy=energy + coulomb, charges=found.charges, energy_coulomb=coulomb, charge_residual=found.residual
        )


class FarField(nn.Module):
    """Projections in units of what a charge of 1 e makes at its own place on the narrowest orbital."""

    def __init__(self, config: LodeConfig) -> None:
        super().__init__()
        self.removed = config.near == "removed"
        self.projections = Projections(
            config.widths, config.width, config.order, config.potential, config.coulomb_error
        )
        self.unit = max(self.projections.own)

    def forward(self, system: System, features: Features, sources: Tensor) -> Tensor:
        """``(atoms, widths, lm, channels)`` of sources ``(atoms, channels)``."""
        found = self.projections.at_atoms(system, sources)
        if self.removed:
            pairs = features.pairs
            near = envelope(pairs.distance / features.cutoff)[:, None, None] * self.projections.of_pairs(pairs.vector)
            made = near.unsqueeze(3) * sources.index_select(0, pairs.j)[:, None, None]
            found = found.index_add(0, pairs.i, -made)
        return found / self.unit


class Message(nn.Module):
    """Messages between two layers: invariants of the potential of charges learned there."""

    def __init__(self, config: LodeConfig, widths: Widths, species: tuple[int, ...]) -> None:
        super().__init__()
        self.sources = _sources(config, widths.scalars, species, config.channels)
        self.invariants = Invariants(self.sources.count * len(config.widths), config.order, widths, config.mixed)
        self.first = UnitLinear(self.invariants.count, widths.scalars)
        self.second = UnitLinear(widths.scalars, widths.scalars)

    def forward(self, far: FarField, system: System, features: Features) -> Tensor:
        """``(atoms, channels)``, 0 where there is no potential."""
        projected = far(system, features, self.sources(system, features.scalars))
        hidden = self.first(self.invariants(projected, features))
        return torch.as_tensor(self.second(nn.functional.silu(hidden)))


def _sources(config: LodeConfig, scalars: int, species: tuple[int, ...], count: int) -> ElementSources | LearnedSources:
    return ElementSources(species) if config.sources == "elements" else LearnedSources(scalars, count)


def _beside(features: Features, invariants: Tensor) -> Features:
    """Scalars with the invariants beside them, which an atom alone does not have."""
    return replace(
        features,
        scalars=torch.cat([features.scalars, invariants], 1),
        alone=nn.functional.pad(features.alone, (0, invariants.shape[1])),
    )
