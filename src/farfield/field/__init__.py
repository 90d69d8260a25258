"""The response to a uniform field, and to charges outside, in one place."""

from farfield.field.dielectric import dielectric_tensor
from farfield.field.dipole import dipole_of_charges, dipole_of_transfers
from farfield.field.energy import along_lattice, field_across, field_energy, refuse_stress
from farfield.field.external_charges import ExternalPotential, external_potential
from farfield.field.polarization import nearest_branch, polarization_of, polarization_quantum
from farfield.field.quadrupole import quadrupole_of

__all__ = [
    "ExternalPotential", "along_lattice", "dielectric_tensor", "dipole_of_charges", "dipole_of_transfers",
    "external_potential", "field_across", "field_energy", "nearest_branch", "polarization_of", "polarization_quantum",
    "quadrupole_of", "refuse_stress",
]  # fmt: skip
