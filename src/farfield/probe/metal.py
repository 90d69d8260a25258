"""A metal surface with ions before it, for models whose charges respond."""

from dataclasses import dataclass

import ase
import numpy as np
from ase.build import fcc100
from ase.data import atomic_numbers, chemical_symbols

from farfield.probe.finding import NotApplicable
from farfield.probe.stage import Stage

_LATTICE = {
    "Au": 4.08, "Ag": 4.09, "Pt": 3.92, "Cu": 3.61, "Pd": 3.89, "Ni": 3.52, "Al": 4.05, "Ir": 3.84, "Rh": 3.80,
}  # fmt: skip
"""Å, cubic constants of fcc metals (CRC Handbook of Chemistry and Physics)."""


@dataclass(frozen=True, eq=False)
class Surface:
    """A slab of four layers, periodic along x and y, centred at z = 0."""

    slab: ase.Atoms
    ion: int

    @property
    def top(self) -> float:
        """Å, where the uppermost atoms are; the lowest are at minus that."""
        return float(self.slab.positions[:, 2].max())

    @property
    def area(self) -> float:
        """Å² of a side of the cell."""
        return float(np.linalg.norm(np.cross(self.slab.cell[0], self.slab.cell[1])))

    @property
    def name(self) -> str:
        """Cl before Au(100)."""
        return f"{chemical_symbols[self.ion]} before {self.slab.symbols[0]}(100)"

    def with_ions(self, *heights: float) -> ase.Atoms:
        """The slab first, then ions at these heights (Å) over its middle; no charge in all."""
        atoms = self.slab.copy()
        middle = (self.slab.cell[0] + self.slab.cell[1])[:2] / 2
        atoms += ase.Atoms([self.ion] * len(heights), [[*middle, z] for z in heights])
        atoms.info["charge"] = 0.0
        return atoms


def surface(stage: Stage) -> Surface:
    """Of the first fcc metal the model knows, with the most electronegative other element it knows.

    Raises:
        NotApplicable: charges that do not respond, no metal, or nothing else.
    """
    stage.needs("charges", "charges")
    if not stage.charges_respond:
        raise NotApplicable("its charges do not respond: a metal would not screen")
    species = stage.subject.species
    metals = [z for z in species if chemical_symbols[z] in _LATTICE]
    others = [z for z in species if z not in metals]
    if not metals:
        raise NotApplicable("no metal among its elements")
    if not others:
        raise NotApplicable("no other element than metals to put before the surface")
    symbol = chemical_symbols[metals[0]]
    slab = fcc100(symbol, (3, 3, 4), a=_LATTICE[symbol], vacuum=10.0)
    slab = ase.Atoms(slab.numbers, slab.positions, cell=slab.cell, pbc=[True, True, False])
    slab.positions[:, 2] -= slab.positions[:, 2].mean()
    order = [atomic_numbers[s] for s in ("F", "Cl", "O", "Br", "I", "S", "N")]
    return Surface(slab, next((z for z in order if z in others), others[-1]))
