"""Everything that can be predicted, labelled, trained on and plotted: one table that all of them read.

A new one is a row here, a field each of ``Prediction``, ``Labels``, ``LossWeights`` and ``DataConfig``, and its usual
names in ``data.spellings``; a test holds them to the table. One in a unit that no other has needs that, too:
``DataConfig`` and ``data.conversion.Factors``.
"""

import math
from dataclasses import dataclass
from typing import Literal

from farfield.units import COULOMB

Defined = Literal["everywhere", "crystals", "molecules"]


@dataclass(frozen=True)
class Quantity:
    """One of them, in Å, eV and e inside."""

    name: str  # of the attribute of ``Prediction`` and ``Labels``
    label: str  # on tables and pictures
    per_atom: bool  # a row an atom, or a row a system
    shape: tuple[int, ...]  # of a row
    unit: str  # of the numbers inside
    quoted: str  # unit that errors are quoted in …
    scale: float  # … of which so many make one inside
    defined_on: Defined = "everywhere"  # crystals are periodic along three axes, molecules along none
    atoms_power: float = 0.0  # the loss counts errors over atoms^power,
    by_volume: bool = False  # times the volume,
    by_forces: bool = False  # and over the scale of the data's forces
    measured_as: str = ""  # the one whose unit files have it in, where that is another
    symmetric: bool = False  # a tensor of which files may have six numbers
    per_point: bool = False  # a row a point where the potential is asked for, of which frames have any number
    some_elements: bool = False  # which only some have: rows of the others are 0 in files, or nan, as they are inside

    def takes(self, count: int) -> bool:
        """Tell whether a row of it, or all points of a frame with their potentials, may be so many numbers."""
        return count % 4 == 0 if self.per_point else count in self.numbers

    @property
    def numbers(self) -> frozenset[int]:
        """List how many numbers a row of it may be in a file."""
        return frozenset({math.prod(self.shape), *([6] if self.symmetric else [])})


_ROWS = (
    Quantity("energy", "Energy", False, (), "eV", "meV", 1e3, atoms_power=1, by_forces=True),
    Quantity("forces", "Forces", True, (3,), "eV/Å", "meV/Å", 1e3, by_forces=True),
    Quantity(
        "stress", "Stress", False, (3, 3), "eV/Å³", "meV/Å³", 1e3, "crystals", atoms_power=1, by_volume=True,
        by_forces=True, symmetric=True,
    ),
    Quantity("charges", "Charges", True, (), "e", "me", 1e3),
    Quantity("dipoles", "Dipoles of atoms", True, (3,), "e·Å", "me·Å", 1e3, measured_as="dipole"),
    Quantity(
        "quadrupoles", "Quadrupoles of atoms", True, (3, 3), "e·Å²", "me·Å²", 1e3, measured_as="quadrupole",
        symmetric=True,
    ),
    Quantity(
        "wannier_displacement", "Wannier displacement", True, (3,), "Å", "mÅ", 1e3, measured_as="length",
        some_elements=True,
    ),
    Quantity("dipole", "Dipole", False, (3,), "e·Å", "me·Å", 1e3, "molecules", atoms_power=0.5),
    Quantity(
        "quadrupole", "Quadrupole", False, (3, 3), "e·Å²", "me·Å²", 1e3, "molecules", atoms_power=1, symmetric=True
    ),
    Quantity(
        "polarization", "Polarization", False, (3,), "e/Å²", "me/Å²", 1e3, "crystals", atoms_power=0.5, by_volume=True
    ),
    Quantity("potential", "Potential", False, (), "V", "mV", 1e3, measured_as="energy", per_point=True),
    Quantity("born_charges", "Born charges", True, (3, 3), "e", "me", 1e3),
    Quantity(
        "polarizability", "Polarizability", False, (3, 3), "e²·Å²/V", "Å³", COULOMB, "molecules", atoms_power=1
    ),
)  # fmt: skip
QUANTITIES = {quantity.name: quantity for quantity in _ROWS}
"""By name, in the order of tables."""

PER_ATOM = frozenset(quantity.name for quantity in _ROWS if quantity.per_atom)
"""Names of those with a row an atom."""
