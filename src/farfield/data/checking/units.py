"""Units that numbers betray by their size."""

from collections.abc import Sequence

import ase
import numpy as np

from farfield.data.conversion import EnergyUnit
from farfield.data.keys import Numbers

_SCALES: tuple[tuple[EnergyUnit, float, float], ...] = (
    ("hartree", 0.85, 1.4),
    ("eV", 23.0, 39.0),
    ("kcal/mol", 500.0, 900.0),
    ("kJ/mol", 2200.0, 3700.0),
)


def all_electron_unit(frames: Sequence[ase.Atoms], energy: Numbers) -> EnergyUnit | None:
    """Unit of all-electron energies ``(frames,)``; None where they are no such.

    Neutral atoms have -0.7687 Z^(7/3) + Z²/2 hartree (Scott 1952).
    """
    scott = np.array([(-0.7687 * atoms.numbers ** (7 / 3) + 0.5 * atoms.numbers**2).sum() for atoms in frames])
    ratio = float(np.nanmedian(energy / scott)) if np.isfinite(energy).any() else 0.0
    return next((unit for unit, low, high in _SCALES if low < ratio < high), None)
