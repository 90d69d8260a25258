"""A frame as extended xyz, every number to its last digit, and such that reading gives back what was written."""

import json
import re
from typing import Any

import ase
import numpy as np

from farfield.data.formats.assembly import spread
from farfield.data.formats.comment import TENSORS, meaning
from farfield.errors import InputError

_TYPES = {"f": "R", "i": "I", "u": "I", "b": "L", "U": "S", "O": "S"}
_NAMES = {"charges": "charge"}


def extxyz_text(atoms: ase.Atoms) -> str:
    """The lines of one frame.

    Raises:
        InputError: something that text cannot hold, by name.
    """
    info, arrays = spread(atoms)
    tables = {"species": np.array(atoms.get_chemical_symbols()), "pos": atoms.positions}
    tables |= {_NAMES.get(name, name): array for name, array in arrays.items()}
    tables = {name: np.asarray(array).reshape(len(atoms), -1) for name, array in tables.items()}
    said = [f'Lattice="{_joined(atoms.cell.array.ravel())}"'] if atoms.cell.array.any() else []
    said.append("Properties=" + ":".join(f"{name}:{_type(name, a)}:{a.shape[1]}" for name, a in tables.items()))
    said += [f"{_quoted(key)}={_quoted(_text(key, value))}" for key, value in info.items() if value is not None]
    said.append(f'pbc="{_joined(atoms.pbc)}"')
    columns = [[_word(name, value) for value in column] for name, a in tables.items() for column in a.T]
    rows = [" ".join(row) for row in zip(*columns)]
    return "\n".join([str(len(atoms)), " ".join(said), *rows, ""])


def _type(name: str, array: Any) -> str:
    if array.dtype.kind not in _TYPES:
        raise InputError(f"array {name!r} of {array.dtype} has no place in extended xyz")
    return _TYPES[array.dtype.kind]


def _word(name: str, value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "T" if value else "F"
    word = repr(float(value)) if isinstance(value, float) else str(value)
    if not word or re.search(r"\s", word):
        raise InputError(f"array {name!r} holds {word!r}: a column of extended xyz takes words without blanks")
    return word


def _joined(values: Any) -> str:
    return " ".join(_word("", value) for value in values)


def _text(key: str, value: Any) -> str:
    """Write down what is read as ``value`` again; as JSON where nothing else would be."""
    if isinstance(value, str):
        read: Any = meaning(key, value)
        return value if isinstance(read, str) and read == value and "\n" not in value else _json(key, value)
    array = np.asarray(value) if isinstance(value, np.ndarray | np.generic | bool | int | float) else None
    if array is None or array.dtype.kind not in "ifb":
        return _json(key, value)
    if array.ndim == 0:
        return _word(key, array[()])
    if key in TENSORS and array.shape == (3, 3):
        return _joined(array.ravel(order="F"))
    return _joined(array) if array.ndim == 1 and len(array) > 1 else _json(key, array.tolist())


def _json(key: str, value: Any) -> str:
    try:
        return "_JSON " + json.dumps(value.tolist() if isinstance(value, np.ndarray) else value)
    except (TypeError, ValueError) as failure:
        raise InputError(f"info {key!r} has no place in extended xyz: {failure}") from failure


def _quoted(text: str) -> str:
    if text and not re.search(r"""[\s"'{}\[\]=\\]""", text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
