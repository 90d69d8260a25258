"""The second line of a frame of extended xyz: ``key=value`` pairs, which mean what they mean to ASE."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farfield.data.formats.numbers import LOGICAL, is_number, real, whole
from farfield.errors import InputError

_PIECE = re.compile(
    r"""(?P<blank>\s+)|(?P<equals>=)|\\(?P<escaped>.)|(?P<plain>[^\s=\\"'{\[]+)
    |"(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>(?:\\.|[^'\\])*)'
    |\{(?P<braced>(?:\\.|[^}\\])*)\}|\[(?P<bracketed>(?:\\.|[^\]\\])*)\]|(?P<unclosed>.)""",
    re.VERBOSE | re.DOTALL,
)
_SPECIAL = {"lattice": "Lattice", "properties": "Properties", "pbc": "pbc"}
"""Keys that are recognised in any case, and their names."""
_AROUND = ",;:()[]"
"""May stand around a number in prose."""
TENSORS = ("stress", "virial")
"""Nine numbers of these are a matrix."""


@dataclass(frozen=True)
class Comment:
    """Content of a frame's comment line."""

    info: dict[str, Any]
    numbers: tuple[str, ...]  # that stand alone, without a key
    properties: str | None  # what stands after Properties=
    cell: NDArray[np.float64] | None  # (3, 3), rows are lattice vectors
    pbc: tuple[bool, ...] | None  # 3


def read_comment(line: str) -> Comment:
    """Read ``key=value`` pairs; words without a value become True, numbers without a key ``info["comment"]``.

    A line without any ``=`` has no keys: all of it is ``info["comment"]``.

    Raises:
        InputError: a key twice, a quote that is never closed, a lattice that is no nine numbers, a pbc that is no three
            of T and F, JSON that is none.
    """
    given: dict[str, str | None] = {}
    for key, value in _pairs(line):
        name = key if value is None else _SPECIAL.get(key.lower(), key)
        if value is not None and given.get(name) is not None:
            raise InputError(f"the comment line gives {key} twice ({given[name]!r} and {value!r}): keep one of them")
        given[name] = given.get(name) if value is None else value
    lattice, properties, pbc = (given.pop(name, None) for name in _SPECIAL.values())
    numbers = tuple(
        word.strip(_AROUND) for word, value in given.items() if value is None and is_number(word.strip(_AROUND))
    )
    info = {key: True if value is None else meaning(key, value) for key, value in given.items()}
    if not any(value is not None for value in (*given.values(), lattice, properties, pbc)):
        info = {"comment": line.strip()} if line.strip() else {}
    elif numbers:
        info = {key: value for key, value in info.items() if value is not True or not is_number(key.strip(_AROUND))}
        info.setdefault("comment", " ".join(numbers))
    return Comment(
        info=info,
        numbers=numbers,
        properties=properties,
        cell=None if lattice is None else _cell(lattice),
        pbc=None if pbc is None else _periodic(pbc),
    )


def _pairs(line: str) -> Iterator[tuple[str, str | None]]:
    """Keys and values, without their quotes; blanks may stand around the ``=``."""
    key, values, after_equals = "", list[str](), False
    for token in _tokens(line):
        if token is None:
            values.append("")
        elif after_equals:
            values[-1] = token
        else:
            if key:
                yield key, "=".join(values) if values else None
            key, values = token, []
        after_equals = token is None
    if key:
        yield key, "=".join(values) if values else None


def _tokens(line: str) -> Iterator[str | None]:
    """Words, what is quoted in them without the quotes, and None for every ``=`` outside."""
    word: list[str] = []
    for piece in _PIECE.finditer(line):
        kind, text = str(piece.lastgroup), piece[0]
        if kind in ("blank", "equals"):
            if word:
                yield "".join(word)
            word = []
            if kind == "equals":
                yield None
        elif kind == "unclosed":
            if text != "\\" and "=" in line[: piece.start()]:  # else it is plain text with an apostrophe
                raise InputError(f"the comment line opens {text} at its column {piece.start() + 1} and never closes it")
            word.append(text)
        else:
            word.append(text if kind == "plain" else re.sub(r"\\(.)", r"\1", piece[kind]))
    if word:
        yield "".join(word)


def meaning(key: str, text: str) -> Any:
    """A number, several, a truth value, several, what JSON says, or else the text itself."""
    if key.lower() == "uid":
        return text
    words = re.findall(r"[^\s,]+", text)
    if not words:
        return text
    if (numbers := _numbers(words)) is not None:
        if key in TENSORS and numbers.shape == (9,):
            return numbers.reshape((3, 3), order="F")
        return numbers[0] if len(numbers) == 1 else numbers
    if all(word in LOGICAL for word in words):
        return LOGICAL[words[0]] if len(words) == 1 else [LOGICAL[word] for word in words]
    return _json(key, text.removeprefix("_JSON ")) if text.startswith("_JSON ") else text


def _numbers(words: list[str]) -> NDArray[Any] | None:
    try:
        return np.array([whole(word) for word in words])
    except ValueError:
        pass
    try:
        return np.array([real(word) for word in words])
    except ValueError:
        return None


def _json(key: str, text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as failure:
        raise InputError(f"{key} in the comment line should be JSON after _JSON: {failure}") from failure
    try:
        array = np.array(value)
    except ValueError:  # lists of different lengths
        return value
    return array if array.dtype.kind in "ifb" else value


def _cell(text: str) -> NDArray[np.float64]:
    words = re.findall(r"[^\s,]+", text)
    numbers = _numbers(words)
    if numbers is None or len(numbers) != 9:
        what = f"{len(words)} numbers" if numbers is not None else repr(text[:60])
        raise InputError(f'Lattice should be nine numbers, "ax ay az bx by bz cx cy cz" in Å, it is {what}')
    return numbers.reshape(3, 3).astype(np.float64)


def _periodic(text: str) -> tuple[bool, ...]:
    words = re.findall(r"[^\s,]+", text.strip("[]"))
    if len(words) == 1 and re.fullmatch("[TF]{3}", words[0].upper()):
        words = list(words[0])
    axes = [{"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}.get(w.lower()) for w in words]
    if len(axes) not in (1, 3) or None in axes:
        raise InputError(f'pbc should say of each axis whether it is periodic, "T T F", it is {text[:60]!r}')
    return tuple(bool(axis) for axis in (axes * 3 if len(axes) == 1 else axes))
