"""The response to a uniform field, and to charges outside, in one place."""

from farfield.field.dielectric import dielectric_tensor
from farfield.field.dipole import dipole_of_charges, dipole_of_transfers
from farfield.field.energy import along_lattice, field_across, field_energy, refuse_stress
from farfield.field.external_charges import (
    energy_in_external_charges,
    external_potential,
    external_potential_and_gradient,
)
from farfield.field.polarization import nearest_branch, polarization_of, polarization_quantum

__all__ = [
    "along_lattice", "dielectric_tensor", "dipole_of_charges", "dipole_of_transfers", "energy_in_external_charges",
    "external_potential", "external_potential_and_gradient", "field_across", "field_energy",
    "nearest_branch", "polarization_of", "polarization_quantum", "refuse_stress",
]  # fmt: skip
