"""Unit of a value, by its name."""

import re

from farfield.data.spellings import spells

_UNITS = {"energy": "eV", "forces": "eV/Å", "virial": "eV", "fermi_level": "eV", "distance": "Å"}
_ENERGIES = re.compile("free_energy|energies|fragment_energies|energy[A-Z]")


def unit_of(key: str) -> str | None:
    """Name the unit of a value of that name, once converted; None where the name does not tell."""
    if _ENERGIES.fullmatch(key):
        return "eV"
    if key.startswith("wannier"):
        return "Å"
    return next((unit for name, unit in _UNITS.items() if spells(key, name)), None)
