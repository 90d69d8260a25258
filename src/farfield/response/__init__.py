"""Charges and dipoles that respond to constraints and to the whole system, and the solves that find them."""

from farfield.response.charges.equilibrate import Equilibrium, equilibrate
from farfield.response.charges.isolated import charges_apart
from farfield.response.charges.split_charge import Bonds, SplitCharges, split_charges
from farfield.response.density.atomic_response import AtomicResponse
from farfield.response.density.self_consistent import Density, Iteration, self_consistent
from farfield.response.dipoles.damping import gaussian_widths, thole_scaling
from farfield.response.dipoles.induce import Induced, induce
from farfield.response.solvers.conjugate_gradient import NotPositiveDefinite, Solution, conjugate_gradient
from farfield.response.solvers.extrapolation import ChargeExtrapolation
from farfield.response.solvers.fixed_point import fixed_point
from farfield.response.solvers.implicit import implicit_gradient

__all__ = [
    "AtomicResponse", "Bonds", "ChargeExtrapolation", "Density", "Equilibrium", "Induced", "Iteration",
    "NotPositiveDefinite", "Solution", "SplitCharges", "charges_apart", "conjugate_gradient", "equilibrate",
    "fixed_point", "gaussian_widths", "implicit_gradient", "induce", "self_consistent", "split_charges",
    "thole_scaling",
]  # fmt: skip
