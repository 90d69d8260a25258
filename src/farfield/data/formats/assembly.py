"""From what a file says to ``ase.Atoms``, everything where ASE puts it, and back."""

from typing import Any

import ase
import numpy as np
from ase.calculators.calculator import all_properties
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian
from ase.outputs import ArrayProperty, all_outputs
from ase.stress import voigt_6_to_full_3x3_stress

from farfield.errors import InputError

_SCALARS = ("energy", "free_energy", "magmom")
_PER_ATOM = frozenset(
    name
    for name, shape in all_outputs.items()
    if name in all_properties and isinstance(shape, ArrayProperty) and shape.shapespec[0] == "natoms"
)
_PER_FRAME = frozenset(all_properties) - _PER_ATOM
_STRUCTURE = frozenset({"numbers", "positions"})
_SYMMETRIC = 1e-3
"""A stress that differs from its transpose by more than this part of its largest component is kept as it is."""


def hang(atoms: ase.Atoms, arrays: dict[str, Any]) -> ase.Atoms:
    """Give atoms their arrays; constraints from ``move_mask``; what calculators give becomes results of one.

    Raises:
        InputError: a ``move_mask`` that is neither one nor three wide.
    """
    results = {}
    for name, array in arrays.items():
        if name == "move_mask":
            atoms.set_constraint(_constraints(array.astype(bool)))
        elif name in all_properties and array.dtype.kind in "iuf" and not (name in _PER_FRAME and name in atoms.info):
            results[name] = array
        else:
            atoms.set_array(name, array)
    for name in [name for name in atoms.info if name in _PER_FRAME]:
        if _is_result(name, atoms.info[name]):
            value = atoms.info.pop(name)
            results[name] = _voigt(value) if name == "stress" else value
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def spread(atoms: ase.Atoms) -> tuple[dict[str, Any], dict[str, Any]]:
    """All that is said of a frame, and all that is said of its atoms: ``info`` and arrays that ``hang`` takes."""
    info, arrays = dict(atoms.info), {name: a for name, a in atoms.arrays.items() if name not in _STRUCTURE}
    for name, value in (atoms.calc.results if atoms.calc is not None else {}).items():
        full = voigt_6_to_full_3x3_stress(value) if name == "stress" and np.shape(value) == (6,) else value
        of_atoms = name in _PER_ATOM or (name not in _PER_FRAME and np.shape(value)[:1] == (len(atoms),))
        if value is not None:
            (arrays if of_atoms else info).setdefault(name, full)
    if (free := _free(atoms)) is not None:
        arrays["move_mask"] = free
    return info, arrays


def _free(atoms: ase.Atoms) -> Any | None:
    """Mark the coordinates that may move ``(atoms, 3)`` or ``(atoms,)``; None if all may."""
    free = np.ones((len(atoms), 3), dtype=bool)
    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms | FixCartesian):
            free[constraint.index] &= ~np.asarray(getattr(constraint, "mask", True), dtype=bool)
    if free.all():
        return None
    return free[:, 0] if (free == free[:, :1]).all() else free


def _is_result(name: str, value: Any) -> bool:
    """Tell whether a calculator could hold it: six numbers of a stress, in an order that nobody told, it could not."""
    if name in _SCALARS:
        return True
    return np.asarray(value).dtype.kind in "iuf" and (name != "stress" or np.shape(value) == (3, 3))


def _voigt(full: Any) -> Any:
    """Xx yy zz yz xz xy, as ASE keeps it, if nothing is lost by that."""
    if not np.isfinite(full).all() or np.abs(full - full.T).max() > _SYMMETRIC * np.abs(full).max():
        return full
    return full[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


def _constraints(free: Any) -> list[Any]:
    if free.ndim == 1:
        return [FixAtoms(mask=~free)]
    if free.shape[1] != 3:
        raise InputError(f"move_mask should be one or three columns wide, it is {free.shape[1]}")
    masks = {tuple(row) for row in free.tolist() if not all(row)}
    return [FixCartesian(np.flatnonzero((free == mask).all(1)), mask=~np.array(mask)) for mask in sorted(masks)]
