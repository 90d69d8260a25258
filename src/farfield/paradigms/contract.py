"""Contract of every paradigm."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from farfield.backbone.contract import Features, Widths
from farfield.chemistry import ElementCharges
from farfield.data.statistics import Statistics
from farfield.prediction import Prediction
from farfield.system import System

__all__ = ["Paradigm", "Prediction"]


class Paradigm(nn.Module, ABC):
    """Energy of a batch from short-range features. Subclasses are final, one room each."""

    Config: ClassVar[type[Any]]
    """The frozen dataclass that configures it; its ``kind`` is the word users type."""

    gives: frozenset[str] = frozenset({"energy", "forces", "stress"})
    """What it can be asked for. With ``polarization`` it says that its dipole of a crystal is single-valued but for
    e × lattice vectors (its predictions then have ``ion_charges``, by which it grows as atoms are wrapped, where these
    are not the charges); forces in a field and Born charges of crystals then are slopes like any other."""

    takes: frozenset[str] = frozenset()
    """Conditions (names of ``System.conditions``, ``external_charges``) it can be under; the others are refused."""

    highest_order: ClassVar[int] = 0
    """Highest order l of the features it uses; the backbone computes no more."""

    mixing_order: ClassVar[int | None] = None
    """Highest order l of the features it asks for between the backbone's layers; None if it does not ``mix``."""

    equilibrates: ClassVar[bool] = False
    """Whether charge finds its place over any distance: what preferred charges miss of the total flows between
    fragments however far apart, instead of being spread over each."""

    cells_polarize: ClassVar[bool] = False
    """Whether its polarizability of periodic systems means something: dipoles answer to the macroscopic field, and no
    charge does, which would flow from cell to cell."""

    iterated_quantity: ClassVar[Literal["charges", "dipoles"] | None] = None
    """What of a prediction is iterated to. Its ``forward`` then takes ``start=``, a guess of it ``(atoms, …)``
    foreseen from the last steps of a run, where the iteration begins: the result is the same to its tolerance, in
    fewer steps."""

    trained_on: ClassVar[frozenset[str]] = frozenset()
    """Labels its training uses where the data has them, besides energy, forces and stress."""

    element_charges: ElementCharges | None = None
    """The charges that elements start from or stand at, where there are such: known once it is prepared for training,
    not of a loaded model."""

    def __init__(self, config: Any, *, widths: Widths, species: tuple[int, ...]) -> None:  # noqa: ARG002
        super().__init__()

    @property
    def keeps_fragments(self) -> bool:
        """Tell whether every fragment keeps the charge the system names, by construction."""
        return False

    @property
    def breaks(self) -> frozenset[str]:
        """Name the checks of farfield.testing that it fails by construction; its README says why."""
        return frozenset()

    @property
    def dipole_is_single_valued(self) -> bool:
        """Tell whether a crystal's dipole has one value but for e × lattice vectors: it then gives ``polarization``."""
        return "polarization" in self.gives

    @classmethod
    def order_of(cls, config: Any) -> int:  # noqa: ARG003
        """The highest order of one configuration, where it depends on it."""
        return cls.highest_order

    @classmethod
    def mixing_order_of(cls, config: Any) -> int | None:  # noqa: ARG003
        """The order between layers of one configuration, None if that does not ``mix``."""
        return cls.mixing_order

    @abstractmethod
    def forward(self, system: System, features: Features) -> Prediction:
        """Energy (F = E - d·E in a field), dipoles (of cells, too) and what else; derivatives are taken elsewhere."""

    def mix(self, layer: int, system: System, features: Features) -> Tensor:
        """Mix the features of atoms between a layer and the next, over any distance: ``(atoms, channels)``.

        It is added to the scalars. Harmonics ``(atoms, (l + 1)², channels)`` may come back instead (as angular.py has
        them, l at most the ``mixing_order``): those above l = 0 are added to the next layer's densities. ``features``
        are those of that layer alone. Of an atom alone it must be 0. Called where there is a ``mixing_order``,
        ``widths.layers`` - 1 times.
        """
        raise NotImplementedError(f"{type(self).__name__} has a mixing_order and no mix")

    def prepare(self, statistics: Statistics) -> None:
        """Fix what depends on the training set as a whole (scales, formal charges), once, before training."""

    def reach(self, system: System) -> float:  # noqa: ARG002
        """Å within which it needs pairs of this system, besides those of the features; 0 for none."""
        return 0.0

    def penalty(self, prediction: Prediction, system: System) -> Tensor | None:  # noqa: ARG002
        """A term of its own in the training loss, or None."""
        return None

    def only_charge(self, numbers: Tensor) -> float | None:  # noqa: ARG002
        """The one total charge (e) it can give these atoms; None where it takes any."""
        return None

    def remarks(self) -> list[str]:
        """Say what a reader of the report should know of this trained model, a sentence each."""
        return []
