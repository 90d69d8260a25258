"""Things that answer: charges that follow from electronegativities, constraints and the whole system."""

from farfield.response.carried import carried
from farfield.response.conjugate import NotPositiveDefinite, Solution, conjugate_gradient
from farfield.response.equilibrate import Equilibrium, equilibrate

__all__ = ["Equilibrium", "NotPositiveDefinite", "Solution", "carried", "conjugate_gradient", "equilibrate"]
