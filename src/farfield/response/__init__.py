"""Things that answer: charges and dipoles that follow from constraints and the whole system; the solves they share."""

from farfield.response.atomic_response import AtomicResponse
from farfield.response.carried import carried
from farfield.response.conjugate import NotPositiveDefinite, Solution, conjugate_gradient
from farfield.response.damping import gaussian_widths, thole_scaling
from farfield.response.dissociation import charges_apart
from farfield.response.equilibrate import Equilibrium, equilibrate
from farfield.response.extrapolation import ChargeExtrapolation
from farfield.response.fixed_point import fixed_point
from farfield.response.induce import Induced, induce
from farfield.response.self_consistent import Density, Iteration, self_consistent
from farfield.response.split_charge import Bonds, SplitCharges, split_charges

__all__ = [
    "AtomicResponse", "Bonds", "ChargeExtrapolation", "Density", "Equilibrium", "Induced", "Iteration",
    "NotPositiveDefinite", "Solution", "SplitCharges", "carried", "charges_apart", "conjugate_gradient", "equilibrate",
    "fixed_point", "gaussian_widths", "induce", "self_consistent", "split_charges", "thole_scaling",
]  # fmt: skip
