"""Conserved charges with their Coulomb energy: what the rooms with local charges have in common."""

import torch
from torch import Tensor, nn

from farfield.backbone.contract import Features, Widths
from farfield.backbone.heads import AtomicEnergy
from farfield.coulomb import Coulomb
from farfield.data.statistics import Statistics
from farfield.prediction import Prediction
from farfield.response.conservation import Conservation, ConservedCharges
from farfield.system import System, per_system


class LocalCharges(nn.Module):
    """E = Σ ε(h) + E_C of Gaussian charges q(h), self-energy removed."""

    def __init__(
        self,
        widths: Widths,
        species: tuple[int, ...],
        *,
        conservation: Conservation,
        formal_charges: dict[str, float] | None,
        width: float,
        coulomb: Coulomb,
    ) -> None:
        super().__init__()
        self.atomic_energy = AtomicEnergy(widths)
        self.charges = ConservedCharges(widths, species, conservation=conservation, given=formal_charges)
        self.width, self.coulomb = width, coulomb

    def prepare(self, statistics: Statistics) -> None:
        """Scale the energies to the data; fit the elements' charges to the total charges."""
        self.atomic_energy.prepare(statistics)
        self.charges.prepare(statistics)

    def forward(self, system: System, features: Features) -> Prediction:
        """Charges of every atom and energies of every system."""
        charges, residual = self.charges(system, features)
        coulomb = self.coulomb.energy(system, charges=charges, widths=self.width or None, self_energy=False)
        return Prediction(
            energy=per_system(self.atomic_energy(system, features), system) + coulomb,
            charges=charges,
            dipole=molecular_dipole(charges, system),
            energy_coulomb=coulomb,
            charge_residual=residual,
        )

    def only_charge(self, numbers: Tensor) -> float | None:
        """The sum of the formal charges where nothing else is possible."""
        if self.charges.conservation == "shift":
            return None
        return float(self.charges.element_charge[numbers].sum())

    def penalty(self, prediction: Prediction, weight: float) -> Tensor | None:
        """Mean squared residual: charges that need no shift are charges that separated fragments keep."""
        if self.charges.conservation != "shift" or prediction.charge_residual is None:
            return None
        return weight * prediction.charge_residual.square().mean()


def molecular_dipole(charges: Tensor, system: System) -> Tensor:
    """Dipole ``(systems, 3)`` of molecules about the origin, e·Å; nan where the system is periodic."""
    dipole = per_system(charges[:, None] * system.positions, system)
    return torch.where(system.periodic.any(1, keepdim=True), torch.nan, dipole)
