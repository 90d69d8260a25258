"""By how much rounding moves an energy."""

from collections.abc import Callable, Sequence

import ase
import numpy as np

from farfield.probe.subject import Floats

STEP = 1e-6
"""Å, too short for the energy to be anything but a parabola."""
POINTS = 12
MOST = 2e-3
"""eV of scatter that is taken for rounding, or ten quanta of single precision where that is more."""
QUANTUM = float(np.finfo(np.float32).eps)
"""Part of a number in single precision."""


def noise(energies: Callable[[Sequence[ase.Atoms]], Floats], atoms: ase.Atoms) -> float:
    """eV: how energies scatter about a parabola along a very short way, all atoms in directions of their own.

    Nothing is turned or moved as a whole, so that no fault that laws look for passes as rounding. Single precision
    often gives one and the same number all along; its quantum is the least then.
    """
    way = np.random.default_rng(11).normal(size=atoms.positions.shape)
    frames = []
    for k in range(POINTS):
        moved = atoms.copy()
        moved.positions += k * STEP * way
        frames.append(moved)
    energy = energies(frames)
    away = energy - energy.mean()
    basis, _ = np.linalg.qr(np.vander(np.linspace(-1, 1, POINTS), 3))
    scatter = float(np.linalg.norm(away - basis @ (basis.T @ away))) / np.sqrt(POINTS - 3)
    single = bool((energy.astype(np.float32).astype(np.float64) == energy).all())
    least = QUANTUM * float(np.abs(energy).max()) / 2 if single else 0.0
    return float(max(least, min(scatter, max(MOST, 20 * least))))
