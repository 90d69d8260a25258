"""Values of a file where ASE put them: ``info``, ``arrays``, or the results of a calculator."""

from typing import Any

import ase
import numpy as np
from numpy.typing import NDArray

from farfield.data.config import Target
from farfield.errors import InputError
from farfield.quantities import PER_ATOM, QUANTITIES

Numbers = NDArray[np.float64]

OF_ATOMS = frozenset({"charges", "forces", "energies", "stresses", "magmoms", "born_effective_charges"})
"""Results of ASE's calculators that are a value an atom."""
STRUCTURE = frozenset({"numbers", "positions"})
_RENAMED = {"charge": "charges"}
"""Columns that ASE's extxyz reader renames."""


def find_value(atoms: ase.Atoms, target: Target, key: str) -> Any | None:
    """Find what a frame says under ``key``, only where a value per atom (or per frame) can stand."""
    if target in PER_ATOM:
        return _atom_value(atoms, key)
    for place in (atoms.info, results(atoms)):
        if place.get(key) is not None:
            return place[key]
    return None


def keys_for(atoms: ase.Atoms, target: Target) -> list[str]:
    """Keys of this frame that could be meant for a target, by kind and size."""
    if target in PER_ATOM:
        shape = QUANTITIES[target].shape
        shapes = [shape] if len(shape) < 2 else [shape, *((n,) for n in QUANTITIES[target].numbers)]
        places = {**atoms.info, **results(atoms), **atoms.arrays}
        return sorted(k for k, v in places.items() if k not in STRUCTURE and _real(v) and _fits(v, len(atoms), shapes))
    places, takes = {**atoms.info, **results(atoms)}, QUANTITIES[target].takes
    return sorted(k for k, v in places.items() if k not in OF_ATOMS and _real(v) and takes(np.size(v)))


def results(atoms: ase.Atoms) -> dict[str, Any]:
    """Results of the calculator that ASE hung on the frame, if any."""
    return getattr(atoms.calc, "results", {}) if atoms.calc is not None else {}


def as_numbers(value: Any) -> Numbers | None:
    """Convert to float64; None if it is no array of real numbers."""
    try:
        found = np.asarray(value)
        return found.astype(np.float64) if found.dtype.kind in "iuf" else None
    except (TypeError, ValueError):
        return None


def numeric(raw: Any, where: str) -> Numbers:
    """Convert what a file says to float64.

    Raises:
        InputError: it is no array of real numbers.
    """
    value = as_numbers(raw)
    if value is None:
        raise InputError(f"{where} should hold numbers, it holds {str(raw)[:40]!r}")
    return value


def with_decimal_comma(value: Numbers) -> str:
    """Say so if two numbers where one is expected can be one with a decimal comma; empty if they cannot."""
    whole = value.size == 2 and np.isfinite(value).all() and (value == np.round(value)).all() and value.ravel()[1] >= 0
    if not whole:
        return ""
    before, after = value.ravel()
    return f"decimal comma? write {before:.0f}.{after:.0f}, not {before:.0f},{after:.0f}"


def refuse_not_finite(value: Numbers, target: Target, *, optional: bool, where: str) -> None:
    """Complain of infinities, and of nan unless the target is ``optional``.

    Raises:
        InputError: naming the atom, where there is a value per atom.
    """
    wrong = np.isinf(value) if optional else ~np.isfinite(value)
    if not wrong.any():
        return
    place = f" of atom {int(np.argwhere(wrong)[0, 0])}" if target in PER_ATOM else ""
    hint = "" if np.isinf(value).any() else f"; where it is undefined on purpose: allow_missing: [{target}]"
    raise InputError(f"{where}{place} is {value[wrong][0]:g}{hint}")


def _atom_value(atoms: ase.Atoms, key: str) -> Any | None:
    renamed = _RENAMED.get(key, key)
    for place, name in ((atoms.arrays, key), (results(atoms), renamed), (atoms.info, key)):
        value = place.get(name)
        per_atom = place is not atoms.info or (
            isinstance(value, np.ndarray | list) and len(np.atleast_1d(value)) == len(atoms)
        )
        if value is not None and per_atom:
            return value
    return None


def _fits(value: Any, atoms: int, shapes: list[tuple[int, ...]]) -> bool:
    return np.shape(value) in [(atoms, *shape) for shape in shapes]


def _real(value: Any) -> bool:
    return as_numbers(value) is not None
