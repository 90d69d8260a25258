"""What of ``atoms.info`` a calculator reads, and what it overlooks."""

import sys
import warnings
from collections.abc import Collection, Mapping
from typing import Any

import ase
import numpy as np

from farfield.conditions import CONDITIONS
from farfield.data.spellings import overlooked, spells
from farfield.errors import FarfieldWarning

READ_FROM = {"total_charge": "charge", "spin": "spin"} | {name: name for name in CONDITIONS}
"""Condition → its key in ``atoms.info``."""

_BETWEEN = ("farfield.", "ase.")
"""Packages through which a user's call comes."""


def conditions_of(atoms: ase.Atoms) -> dict[str, Any]:
    """Everything in ``info`` that a model may read, absent ones as it takes them."""
    known = {name: atoms.info.get(name, 0) for name in ("charge", "spin")}
    known |= {name: atoms.info[name] for name in CONDITIONS if atoms.info.get(name) is not None}
    if atoms.info.get("external_charges") is not None:
        known["external_charges"] = atoms.info["external_charges"]
    if "electrode" in atoms.arrays:
        known["electrode"] = atoms.arrays["electrode"]
    if "fragment" in atoms.arrays:
        known |= {"fragment": atoms.arrays["fragment"], "fragment_charges": atoms.info.get("fragment_charges", 0)}
    return {name: np.asarray(value).tolist() for name, value in known.items()}


class OverlookedConditions:
    """Warns, once of every kind, of conditions that structures state under another name than the one read."""

    def __init__(self, trained_from: Mapping[str, Any], given: Collection[str]) -> None:
        """``trained_from``: condition → key of it in the training data, for instance ``{"total_charge": "Q"}``.

        Those ``given`` otherwise than by structures are left alone.
        """
        self._trained_from, self._seen = trained_from, dict[str, Any]()
        self._left = {name: key for name, key in READ_FROM.items() if name not in given}

    def look(self, atoms: ase.Atoms) -> None:
        """Warn of what is new in ``info``, on behalf of whoever called ASE or farfield."""
        if all(_same(value, self._seen.get(key)) for key, value in atoms.info.items()):
            return
        self._seen = dict(atoms.info)
        for name, key in list(self._left.items()):
            for said in self._overlooked(atoms.info, name, key):
                self._left.pop(name, None)
                warnings.warn(f'{said}: set atoms.info["{key}"]', FarfieldWarning, stacklevel=_stacklevel())

    def _overlooked(self, info: dict[str, Any], name: str, key: str) -> list[str]:
        learned = str(self._trained_from.get(name))
        if spells(learned, name) or info.get(key) is not None or not np.any(info.get(learned, 0)):
            return overlooked([info], {name: key})
        return [f'info has "{learned}", as {name} is called in the training data; here it is read from "{key}"']


def _same(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, str | float | int | bool) and one == other)


def _stacklevel() -> int:
    """How far up the first caller is who is neither ASE nor farfield."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and f"{frame.f_globals.get('__name__', '')}.".startswith(_BETWEEN):
        level, frame = level + 1, frame.f_back
    return level
