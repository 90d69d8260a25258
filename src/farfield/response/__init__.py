"""Things that answer: charges that follow from electronegativities, constraints and the whole system, and dipoles."""

from farfield.response.carried import carried
from farfield.response.conjugate import NotPositiveDefinite, Solution, conjugate_gradient
from farfield.response.damping import gaussian_widths, thole_scaling
from farfield.response.equilibrate import Equilibrium, equilibrate
from farfield.response.induce import Induced, induce

__all__ = [
    "Equilibrium", "Induced", "NotPositiveDefinite", "Solution", "carried", "conjugate_gradient", "equilibrate",
    "gaussian_widths", "induce", "thole_scaling",
]  # fmt: skip
