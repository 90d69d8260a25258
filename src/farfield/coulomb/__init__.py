"""Coulomb energies, potentials, fields and matrices of charges and multipoles, open or periodic."""

from farfield.coulomb.coulomb import Coulomb
from farfield.coulomb.dispersion import Dispersion
from farfield.coulomb.scaling import PairScaling
from farfield.coulomb.shells import Shells, shell_energy
from farfield.coulomb.solver import Solver
from farfield.coulomb.sources import Sources

__all__ = ["Coulomb", "Dispersion", "PairScaling", "Shells", "Solver", "Sources", "shell_energy"]
