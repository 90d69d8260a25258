"""Two molecules far apart have the energy of one and the energy of the other."""

import ase
import numpy as np

from farfield.probe.finding import Check, NotApplicable, Verdict
from farfield.probe.law import SMOOTHNESS, Law
from farfield.probe.stage import Stage
from farfield.probe.structures.fragments import polar
from farfield.probe.subject import given
from farfield.units import COULOMB

DISTANCE = 200.0
"""Å."""
TOLERANCE = 1e-3
"""eV, and the same again for every ten atoms."""


def judge(stage: Stage) -> Verdict:
    """E(A and B) less E(A), E(B) and the Coulomb energy of the charges that each has alone, at 200 Å."""
    first, second = stage.molecule, _other(stage)
    moved = second.copy()
    moved.positions += [DISTANCE, 0, 0]
    both = ase.Atoms(np.concatenate([first.numbers, moved.numbers]), np.concatenate([first.positions, moved.positions]))
    for name in ("charge", "spin"):
        both.info[name] = sum(float(one.info.get(name, 0.0)) for one in (first, second))
    one, two, together = stage.see([first, moved, both], *stage.wants("charges"))
    between = 0.0
    if one.charges is not None:
        apart = np.linalg.norm(first.positions[:, None] - moved.positions[None], axis=2)
        between = float(COULOMB * (np.outer(one.charges, given(two.charges)) / apart).sum())
    found = together.energy - one.energy - two.energy - between
    fault = (
        "The energy of two molecules far apart is not the sum of theirs: something global enters, such as charge that "
        "flows or is spread over all atoms, an average over the structure, or attention without distance."
    )
    tolerance = TOLERANCE * (1 + len(both) / 10) + 3 * stage.noise(both)
    name = f"{first.get_chemical_formula('metal')} and {second.get_chemical_formula('metal')} at {DISTANCE:.0f} Å"
    check = Check(f"{name}: E(A and B) - E(A) - E(B)", 0.0, found, tolerance, "eV", fault)
    return Verdict((check,), "Energies of molecules far apart add up.")


LAW = Law("size_consistency", "Far molecules add up", judge, SMOOTHNESS)


def _other(stage: Stage) -> ase.Atoms:
    """A second molecule, unlike the first if possible."""
    own = [frame for frame in stage.structures if not frame.pbc.any() and frame is not stage.molecule]
    if own:
        return own[0]
    try:
        found = polar(stage)
    except NotApplicable:
        return stage.molecule.copy()
    return found.alone
