"""What rooms with local charges alone have in common: E = Σ ε(h) + E_C[q(h)], Gaussian charges, self-energy removed."""

from farfield.backbone.contract import Features, Widths
from farfield.field import energy_in_external_charges, external_potential, field_energy
from farfield.paradigms.contract import Prediction
from farfield.paradigms.shared.config import LocalChargesConfig
from farfield.paradigms.shared.conserving import Conserving
from farfield.system import System, per_system


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
        width = self.config.width or None
        coulomb = self.coulomb.energy(system, charges=found.charges, widths=width, self_energy=False)
        outside = external_potential(system, self.coulomb, width)
        coulomb = coulomb + energy_in_external_charges(found.charges, outside, system)
        short_range = per_system(self.atomic_energy(system, features), system)
        return Prediction(
            energy=short_range + coulomb + field_energy(found.dipole, system.external_field),
            charges=found.charges,
            ion_charges=found.ions,
            dipole=found.dipole,
            energy_coulomb=coulomb,
            charge_residual=found.residual,
        )
