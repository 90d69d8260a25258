"""Conditions in ``atoms.info``: those that a calculator reads, and those that it overlooks."""

import sys
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import ase
import numpy as np

from farfield.backbone.spins import unlearned_spins
from farfield.conditions import CONDITIONS
from farfield.data.spellings import overlooked, spells
from farfield.errors import FarfieldWarning
from farfield.model import Model

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
    """Warns, once of every kind, of conditions under another name than the one read, and of spins that nobody reads."""

    def __init__(self, model: Model, given: Collection[str]) -> None:
        """Remember the keys of the training data, which need not be ASE's: ``{"total_charge": "Q"}``.

        Conditions ``given`` otherwise than by structures are left alone.
        """
        self._model, self._seen, self._spin_was_said = model, dict[str, Any](), False
        self._trained_from: Mapping[str, Any] = model.training_summary.get("keys", {})
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
        if not self._spin_was_said and (unread := unread_spins(self._model, [atoms])) is not None:
            self._spin_was_said = True
            warnings.warn(unread, FarfieldWarning, stacklevel=_stacklevel())

    def _overlooked(self, info: dict[str, Any], name: str, key: str) -> list[str]:
        learned = str(self._trained_from.get(name))
        if spells(learned, name) or info.get(key) is not None or not np.any(info.get(learned, 0)):
            return overlooked([info], {name: key})
        return [f'info has "{learned}", as {name} is called in the training data; here it is read from "{key}"']


def unread_spins(model: Model, structures: Sequence[ase.Atoms]) -> str | None:
    """Complain, in words, of spins in ``info`` that the model has not learned and does not see; None without any."""
    spins = [atoms.info.get("spin", 0) for atoms in structures if len(atoms) > 1]
    given = [float(spin) for spin in spins if isinstance(spin, int | float | np.number)]  # or System refuses it
    return unlearned_spins(model.config.backbone, model.training_summary.get("spins", []), given)


def _same(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, str | float | int | bool) and one == other)


def _stacklevel() -> int:
    """Count the levels up to the first caller who is neither ASE nor farfield."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and f"{frame.f_globals.get('__name__', '')}.".startswith(_BETWEEN):
        level, frame = level + 1, frame.f_back
    return level
