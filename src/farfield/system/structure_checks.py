"""Checks of structures before anything is computed of them."""

import itertools
from typing import Any

import ase
import numpy as np

from farfield.conditions import check_conditions
from farfield.errors import InputError

FARTHEST = 1e9
"""Å; coordinates and lattice vectors beyond this are mistakes, and would lose their digits."""
SHORTEST = 0.2
"""Å; lattices with a shorter vector are mistakes: no atom comes so close to another, its image or not."""


def check_structure(frame: ase.Atoms, where: str = "") -> None:
    """Raise an InputError, which begins with ``where``, of atoms, cell or conditions that no model could take."""
    if len(frame) == 0:
        raise InputError(f"{where}no atoms")
    if not np.isfinite(frame.positions).all():
        atom = int(np.flatnonzero(~np.isfinite(frame.positions).all(1))[0])
        raise InputError(f"{where}position of atom {atom} ({frame.symbols[atom]}) is {frame.positions[atom]}")
    if np.abs(frame.positions).max() > FARTHEST:
        atom = int(np.abs(frame.positions).max(1).argmax())
        raise InputError(f"{where}atom {atom} ({frame.symbols[atom]}) is at {frame.positions[atom]} Å: no such place")
    if frame.numbers.min() < 1 or frame.numbers.max() > 118:
        raise InputError(f"{where}atomic numbers must lie in 1-118, found {sorted(set(frame.numbers.tolist()))}")
    if not np.isfinite(frame.cell.array).all():
        raise InputError(f"{where}the cell is not finite: {frame.cell.array.tolist()}")
    if frame.pbc.any():
        check_cell(frame.cell.array, frame.pbc, where)
    for condition in ("charge", "spin"):
        if not np.isfinite(number_of(frame.info, condition)):
            raise InputError(f"{where}info[{condition!r}] should be one finite number, it is {frame.info[condition]!r}")
    check_conditions(frame.info, where)


def number_of(info: dict[str, Any], name: str) -> float:
    """Read one number of ``info``: 0 if it is absent, nan if it is no single number."""
    try:
        return float(np.asarray(info.get(name, 0), dtype=np.float64).reshape(()))
    except (TypeError, ValueError):
        return float("nan")


def check_cell(cell: np.ndarray[Any, Any], periodic: np.ndarray[Any, Any], where: str) -> None:
    """Raise an InputError, which begins with ``where``, if there is no such periodic lattice.

    Its vectors may not be missing, flat, or beyond all size; none of the lattice may be so short that atoms lie on top
    of their own images.
    """
    rows = cell[periodic].astype(np.float64)
    if not (np.abs(rows) <= FARTHEST).all():
        finite = "has no such lengths" if np.isfinite(rows).all() else "is not finite"
        raise InputError(f"{where}the cell {finite}: {cell.tolist()}")
    lengths = np.linalg.norm(rows, axis=1)
    if missing := ["abc"[axis] for axis, length in zip(np.flatnonzero(periodic), lengths) if length < 1e-6]:
        raise InputError(
            f"{where}periodic along {', '.join(missing)} but the cell has no such lattice vector: "
            'give Lattice="..." in the file, or pbc="F F F" for a molecule'
        )
    if not periodic.any():
        return
    spanned = np.linalg.svd(rows / lengths[:, None], compute_uv=False)
    if spanned.min() < 1e-6:
        raise InputError(f"{where}the periodic lattice vectors {rows.tolist()} span no volume")
    if spanned.min() * lengths.min() < SHORTEST:  # no vector of the lattice is shorter than this product
        shortest = _shortest_vector(rows)
        if (length := float(np.linalg.norm(shortest))) < SHORTEST:
            raise InputError(
                f"{where}the lattice has a vector of {length:.2g} Å, {shortest.tolist()}: every atom would lie on its "
                "own image. Is the cell in Å?"
            )


def _shortest_vector(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Find it by Lagrange's and Gauss' reduction of pairs."""
    changed = True
    while changed:
        changed = False
        for a, b in itertools.permutations(range(len(rows)), 2):
            shorter = rows[a] - np.rint(rows[a] @ rows[b] / (rows[b] @ rows[b])) * rows[b]
            if shorter @ shorter < (1 - 1e-9) * (rows[a] @ rows[a]):
                rows[a], changed = shorter, True
    found: np.ndarray[Any, Any] = rows[np.linalg.norm(rows, axis=1).argmin()]
    return found
