"""Periodicity by the configuration, whatever the files say: molecules that were written in a box, and the like."""

import ase
import numpy as np
from numpy.typing import NDArray

from farfield.data.config import DataConfig
from farfield.errors import InputError
from farfield.geometry.neighbors import pairs_within
from farfield.notices import Notice, OnNotice
from farfield.system import System

_BOND = 2.0
"""Å; atoms this near through the boundary of a cell belong together."""


def with_periodicity(frames: list[ase.Atoms], config: DataConfig, file: str, on_notice: OnNotice) -> list[ase.Atoms]:
    """The frames, periodic along the axes of ``config.pbc`` only; without any, without a cell.

    Those without a cell have that of ``config.cell``, along all axes where nobody says which. Positions stay
    as they are: what was wrapped into the cell is in pieces then, and ``on_notice`` hears of it.
    """
    boxed = frames if config.cell is None else [_boxed(atoms, np.array(config.cell)) for atoms in frames]
    if config.pbc is None:
        return boxed
    found = [_with(atoms, config.pbc) for atoms in boxed]
    torn = [k for k, (a, b) in enumerate(zip(boxed, found)) if _bonds(a, config) > _bonds(b, config)]
    if torn:
        axes = " ".join("FT"[axis] for axis in config.pbc)
        message = (
            f"{file}: pbc: {axes} tears apart what is nearer than {_BOND:g} Å only through the boundary of the cell, "
            f"in {len(torn)} of {len(frames)} frames (first: {torn[0]}): put these molecules together in the file"
        )
        on_notice(Notice("warning", message))
    return found


def _boxed(atoms: ase.Atoms, cell: NDArray[np.float64]) -> ase.Atoms:
    return atoms if atoms.cell.any() else _with(atoms, (True, True, True), cell)


def _with(atoms: ase.Atoms, pbc: tuple[bool, bool, bool], cell: NDArray[np.float64] | None = None) -> ase.Atoms:
    other = atoms.copy()
    other.calc = atoms.calc
    other.pbc = pbc
    if not any(pbc):
        other.cell = np.zeros((3, 3))
    elif cell is not None:
        other.cell = cell
    return other


def _bonds(atoms: ase.Atoms, config: DataConfig) -> int:
    """Pairs of atoms within reach of a bond, images included; 0 where they make no system."""
    length = config.factors.length
    bare = ase.Atoms(atoms.numbers, length * atoms.positions, cell=length * atoms.cell.array, pbc=atoms.pbc)
    try:
        return len(pairs_within(System.from_ase(bare), _BOND).i)
    except InputError:  # said by whoever reads the frame
        return 0
