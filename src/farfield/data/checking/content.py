"""Content of a file as it was read, and what follows from it without a guess."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import ase
import numpy as np
from numpy.typing import NDArray

from farfield.data.checking.keys import KeyReport
from farfield.data.keys import Numbers
from farfield.geometry.isolation import LONGEST_BOND, nearest_image

Values = Sequence[Numbers | None] | None
"""Of one key, by frame."""
Flags = NDArray[np.bool_]
ROOM = 6.0
"""Å of vacuum along every axis from which on a periodic cell is a box around a molecule."""


@dataclass(frozen=True)
class Content:
    """The frames of a file and its keys."""

    path: str
    frames: Sequence[ase.Atoms]
    keys: tuple[KeyReport, ...]

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Atoms of each frame ``(frames,)``."""
        return np.array([len(atoms) for atoms in self.frames])

    @cached_property
    def periodic(self) -> Flags:
        """Periodic axes ``(frames, 3)``."""
        return np.array([atoms.pbc for atoms in self.frames], dtype=bool)

    @cached_property
    def crystals(self) -> Flags:
        """Frames periodic along three axes ``(frames,)``."""
        return self.periodic[:, 0] & self.periodic[:, 1] & self.periodic[:, 2]

    @cached_property
    def volumes(self) -> Numbers:
        """Å³ ``(frames,)``, of the cells."""
        found: Numbers = np.nan_to_num(np.abs(np.linalg.det(np.array([atoms.cell.array for atoms in self.frames]))))
        return found

    @cached_property
    def formulas(self) -> list[str]:
        """Chemical formula of each frame."""
        known: dict[bytes, str] = {}
        return [known.setdefault(a.numbers.tobytes(), "") or _named(known, a) for a in self.frames]

    @cached_property
    def vacuum(self) -> Numbers:
        """Å ``(frames,)``: the least room around all atoms as they stand along any axis of the cell; 0 without one."""
        return np.array([_vacuum(atoms) for atoms in self.frames])

    @cached_property
    def single(self) -> Flags:
        """Frames of one atom apart from all others ``(frames,)``."""
        return np.array([len(a) == 1 and _apart(a) for a in self.frames], dtype=bool)


def _named(known: dict[bytes, str], atoms: ase.Atoms) -> str:
    formula = known[atoms.numbers.tobytes()] = str(atoms.get_chemical_formula())
    return formula


def _apart(atoms: ase.Atoms) -> bool:
    cell = atoms.cell.array
    return bool(np.isfinite(cell).all()) and nearest_image(cell, atoms.pbc) >= LONGEST_BOND - 1e-6


def _vacuum(atoms: ase.Atoms) -> float:
    cell = atoms.cell.array
    volume = abs(float(np.linalg.det(cell)))
    if volume < 1e-6 or not np.isfinite(cell).all() or not np.isfinite(atoms.positions).all():
        return 0.0
    inverse = np.linalg.inv(cell)
    heights = 1 / np.linalg.norm(inverse, axis=0)  # between opposite faces
    extent = np.ptp(atoms.positions @ inverse, axis=0)
    return float(((1 - extent) * heights).min())
