"""Comparison of two views of one structure, up to how vectors turn and atoms are ordered."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import ase
import numpy as np
from numpy.typing import NDArray

from farfield.probe.finding import Check
from farfield.probe.stage import Stage
from farfield.probe.subject import Floats, Seen

ENERGY = 1e-5
"""eV per atom by which an energy may change."""
FORCE = 1e-4
"""Part of the largest force, or eV/Å where that is below one, by which a force may change."""
CHARGE = 1e-4
"""e."""

ROUNDING = 5
"""Times by which rounding may move the difference of two energies: that of the changed structure is not seen."""

WATCHED = ("forces", "charges", "dipole", "born_charges")


@dataclass(frozen=True, eq=False)
class Transformed:
    """A structure after something that physics does not notice."""

    atoms: ase.Atoms
    turn: Floats = field(default_factory=lambda: np.eye(3))  # of every vector
    order: NDArray[np.int64] | None = None  # which old atom a new one is
    copies: int = 1  # how often the old structure is in the new one, one after the other


def unchanged(
    stage: Stage,
    word: str,  # of the structure
    atoms: ase.Atoms,
    changes: Sequence[Transformed],
    fault: str,
    *,
    watched: tuple[str, ...] = WATCHED,
) -> list[Check]:
    """Checks that energy, forces, charges, dipole and Born charges of ``atoms`` come out the same after each change.

    Dipoles are compared for neutral molecules only. ``fault`` is completed with what did change.
    """
    want = stage.wants(*watched)
    here, *there = stage.see([atoms, *(change.atoms for change in changes)], *want)
    rounding = ROUNDING * stage.noise(atoms)
    out: list[Check] = []
    for change, seen in zip(changes, there):
        for name, off, tolerance, unit in _differences(here, seen, change, atoms):
            spare = rounding if unit == "eV" else 0.0
            words = fault.replace("{what}", name)
            out.append(Check(f"{word}: change of the {name}", 0.0, off, tolerance + spare, unit, words))
    return out


def _differences(here: Seen, there: Seen, change: Transformed, atoms: ase.Atoms) -> list[tuple[str, float, float, str]]:
    order = np.tile(np.arange(len(atoms)) if change.order is None else change.order, change.copies)
    turn = change.turn
    energy = there.energy - change.copies * here.energy
    out = [("energy", energy, ENERGY * len(atoms) * change.copies, "eV")]
    if here.forces is not None and there.forces is not None:
        expected = (here.forces @ turn.T)[order]
        size = FORCE * max(1.0, float(np.abs(expected).max()))
        out.append(("forces", _largest(there.forces - expected), size, "eV/Å"))
    if here.charges is not None and there.charges is not None:
        out.append(("charges", _largest(there.charges - here.charges[order]), CHARGE, "e"))
    if here.dipole is not None and there.dipole is not None and not atoms.pbc.any() and not atoms.info.get("charge"):
        out.append(("dipole", _largest(there.dipole - turn @ here.dipole), 10 * CHARGE, "e·Å"))
    if here.born_charges is not None and there.born_charges is not None:
        expected = np.einsum("ac,ncd,bd->nab", turn, here.born_charges, turn)[order]
        out.append(("Born charges", _largest(there.born_charges - expected), 10 * CHARGE, "e"))
    return out


def _largest(values: Floats) -> float:
    return float(np.abs(values).max())
