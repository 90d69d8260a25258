"""From what a file says to ``ase.Atoms``: everything where ASE puts it, so that nobody need know who read it."""

from typing import Any

import ase
import numpy as np
from ase.calculators.calculator import all_properties
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian
from ase.outputs import ArrayProperty, all_outputs

from farfield.errors import InputError

_SCALARS = ("energy", "free_energy", "magmom")
_PER_ATOM = frozenset(
    name
    for name, shape in all_outputs.items()
    if name in all_properties and isinstance(shape, ArrayProperty) and shape.shapespec[0] == "natoms"
)
_PER_FRAME = frozenset(all_properties) - _PER_ATOM
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


def _is_result(name: str, value: Any) -> bool:
    """Whether a calculator could hold it: six numbers of a stress, in an order that nobody told, it could not."""
    if name in _SCALARS:
        return True
    return np.asarray(value).dtype.kind in "iuf" and (name != "stress" or np.shape(value) == (3, 3))


def _voigt(full: Any) -> Any:
    """Xx yy zz yz xz xy, as ASE keeps it, if nothing is lost by that."""
    if np.abs(full - full.T).max() > _SYMMETRIC * np.abs(full).max():
        return full
    return full[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


def _constraints(free: Any) -> list[Any]:
    if free.ndim == 1:
        return [FixAtoms(mask=~free)]
    if free.shape[1] != 3:
        raise InputError(f"move_mask should be one or three columns wide, it is {free.shape[1]}")
    masks = {tuple(row) for row in free.tolist() if not all(row)}
    return [FixCartesian(np.flatnonzero((free == mask).all(1)), mask=~np.array(mask)) for mask in sorted(masks)]
