"""Base of rooms whose charges are local and conserved, whatever they make of them."""

from torch import Tensor

from farfield.backbone.contract import Widths
from farfield.backbone.heads import AtomicEnergy
from farfield.coulomb import Coulomb
from farfield.data.statistics import Statistics
from farfield.paradigms.contract import Paradigm, Prediction
from farfield.paradigms.shared.charge_conservation import ConservedCharges, mean_square_shift
from farfield.paradigms.shared.config import ConservationConfig
from farfield.system import System


class LocalCharges(Paradigm):
    """Short-range energies, conserved charges, and the solver for what lies between them."""

    takes = frozenset({"external_field", "external_charges"})

    def __init__(self, config: ConservationConfig, *, widths: Widths, species: tuple[int, ...]) -> None:
        super().__init__(config, widths=widths, species=species)
        self.conserving = config
        self.gives = Paradigm.gives | {"charges", "dipole", "quadrupole", "born_charges"}
        if config.conservation != "shift":  # charge moves along bonds: there is a polarization
            self.gives |= {"polarization"}
        self.atomic_energy = AtomicEnergy(widths)
        self.charges = ConservedCharges(widths, species, conservation=config.conservation, given=config.formal_charges)
        self.coulomb = Coulomb(error=config.coulomb_error)

    def prepare(self, statistics: Statistics) -> None:
        """Scale the energies to the data; fit the elements' charges to the total charges."""
        self.atomic_energy.prepare(statistics)
        self.charges.prepare(statistics)
        self.element_charges = self.charges.element_charges(statistics)

    def penalty(self, prediction: Prediction, system: System) -> Tensor | None:
        """Squared shift per atom: charges that need no shift are charges that separated fragments keep."""
        if self.conserving.conservation != "shift" or prediction.charge_residual is None:
            return None
        return self.conserving.residual_weight * mean_square_shift(prediction.charge_residual, system)

    def only_charge(self, numbers: Tensor) -> float | None:
        """The sum of the formal charges where nothing else is possible (``bond``, ``fixed``)."""
        return self.charges.only_charge(numbers)
