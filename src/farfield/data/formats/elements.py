"""Elements that labels mean: ``Na``, but also ``NA``, ``na``, ``Na1``, ``Cl_2``, ``Cl-`` and ``D``."""

import re
from collections.abc import Sequence

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from numpy.typing import NDArray

from farfield.data.formats.remarks import Remarks

ISOTOPES = {"D": 2.01410177812, "T": 3.01604927791}
"""Heavy hydrogen and its masses, u."""
_SYMBOLS = frozenset(atomic_numbers) - {"X"}
_LABEL = re.compile(r"([A-Za-z]{1,2})([0-9_+.\-][A-Za-z0-9_+.\-]*)?")


def element(label: str) -> str:
    """The symbol of the element (or D, or T) that a label means.

    Raises:
        ValueError: none that is known, or one of two: ``HO1`` may be holmium, or the hydrogen of a hydroxyl. The label,
            and what to write instead if it may be one of two, are the arguments.
    """
    if label in atomic_numbers or label in ISOTOPES:
        return label
    parts = _LABEL.fullmatch(label)
    letters = parts[1] if parts else ""
    symbol = letters.capitalize()
    if symbol not in _SYMBOLS | ISOTOPES.keys():
        raise ValueError(label, "")
    if letters != symbol and set(letters.upper()) <= _SYMBOLS and len(letters) == 2:
        one, other = letters[0].upper(), letters[1].upper()
        raise ValueError(label, f"write {symbol} if it is that, {one} if it is {one} with a label of {other}")
    return symbol


def numbers_and_masses(labels: Sequence[str], remarks: Remarks) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """Atomic numbers ``(atoms,)``; and masses ``(atoms,)`` in u where some are not those of the elements.

    Raises:
        ValueError: a label of no element, or one of two, with the arguments of ``element``'s.
    """
    symbols = {label: element(label) for label in dict.fromkeys(labels)}
    heavy = {symbol for symbol in symbols.values() if symbol in ISOTOPES}
    if told := [f"{label} → {symbol}" for label, symbol in symbols.items() if label != symbol]:
        remarks.add("note", "labels of atoms are read as elements", told)
    if heavy:
        masses = [f"{symbol} → H of mass {ISOTOPES[symbol]:.3f}" for symbol in sorted(heavy)]
        remarks.add("note", "heavy hydrogen is read as H with its mass", masses)
    known = {label: 1 if symbol in ISOTOPES else atomic_numbers[symbol] for label, symbol in symbols.items()}
    numbers = np.array([known[label] for label in labels], dtype=np.int64)
    if not heavy:
        return numbers, None
    weights = {label: ISOTOPES.get(symbol, float(atomic_masses[known[label]])) for label, symbol in symbols.items()}
    return numbers, np.array([weights[label] for label in labels])
