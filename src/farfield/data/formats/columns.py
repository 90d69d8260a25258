"""The columns of the atoms in a frame of extended xyz: what ``Properties=`` declares, and what stands there."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farfield.data.formats.numbers import is_number, logical, real, whole, why_no_number
from farfield.errors import InputError

_KINDS: dict[str, tuple[str, Callable[[str], Any], type]] = {
    "R": ("number", real, float),
    "I": ("integer", whole, int),
    "L": ("T or F", logical, bool),
    "S": ("text", str, object),
}
_NAMES = {"species": "symbols", "symbols": "symbols", "pos": "positions", "positions": "positions"}
"""Names in any case, and ASE's."""
_ASE = {"Z": "numbers", "charge": "charges"}
"""Names that are known only as they stand here, and ASE's."""
_MOST = 1000
"""Columns of one property."""


@dataclass(frozen=True)
class Column:
    """One property of the atoms, some columns wide."""

    name: str  # as ASE calls it
    written: str  # as the file does
    kind: str  # R, I, L or S
    start: int  # of its columns, counted from 0
    width: int


PLAIN = (Column("symbols", "species", "S", 0, 1), Column("positions", "pos", "R", 1, 3))
"""Of a file that declares none."""


def declared(properties: str) -> tuple[Column, ...]:
    """The columns that ``species:S:1:pos:R:3:…`` announces.

    Raises:
        InputError: no triples of name, type and number; an unknown type; a name twice; no elements or no positions.
    """
    fields = properties.split(":")
    if len(fields) % 3:
        raise InputError(f"Properties should be name:type:columns, again and again, it is {properties[:80]!r}")
    columns: list[Column] = []
    for name, kind, width in zip(fields[::3], fields[1::3], fields[2::3]):
        if kind.upper() not in _KINDS:
            raise InputError(f"Properties gives {name} the type {kind!r}, expected R, I, S or L")
        if not re.fullmatch("[0-9]{1,4}", width) or not 1 <= int(width) <= _MOST or not name:
            raise InputError(f"Properties should give {name or 'every name'} a number of columns, it gives {width!r}")
        if name in {column.written for column in columns}:
            raise InputError(f"Properties names {name} twice")
        start = columns[-1].start + columns[-1].width if columns else 0
        columns.append(Column(_ase_name(name, columns), name, kind.upper(), start, int(width)))
    _check_structure(columns, properties)
    return tuple(columns)


def _ase_name(name: str, others: Sequence[Column]) -> str:
    known = _NAMES.get(name.lower()) or _ASE.get(name, name)
    return name if known in {column.name for column in others} else known


def _check_structure(columns: Sequence[Column], properties: str) -> None:
    shapes = {column.name: (column.kind, column.width) for column in columns}
    if shapes.get("positions") not in (("R", 3), ("I", 3)):
        raise InputError(f"Properties should declare pos:R:3, it is {properties[:80]!r}")
    if shapes.get("symbols", ("S", 1)) != ("S", 1) or shapes.get("numbers", ("I", 1)) != ("I", 1):
        raise InputError(f"Properties should declare elements as species:S:1 or Z:I:1, it is {properties[:80]!r}")
    if "symbols" not in shapes and "numbers" not in shapes:
        raise InputError(f"Properties should declare the elements, species:S:1 or Z:I:1, it is {properties[:80]!r}")


def values_of(column: Column, rows: Sequence[Sequence[str]], numbered: Callable[[int], str]) -> NDArray[Any]:
    """Read the values of a column ``(atoms,)`` or ``(atoms, width)``.

    Args:
        column: which.
        rows: words of every atom's line.
        numbered: where an atom's line is, for messages.

    Raises:
        InputError: something else than the declared type; names line, column and atom.
    """
    _, _, dtype = _KINDS[column.kind]
    if column.width == 1:
        words: list[Any] = [row[column.start] for row in rows]
    else:
        words = [row[column.start : column.start + column.width] for row in rows]
    if column.kind == "R" and not any("_" in word for word in _flat(words)):
        try:
            return np.array(words, dtype=np.float64)
        except ValueError:
            pass  # a D exponent, or no number at all
    found = [_converted(column, row, numbered(k), k) for k, row in enumerate(rows)]
    return np.array(found, dtype=dtype).reshape(len(rows), *([column.width] if column.width > 1 else []))


def mended(columns: Sequence[Column], row: Sequence[str]) -> str:
    """Say what to do about an atom's line of too many or too few words, for messages."""
    more = len(row) - columns[-1].start - columns[-1].width
    if more < 0:
        lacking = [_component(c, k) for c in columns for k in range(c.width) if c.start + k >= len(row)]
        return f" (without {', '.join(lacking[:3])}{', …' if len(lacking) > 3 else ''})"
    return f": {more} more column{'s' * (more > 1)}: {_announcing(columns, row[-more:])}"


def told(columns: Sequence[Column], row: Sequence[str]) -> str:
    """Say what to do about an atom's line with words after those read, for notices."""
    more = row[columns[-1].start + columns[-1].width :]
    advice = _announcing(columns, more)
    return f"{advice[0].upper()}{advice[1:]}" if more else ""


def _announcing(columns: Sequence[Column], words: Sequence[str]) -> str:
    """Say what to write so that ``words`` are read as well."""
    more = len(words)
    usual = {3: "forces", 1: "charges"}.get(more, "")
    kind = "R" if all(is_number(word) for word in words) else "S"
    known = usual and kind == "R" and usual not in {column.written for column in columns}
    announced = ":".join(f"{c.written}:{c.kind}:{c.width}" for c in columns)
    condition, name = (f"if these are {usual}, ", usual) if known else ("", "NAME")
    return f"{condition}write Properties={announced}:{name}:{kind}:{more} (in the order of the columns)"


def _flat(words: list[Any]) -> list[str]:
    return words if not words or isinstance(words[0], str) else [word for row in words for word in row]


def _converted(column: Column, row: Sequence[str], where: str, atom: int) -> list[Any]:
    expected, convert, _ = _KINDS[column.kind]
    found = []
    for k, word in enumerate(row[column.start : column.start + column.width]):
        try:
            found.append(convert(word))
        except ValueError:
            why = f": {reason}" if (reason := why_no_number(word)) else ""
            raise InputError(
                f"{where}, column {column.start + k + 1} ({_component(column, k)} of atom {atom}): "
                f"{word[:40]!r} is no {expected}{why}"
            ) from None
    return found


def _component(column: Column, k: int) -> str:
    if column.width == 1:
        return column.written
    return f"{column.written} {'xyz'[k] if column.width == 3 else k + 1}"
