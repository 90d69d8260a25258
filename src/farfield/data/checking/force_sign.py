"""Forces that point uphill: gradients of the energy that were taken for forces."""

from collections.abc import Iterator
from itertools import pairwise

import ase
import numpy as np

from farfield.data.checking.draft import Draft
from farfield.data.checking.labels.energy import energies
from farfield.data.keys import Numbers
from farfield.notices import Notice

_NEAR = 0.3
"""Å that no atom moves by from one frame to the next, so that forces tell what the energy does in between."""
_PAIRS = 20
"""Such steps without which nothing is said."""
_OPPOSED = -0.9
"""Correlation of what energies gain with what forces say they gain."""


def sign_findings(draft: Draft) -> Iterator[Notice]:
    """Say so where, from frame to frame, energies rise along the forces instead of falling."""
    steps = np.array(list(_steps(draft))).reshape(-1, 2)
    if len(steps) < _PAIRS or not steps.std(0).all():
        return
    correlation = float(np.corrcoef(steps[:, 0], -steps[:, 1])[0, 1])
    if correlation < _OPPOSED:
        name = draft.chosen["forces"].name
        yield Notice(
            "warning",
            f"{name} points uphill: over {len(steps)} small steps from frame to frame energies rise along it "
            f"(correlation {correlation:.2f} with what forces would say). It seems to be the gradient dE/dR: write the "
            "file with its sign reversed",
        )


def _steps(draft: Draft) -> Iterator[tuple[float, float]]:
    """Energy gained, and work of the mean force, between frames that follow each other closely."""
    key, forces, frames = draft.chosen.get("energy"), draft.values("forces"), draft.content.frames
    if key is None or forces is None:
        return
    gained = np.diff(energies(key))
    for k, (before, after) in enumerate(pairwise(frames)):
        one, other = forces[k], forces[k + 1]
        if one is None or other is None or not np.isfinite(gained[k]) or (moved := _moved(before, after)) is None:
            continue
        work = 0.5 * float(((one + other) * moved).sum())
        if np.isfinite(work):
            yield float(gained[k]), work


def _moved(before: ase.Atoms, after: ase.Atoms) -> Numbers | None:
    """Displacements ``(atoms, 3)`` to the nearest images; None where it is another structure, too far or the same."""
    same = np.array_equal(before.numbers, after.numbers) and np.array_equal(before.pbc, after.pbc)
    if not same or np.abs(before.cell.array - after.cell.array).max() > 1e-6:
        return None
    moved: Numbers = after.positions - before.positions
    if before.pbc.any() and abs(float(np.linalg.det(before.cell.array))) > 1e-6:
        whole = np.rint(moved @ np.linalg.inv(before.cell.array)) * before.pbc
        moved = moved - whole @ before.cell.array
    largest = float(np.linalg.norm(moved, axis=1).max())
    return moved if 0 < largest < _NEAR else None
