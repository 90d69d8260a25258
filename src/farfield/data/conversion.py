"""Conversion of other codes' units to farfield's: Å, eV, e."""

from dataclasses import dataclass
from typing import Literal

from farfield.units import BOHR, COULOMB, DEBYE, HARTREE

EnergyUnit = Literal["eV", "meV", "hartree", "rydberg", "kcal/mol", "kJ/mol"]
LengthUnit = Literal["angstrom", "bohr", "nm"]
StressUnit = Literal["eV/angstrom^3", "GPa", "kbar"]
DipoleUnit = Literal["e*angstrom", "debye", "au"]
QuadrupoleUnit = Literal["e*angstrom^2", "debye*angstrom", "au"]
QuadrupoleForm = Literal["buckingham", "jackson", "second_moment"]
PolarizationUnit = Literal["e/angstrom^2", "C/m^2", "e*angstrom"]
PolarizabilityUnit = Literal["e^2*angstrom^2/V", "angstrom^3", "au"]
SpinUnit = Literal["unpaired", "multiplicity"]
FieldUnit = Literal["V/angstrom", "V/nm", "au"]

_KJ_PER_MOL = 1 / 96.48533212331002
"""One kJ/mol in eV: 1000 / (Avogadro constant x elementary charge), both exact since 2019."""
_GPA = 1 / 160.2176634
"""One GPa in eV/Å³, exact."""

ENERGY: dict[EnergyUnit, float] = {
    "eV": 1.0,
    "meV": 1e-3,
    "hartree": HARTREE,
    "rydberg": HARTREE / 2,
    "kcal/mol": 4.184 * _KJ_PER_MOL,
    "kJ/mol": _KJ_PER_MOL,
}
LENGTH: dict[LengthUnit, float] = {"angstrom": 1.0, "bohr": BOHR, "nm": 10.0}
STRESS: dict[StressUnit, float] = {"eV/angstrom^3": 1.0, "GPa": _GPA, "kbar": 0.1 * _GPA}
DIPOLE: dict[DipoleUnit, float] = {"e*angstrom": 1.0, "debye": DEBYE, "au": BOHR}
QUADRUPOLE: dict[QuadrupoleUnit, float] = {"e*angstrom^2": 1.0, "debye*angstrom": DEBYE, "au": BOHR**2}
POLARIZATION: dict[PolarizationUnit, float] = {"e/angstrom^2": 1.0, "C/m^2": 1 / 16.02176634, "e*angstrom": 1.0}
"""The last is the dipole of the cell, whose volume comes in besides."""
POLARIZABILITY: dict[PolarizabilityUnit, float] = {
    "e^2*angstrom^2/V": 1.0,
    "angstrom^3": 1 / COULOMB,
    "au": BOHR**3 / COULOMB,
}
VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")
"""Components of a symmetric tensor in the order that ASE means."""
STRESS_ORDERS = {"voigt": VOIGT, "vasp": ("xx", "yy", "zz", "xy", "yz", "xz")}
LARGEST_STRESS = 1.0
"""eV/Å³ = 160 GPa, more than at the bottom of the Earth's mantle; numbers in kbar exceed it at once, in GPa soon."""
ASYMMETRY = 1e-3
"""A stress may differ from its transpose by this part of its largest component."""
FIELD: dict[FieldUnit, float] = {"V/angstrom": 1.0, "V/nm": 0.1, "au": HARTREE / BOHR}


@dataclass(frozen=True)
class Factors:
    """Multiply what the file says by these."""

    energy: float  # eV
    length: float  # Å
    stress: float  # eV/Å³
    dipole: float  # e·Å
    quadrupole: float  # e·Å²
    polarization: float  # e/Å², or e·Å
    polarizability: float  # e²·Å²/V

    @property
    def forces(self) -> float:
        """eV/Å: forces come in the file's energy over its length."""
        return self.energy / self.length


def tensor_components(order: str) -> tuple[str, ...]:
    """Name the components of six numbers: by a name in ``STRESS_ORDERS``, or spelt out, ``"xx yy zz xy xz yz"``.

    Raises:
        ValueError: neither.
    """
    named = STRESS_ORDERS.get(order.strip().lower())
    words = named or tuple("".join(sorted(word)) for word in order.lower().replace(",", " ").split())
    if sorted(words) != sorted(VOIGT):
        raise ValueError('expected voigt, vasp, or the six components in their order such as "xx yy zz xy yz xz"')
    return words


def spelt_out(order: str) -> str:
    """An order of six components in words: ``"xx yy zz yz xz xy"``."""
    return " ".join(STRESS_ORDERS[order])


def condition_factor(name: str, energy: EnergyUnit | None, field: FieldUnit) -> float:
    """Multiply a condition that a system is under by this; charges, spins and potentials have one unit everywhere."""
    if name in ("external_field", "displacement_field"):
        return FIELD[field]
    return ENERGY[energy or "eV"] if name == "fermi_level" else 1.0
