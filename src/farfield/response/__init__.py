"""Things that answer: charges that follow from electronegativities, constraints and the whole system."""

from farfield.response.equilibrate import Equilibrium, equilibrate

__all__ = ["Equilibrium", "equilibrate"]
