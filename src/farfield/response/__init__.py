"""Things that answer: charges that follow from electronegativities, constraints and the whole system."""

from farfield.response.carried import carried
from farfield.response.conjugate import NotPositiveDefinite, Solution, conjugate_gradient
from farfield.response.dissociation import charges_apart
from farfield.response.equilibrate import Equilibrium, equilibrate
from farfield.response.extrapolation import ChargeExtrapolation
from farfield.response.split_charge import Bonds, SplitCharges, split_charges

__all__ = [
    "Bonds", "ChargeExtrapolation", "Equilibrium", "NotPositiveDefinite", "Solution", "SplitCharges", "carried",
    "charges_apart", "conjugate_gradient", "equilibrate", "split_charges",
]  # fmt: skip
