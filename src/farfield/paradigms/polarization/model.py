"""One energy of positions and field: F(R, E) = Σ ε(h) - E·d(R) - ½ E·α(R)·E, with d = Σ z R + Σ μ(h), α = Σ α(h).

The dipole is -∂F/∂E, Born charges are -∂²F/∂E∂R, the polarizability is -∂²F/∂E²: derivatives of one function, of which
a translation by t changes nothing but -Q E·t, so that Born charges sum to Q 1 exactly (Falletta et al., Nat. Commun.
16, 4031 (2025)). z are whole numbers: an atom carried on by a lattice vector a has carried z a, a quantum of
polarization, and all else is as before (Resta & Vanderbilt, in Physics of Ferroelectrics, Springer (2007); Grasselli &
Baroni, Nat. Phys. 15, 967 (2019)).
"""

from typing import ClassVar

import torch
from torch import Tensor

from farfield.backbone.contract import Features, Widths
from farfield.backbone.heads import CHARGE_START, AtomicEnergy, AtomicVector
from farfield.chemistry import ElementCharges, whole_charges
from farfield.data.statistics import Statistics
from farfield.field import dipole_of_charges, field_energy
from farfield.paradigms.contract import Paradigm, Prediction
from farfield.paradigms.polarization.config import PolarizationConfig
from farfield.paradigms.shared.atomic_polarizability import AtomicPolarizability
from farfield.system import System, per_system
from farfield.units import COULOMB


class Polarization(Paradigm):
    """Energies, dipoles and polarizabilities of atoms from their surroundings, and a field that acts on them."""

    Config: ClassVar = PolarizationConfig
    gives = Paradigm.gives | {"dipole", "polarization", "born_charges", "polarizability"}
    takes = frozenset({"external_field"})
    trained_on: ClassVar = frozenset({"dipole", "polarization", "born_charges", "polarizability"})
    highest_order: ClassVar = 2
    cells_polarize: ClassVar = True
    element_charge: Tensor

    def __init__(self, config: PolarizationConfig, *, widths: Widths, species: tuple[int, ...]) -> None:
        super().__init__(config, widths=widths, species=species)
        self.config = config
        self.atomic_energy = AtomicEnergy(widths)
        self.dipoles = AtomicVector(widths, start=CHARGE_START)
        self.polarizability = AtomicPolarizability(widths, species, start=config.start, anisotropic=True)
        self.register_buffer("element_charge", torch.zeros(119))
        self.element_charge[list(species)] = whole_charges(species, given=config.formal_charges).to(self.element_charge)

    def prepare(self, statistics: Statistics) -> None:
        """Scale the energies to the data; choose the elements' charges by the total charges."""
        self.atomic_energy.prepare(statistics)
        species, given = statistics.species, self.config.formal_charges
        fitted = whole_charges(species, given=given, counts=statistics.piece_counts, charge=statistics.piece_charge)
        self.element_charge[list(species)] = fitted.to(self.element_charge)
        self.element_charges = ElementCharges.of(
            species, fitted, given=given, ions=statistics.ion_charge, stay=True, zero="no whole charges add up"
        )

    def forward(self, system: System, features: Features) -> Prediction:
        """The energy in the field, and the dipole, which is its slope by it."""
        ions, field = self._carried(system), system.external_field
        dipole = dipole_of_charges(ions, system) + per_system(self.dipoles(features), system)
        short_range = per_system(self.atomic_energy(system, features), system)
        if field is None:
            return Prediction(energy=short_range, ion_charges=ions, dipole=dipole)
        polarizability = per_system(self.polarizability(system, features).tensor, system) / COULOMB
        induced = torch.einsum("sab,sb->sa", polarizability, field)
        energy = short_range + field_energy(dipole + 0.5 * induced, field)
        return Prediction(energy=energy, ion_charges=ions, dipole=dipole + induced)

    def _carried(self, system: System) -> Tensor:
        """Charges ``(atoms,)``, e, that go along with atoms: their elements', and even shares of what these miss."""
        charges = self.element_charge[system.numbers]
        missing = system.charge - per_system(charges, system)
        return charges + (missing / system.atoms_per_system)[system.system_index]
