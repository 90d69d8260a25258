"""Who feels whom: Coulomb energies, potentials, fields and matrices of charges, open or periodic."""

from farfield.coulomb.solver import Coulomb
from farfield.coulomb.sources import Sources

__all__ = ["Coulomb", "Sources"]
