"""Total charge, spin, fields of a structure, from where the data that a model was trained on have them."""

from collections.abc import Callable
from typing import Any

import ase
import numpy as np

from farfield.data.config import CONDITIONS
from farfield.data.conversion import condition_factor
from farfield.data.spellings import overlooked


def take_conditions(atoms: ase.Atoms, keys: dict[str, Any]) -> list[str]:
    """Total charge, spin, field, … from where the training data had them into ``info``; what was done, in words.

    ``keys`` is what the model was trained with, for instance ``{"total_charge": "Q", "spin_unit": "multiplicity"}``.
    """
    said = []
    for label, name in CONDITIONS.items():
        key, own = keys.get(label), _in_own_units(name, keys)
        if key is None or (key == name and (own is None or name not in atoms.info)):
            continue
        if key in atoms.info:
            atoms.info[name] = atoms.info[key] if own is None else own(np.asarray(atoms.info[key]))
            said.append(f'{label} = {atoms.info[name]}, from "{key}" as in training')
        else:
            said.append(
                f'{label} = {atoms.info.get(name, 0)}; the model was trained with {label} = "{key}", '
                "which this structure does not have"
            )
    return said


def _in_own_units(name: str, keys: dict[str, Any]) -> Callable[[Any], Any] | None:
    """Find the conversion of a condition from the training data's unit to farfield's; None where they are the same."""
    if name == "spin":
        return (lambda multiplicity: multiplicity - 1) if keys.get("spin_unit") == "multiplicity" else None
    factor = condition_factor(name, keys.get("energy_unit"), keys.get("field_unit", "V/angstrom"))
    return None if factor == 1 else lambda value: factor * value


def overlooked_in(atoms: ase.Atoms, keys: dict[str, Any]) -> list[str]:
    """Conditions under other names than those that ``take_conditions`` has read, a sentence each."""
    taken = [label for label, name in CONDITIONS.items() if atoms.info.get(name) is not None]
    sources = {keys.get(label) for label in taken} - set(CONDITIONS.values())
    info = {key: value for key, value in atoms.info.items() if key not in sources}
    read = {label: name if label in taken else keys.get(label) or name for label, name in CONDITIONS.items()}
    return overlooked([info], read)
