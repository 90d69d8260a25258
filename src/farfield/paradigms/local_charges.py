"""What rooms with local charges have in common: E = Σ ε(h) + E_C[q(h)], Gaussian charges, self-energy removed."""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, FiniteFloat
from pydantic.dataclasses import dataclass
from torch import Tensor

from farfield.backbone.contract import Features, Widths
from farfield.backbone.heads import AtomicEnergy
from farfield.coulomb import Coulomb
from farfield.data.statistics import Statistics
from farfield.field import field_energy
from farfield.paradigms.contract import Paradigm, Prediction
from farfield.response.conservation import ConservedCharges, mean_square_shift
from farfield.system import System, per_system


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class LocalChargesConfig:
    """Keys of every room whose charges are local."""

    conservation: Literal["shift", "bond", "fixed"] = "shift"
    """How the charges are made to sum to the total charge."""
    formal_charges: dict[str, FiniteFloat] | None = None
    """Charge of each element where charges start (shift) or stand (bond, fixed); fitted to the data where absent."""
    width: Annotated[float, Field(ge=0)] = 1 / math.sqrt(2)
    """Gaussian width of each charge, Å; the default is what the LES papers call σ = 1 Å; 0 for points."""
    coulomb_error: Annotated[float, Field(ge=1e-10, le=1e-2)] = 1e-5
    """Error asked of the Coulomb sum, relative to K⟨q²⟩(N/V)^(2/3)."""
    residual_weight: Annotated[float, Field(ge=0)] = 30.0
    """Weight in the loss of the squared charge per atom, (e/atom)², that conservation has to shift away."""


class LocalCharges(Paradigm):
    """Short-range energy plus the Coulomb energy of conserved charges; a room adds its name and what it reads."""

    takes: ClassVar = frozenset({"external_field"})

    def __init__(self, config: LocalChargesConfig, *, widths: Widths, species: tuple[int, ...]) -> None:
        super().__init__(config, widths=widths, species=species)
        self.config = config
        self.gives = Paradigm.gives | {"charges", "dipole", "born_charges"}
        if config.conservation != "shift":  # charge moves along bonds: there is a polarization
            self.gives |= {"polarization"}
        self.atomic_energy = AtomicEnergy(widths)
        self.charges = ConservedCharges(widths, species, conservation=config.conservation, given=config.formal_charges)
        self.coulomb = Coulomb(error=config.coulomb_error)

    def prepare(self, statistics: Statistics) -> None:
        """Scale the energies to the data; fit the elements' charges to the total charges."""
        self.atomic_energy.prepare(statistics)
        self.charges.prepare(statistics)

    def reach(self, system: System) -> float:
        """Cutoff of the real-space Coulomb sum."""
        return self.coulomb.reach(system, self.config.width or None)

    def forward(self, system: System, features: Features) -> Prediction:
        """Charges of every atom and energies of every system."""
        found = self.charges(system, features)
        coulomb = self.coulomb.energy(
            system, charges=found.charges, widths=self.config.width or None, self_energy=False
        )
        short_range = per_system(self.atomic_energy(system, features), system)
        return Prediction(
            energy=short_range + coulomb + field_energy(found.dipole, system.external_field),
            charges=found.charges,
            dipole=found.dipole,
            energy_coulomb=coulomb,
            charge_residual=found.residual,
        )

    def penalty(self, prediction: Prediction, system: System) -> Tensor | None:
        """Squared shift per atom: charges that need no shift are charges that separated fragments keep."""
        if self.config.conservation != "shift" or prediction.charge_residual is None:
            return None
        return self.config.residual_weight * mean_square_shift(prediction.charge_residual, system)

    def only_charge(self, numbers: Tensor) -> float | None:
        """The sum of the formal charges where nothing else is possible (``bond``, ``fixed``)."""
        if self.config.conservation == "shift":
            return None
        return float(self.charges.element_charge[numbers].sum())
