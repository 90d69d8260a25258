"""Every law by the word users type."""

from collections.abc import Callable
from dataclasses import dataclass

from farfield.probe.finding import Verdict
from farfield.probe.laws import (
    batch,
    born_sum,
    cell_smoothness,
    charge_charge,
    charge_dipole,
    cost,
    dipole_dipole,
    dissociation,
    force,
    image_charge,
    induced_dipole,
    lo_to,
    maxwell,
    permutation,
    reflection,
    rotation,
    screening,
    size_consistency,
    slab,
    smoothness,
    stress,
    supercell,
    total_charge,
    translation,
    wrapping,
)
from farfield.probe.stage import Stage


@dataclass(frozen=True)
class Law:
    """What must hold, and who judges it."""

    name: str
    title: str
    judge: Callable[[Stage], Verdict]
    """Raises ``NotApplicable`` with the reason where it has nothing to judge."""
    chapter: str


CONSISTENCY, SMOOTHNESS, RANGE, RESPONSE, COST = (
    "Consistency", "Smoothness and size", "Long range", "Response", "Cost",
)  # fmt: skip

_ALL = (
    Law("force", "Force is the slope of the energy", force.judge, CONSISTENCY),
    Law("stress", "Stress is the slope with strain", stress.judge, CONSISTENCY),
    Law("rotation", "Rotation", rotation.judge, CONSISTENCY),
    Law("reflection", "Reflection", reflection.judge, CONSISTENCY),
    Law("permutation", "Permutation", permutation.judge, CONSISTENCY),
    Law("translation", "Translation", translation.judge, CONSISTENCY),
    Law("wrapping", "Wrapping and origin", wrapping.judge, CONSISTENCY),
    Law("batch", "Batch is one by one", batch.judge, CONSISTENCY),
    Law("total_charge", "Charges sum to the total", total_charge.judge, CONSISTENCY),
    Law("supercell", "Twice the cell, twice the energy", supercell.judge, SMOOTHNESS),
    Law("size_consistency", "Far molecules add up", size_consistency.judge, SMOOTHNESS),
    Law("smoothness", "No steps along bonds", smoothness.judge, SMOOTHNESS),
    Law("cell_smoothness", "No steps in the cell", cell_smoothness.judge, SMOOTHNESS),
    Law("slab", "Slab against bulk", slab.judge, SMOOTHNESS),
    Law("charge_charge", "Ion and ion: 1/R", charge_charge.judge, RANGE),
    Law("charge_dipole", "Ion and dipole: 1/R²", charge_dipole.judge, RANGE),
    Law("dipole_dipole", "Dipole and dipole: 1/R³", dipole_dipole.judge, RANGE),
    Law("induced_dipole", "Ion and induced dipole: 1/R⁴", induced_dipole.judge, RANGE),
    Law("dissociation", "Whole charges on dissociation", dissociation.judge, RANGE),
    Law("lo_to", "LO-TO splitting", lo_to.judge, RANGE),
    Law("born_sum", "Born charges sum to the total", born_sum.judge, RESPONSE),
    Law("maxwell", "Born charges, dipole and field agree", maxwell.judge, RESPONSE),
    Law("image_charge", "Image charge at a metal", image_charge.judge, RESPONSE),
    Law("screening", "A metal lets no field through", screening.judge, RESPONSE),
    Law("cost", "Time and memory", cost.judge, COST),
)

LAWS: dict[str, Law] = {law.name: law for law in _ALL}
