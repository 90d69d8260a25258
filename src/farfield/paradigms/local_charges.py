"""What rooms with local charges alone have in common: E = Σ ε(h) + E_C[q(h)], Gaussian charges, self-energy removed."""

import math
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from farfield.backbone.contract import Features, Widths
from farfield.field import field_energy
from farfield.paradigms.conserving import Conserving, ConservingConfig
from farfield.paradigms.contract import Prediction
from farfield.system import System, per_system


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class LocalChargesConfig(ConservingConfig):
    """Keys of every room with local charges alone."""

    width: Annotated[float, Field(ge=0)] = 1 / math.sqrt(2)
    """Gaussian width of each charge, Å; the default is what the LES papers call σ = 1 Å; 0 for points."""


class LocalCharges(Conserving):
    """Short-range energy plus the Coulomb energy of conserved charges; a room adds its name and what it reads."""

    def __init__(self, config: LocalChargesConfig, *, widths: Widths, species: tuple[int, ...]) -> None:
        super().__init__(config, widths=widths, species=species)
        self.config = config

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
            ion_charges=found.ions,
            dipole=found.dipole,
            energy_coulomb=coulomb,
            charge_residual=found.residual,
        )
