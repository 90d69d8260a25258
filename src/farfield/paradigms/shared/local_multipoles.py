"""Base of rooms with local multipoles: E = Σ ε(h) + E_C[q(h), μ(h), Θ(h)], Gaussians, no self-energy."""

from typing import Any

from torch import Tensor

from farfield.backbone.contract import Features, Widths
from farfield.backbone.heads import CHARGE_START, AtomicTensor, AtomicVector
from farfield.coulomb import Sources
from farfield.field import external_potential, field_energy
from farfield.paradigms.contract import Prediction
from farfield.paradigms.shared.config import LocalChargesConfig
from farfield.paradigms.shared.local_charges import LocalCharges
from farfield.system import System, per_system

MOMENTS = frozenset({"charges", "dipole", "quadrupole", "potential", "born_charges", "polarization"})
"""Labels that charges, of atoms as they are or of all of them together, are learned from."""


class LocalMultipoles(LocalCharges):
    """Short-range energy plus the Coulomb energy of multipoles; a room adds its name and its labels."""

    def __init__(self, config: LocalChargesConfig, *, widths: Widths, species: tuple[int, ...]) -> None:
        super().__init__(config, widths=widths, species=species)
        self.config, self.order = config, self.order_of(config)
        self.dipoles = AtomicVector(widths, start=CHARGE_START) if self.order > 0 else None
        self.quadrupoles = AtomicTensor(widths, start=CHARGE_START) if self.order > 1 else None
        self.gives |= {"potential"}
        self.gives |= {"dipoles"} if self.order > 0 else set()
        self.gives |= {"quadrupoles"} if self.order > 1 else set()

    @classmethod
    def order_of(cls, config: Any) -> int:
        """Vectors make dipoles, tensors quadrupoles."""
        return int(config.order)

    def reach(self, system: System) -> float:
        """Cutoff of the real-space Coulomb sum."""
        return self.coulomb.reach(system, self.config.width or None, rank=self.order)

    def forward(self, system: System, features: Features) -> Prediction:
        """Charges, dipoles and quadrupoles of every atom and energies of every system."""
        found = self.charges(system, features)
        dipoles = None if self.dipoles is None else self.dipoles(features)
        quadrupoles = None if self.quadrupoles is None else self.quadrupoles(features)
        coulomb: Tensor = self.coulomb.energy(
            system, charges=found.charges, dipoles=dipoles, quadrupoles=quadrupoles, widths=self.config.width or None,
            self_energy=False,
        )  # fmt: skip
        outside = external_potential(system, self.coulomb, self.config.width or None, order=self.order)
        if outside is not None:
            coulomb = coulomb + outside.energy(system, found.charges, dipoles, quadrupoles)
        short_range = per_system(self.atomic_energy(system, features), system)
        dipole = found.dipole if dipoles is None else found.dipole + per_system(dipoles, system)
        return Prediction(
            energy=short_range + coulomb + field_energy(dipole, system.external_field),
            charges=found.charges,
            ion_charges=found.ions,
            dipole=dipole,
            dipoles=dipoles,
            quadrupoles=quadrupoles,
            potential=self._potential(system, found.charges, dipoles, quadrupoles),
            energy_coulomb=coulomb,
            charge_residual=found.residual,
        )

    def _potential(
        self, system: System, charges: Tensor, dipoles: Tensor | None, quadrupoles: Tensor | None
    ) -> Tensor | None:
        """The potential of the atoms ``(points,)``, V, where it is asked for; None where it is not."""
        if (points := system.potential_points) is None:
            return None
        sources = Sources(
            system.positions, system.system_index, charges, dipoles, quadrupoles, self.config.width or None
        )
        return self.coulomb.potential_at(system, sources, points.positions, points.system_index)
