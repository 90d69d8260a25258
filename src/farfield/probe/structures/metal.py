"""A metal surface with ions before it, for models whose charges respond."""

import math
from dataclasses import dataclass

import ase
from ase.build import fcc100
from ase.data import atomic_numbers, chemical_symbols

from farfield.probe.finding import NotApplicable
from farfield.probe.stage import Stage

_LATTICE = {
    "Au": 4.08, "Ag": 4.09, "Pt": 3.92, "Cu": 3.61, "Pd": 3.89, "Ni": 3.52, "Al": 4.05, "Ir": 3.84, "Rh": 3.80,
}  # fmt: skip
"""Å, cubic constants of fcc metals (CRC Handbook of Chemistry and Physics)."""

WIDEST = 9
"""Atoms along either side of the cell."""


@dataclass(frozen=True, eq=False)
class Surface:
    """A slab of three layers, periodic along x and y and wider than ions are high above it, centred at z = 0."""

    slab: ase.Atoms
    ion: int

    @property
    def top(self) -> float:
        """Height of the uppermost atoms in Å; the lowest are at minus that."""
        return float(self.slab.positions[:, 2].max())

    @property
    def name(self) -> str:
        """Cl before Au(100)."""
        return f"{chemical_symbols[self.ion]} before {self.slab.symbols[0]}(100)"

    def with_ion(self, height: float) -> ase.Atoms:
        """The slab first, then an ion at this height (Å) over its middle; no charge in all."""
        atoms = self.slab.copy()
        atoms += ase.Atoms([self.ion], [[*(self.slab.cell[0] + self.slab.cell[1])[:2] / 2, height]])
        atoms.info["charge"] = 0.0
        return atoms


def surface(stage: Stage) -> Surface:
    """Build a surface of the first fcc metal the model knows, before it the most electronegative other element.

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
    across = min(math.ceil(4.2 * stage.subject.cutoff / (_LATTICE[symbol] / math.sqrt(2))), WIDEST)
    slab = fcc100(symbol, (across, across, 3), a=_LATTICE[symbol], vacuum=10.0)
    slab = ase.Atoms(slab.numbers, slab.positions, cell=slab.cell, pbc=[True, True, False])
    slab.positions[:, 2] -= slab.positions[:, 2].mean()
    order = [atomic_numbers[s] for s in ("F", "Cl", "O", "Br", "I", "S", "N")]
    return Surface(slab, next((z for z in order if z in others), others[-1]))
