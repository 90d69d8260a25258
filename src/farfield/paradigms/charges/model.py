"""Explicit charges: E = Σ ε(h) + E_C[q(h)], q formal or learned from labels.

3G-HDNNP (Artrith, Morawietz & Behler, PRB 83, 153101 (2011)), PhysNet (Unke & Meuwly, JCTC 15, 3678 (2019)).
"""

from typing import ClassVar

from torch import Tensor

from farfield.backbone.contract import Features, Widths
from farfield.coulomb import Coulomb
from farfield.data.statistics import Statistics
from farfield.paradigms.charges.config import ChargesConfig
from farfield.paradigms.contract import Paradigm, Prediction
from farfield.response.charged import LocalCharges
from farfield.system import System


class Charges(Paradigm):
    """Charges of physical meaning, fixed or fitted to labels, and their Coulomb energy."""

    Config: ClassVar = ChargesConfig
    gives: ClassVar = frozenset({"energy", "forces", "stress", "charges", "dipole"})
    reads: ClassVar = frozenset({"charges", "dipole"})

    def __init__(self, config: ChargesConfig, *, widths: Widths, species: tuple[int, ...]) -> None:
        super().__init__(config, widths=widths, species=species)
        self.config = config
        self.local = LocalCharges(
            widths, species, conservation=config.conservation, formal_charges=config.formal_charges,
            width=config.width, coulomb=Coulomb(error=config.coulomb_error),
        )  # fmt: skip

    def prepare(self, statistics: Statistics) -> None:
        """Scale the energies; fit the elements' charges to the totals."""
        self.local.prepare(statistics)

    def reach(self, system: System) -> float:
        """Cutoff of the real-space Coulomb sum."""
        return self.local.coulomb.reach(system, self.config.width or None)

    def forward(self, system: System, features: Features) -> Prediction:
        """Energy and charges."""
        prediction: Prediction = self.local(system, features)
        return prediction

    def penalty(self, prediction: Prediction) -> Tensor | None:
        """The residual of charge conservation."""
        return self.local.penalty(prediction, self.config.residual_weight)

    def only_charge(self, numbers: Tensor) -> float | None:
        """The sum of the formal charges with ``bond`` and ``fixed``."""
        return self.local.only_charge(numbers)
