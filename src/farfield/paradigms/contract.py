"""What every paradigm promises."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from farfield.backbone.contract import Features
from farfield.data.statistics import Statistics
from farfield.system import System


@dataclass(frozen=True)
class Prediction:
    """What a model says of a batch. ``None`` where it has nothing to say or was not asked."""

    energy: Tensor  # (systems,) eV, float64 once the baseline is on it
    forces: Tensor | None = None  # (atoms, 3) eV/Å
    stress: Tensor | None = None  # (systems, 3, 3) eV/Å³
    charges: Tensor | None = None  # (atoms,) e
    dipole: Tensor | None = None  # (systems, 3) e·Å about the origin; nan where periodic
    energy_coulomb: Tensor | None = None  # (systems,) eV, the electrostatic part of energy
    charge_residual: Tensor | None = None  # (systems,) e, what conservation had to shift away


class Paradigm(nn.Module, ABC):
    """Energy of a batch from short-range features. Subclasses are final, one room each."""

    Config: ClassVar[type[Any]]
    """The frozen dataclass that configures it; its ``kind`` is the word users type."""

    gives: ClassVar[frozenset[str]] = frozenset({"energy", "forces", "stress"})
    """What it can be asked for; every one of them can be trained on where the data has a label."""

    @abstractmethod
    def __init__(self, config: Any, *, widths: Any, species: tuple[int, ...]) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, system: System, features: Features) -> Prediction:
        """Energy and whatever comes with it. Derivatives are taken elsewhere, in one place."""

    def prepare(self, statistics: Statistics) -> None:
        """Fix what depends on the training set as a whole (scales, formal charges), once, before training."""

    def reach(self, system: System) -> float:  # noqa: ARG002
        """Å within which it needs pairs of this system, besides those of the features; 0 for none."""
        return 0.0

    def penalty(self, prediction: Prediction) -> Tensor | None:  # noqa: ARG002
        """A term of its own in the training loss, or None."""
        return None
