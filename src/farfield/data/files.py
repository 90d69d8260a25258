"""From a path to structures, with everything the file says and nothing lost on the way."""

import difflib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import ase
import ase.db
import ase.io
from ase.io.formats import UnknownFileTypeError, filetype, ioformats, open_with_compression

from farfield.data.catalogue import PREFIX, find_embedded
from farfield.errors import InputError
from farfield.notices import OnNotice, unheard

_DATABASES = frozenset({"db", "json", "aselmdb"})


def load_structures(
    path: Path | str, *, skip_unreadable: bool = False, on_notice: OnNotice = unheard
) -> list[ase.Atoms]:
    """Read every frame of a file: extxyz, an ASE database, anything ASE reads, or ``embedded:NAME``.

    ``skip_unreadable`` leaves out frames that cannot be read, and says how many; ``on_notice`` hears what was read in
    another way than it is written.

    Raises:
        InputError: no such file, an empty one, or one that is cut short or malformed (naming frame and line).
    """
    path = existing(path)
    kind = _kind(path)
    if kind == "extxyz":
        frames = [_parsed(path, chunk) for chunk in _chunks(path)]
    elif kind in _DATABASES:
        frames = list(_database_rows(path))
    else:
        frames = _read_by_ase(path, kind)
    if not frames:
        raise InputError(f"{path} holds no structures")
    return frames


def existing(path: Path | str) -> Path:
    """Where the file is; ``embedded:NAME`` is resolved.

    Raises:
        InputError: no such file; the nearest names in its folder are suggested.
    """
    if str(path).startswith(PREFIX):
        return find_embedded(str(path).removeprefix(PREFIX)).path
    path = Path(path)
    if path.is_file():
        return path
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected a file of structures")
    if not path.parent.is_dir():
        raise InputError(f"{path} does not exist, nor does its folder {path.parent}")
    near = difflib.get_close_matches(path.name, [f.name for f in path.parent.iterdir() if f.is_file()], 3, 0.65)
    hint = f"Did you mean {' or '.join(str(path.parent / name) for name in near)}?" if near else ""
    raise InputError(f"{path} does not exist. {hint}".rstrip())


def _kind(path: Path) -> str:
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty")
    try:
        kind = str(filetype(str(path)))
    except UnknownFileTypeError as failure:
        raise InputError(_unknown_format(path)) from failure
    except (OSError, EOFError, ValueError) as failure:
        raise InputError(f"cannot read {path}: {failure}") from failure
    if kind not in ioformats:
        raise InputError(_unknown_format(path))
    return "extxyz" if kind == "xyz" else kind


def _unknown_format(path: Path) -> str:
    return f"{path}: neither its name nor its content tells what format it is; expected extxyz, or a format of ASE's"


def _database_rows(path: Path) -> Iterator[ase.Atoms]:
    """ASE's own reader drops key-value pairs and data; here they become ``info``."""
    try:
        with ase.db.connect(str(path)) as database:
            for row in database.select():
                atoms = row.toatoms()
                atoms.info = {**row.key_value_pairs, **row.data}
                yield atoms
    except Exception as failure:  # sqlite, json and lmdb each have their own
        raise InputError(f"cannot read the database {path}: {type(failure).__name__}: {failure}") from failure


def _read_by_ase(path: Path, kind: str) -> list[ase.Atoms]:
    try:
        frames = ase.io.read(path, index=":", format=kind)
    except Exception as failure:  # dozens of readers, each with its own way of giving up
        reason = f"{type(failure).__name__}: {failure}".rstrip(": ")
        raise InputError(f"cannot read {path} as {kind}: {reason}") from failure
    return [frames] if isinstance(frames, ase.Atoms) else list(frames)


@dataclass(frozen=True)
class _Chunk:
    """The lines of one frame of an extxyz file."""

    frame: int
    first_line: int  # counted from 1
    lines: list[str]


def _chunks(path: Path) -> Iterator[_Chunk]:
    """Cut an extxyz file into frames. ASE stops at a blank line and reads past missing columns; this does not."""
    lines = _text_lines(path)
    at = frame = 0
    while at < len(lines):
        if not lines[at].strip() and not any(line.strip() for line in lines[at:]):
            return
        where = f"{path}, frame {frame}, line {at + 1}"
        atoms = _atom_count(lines[at], where)
        end = at + 2 + atoms
        if end > len(lines):
            raise InputError(
                f"{path}, frame {frame}: line {at + 1} announces {atoms} atoms, "
                f"but the file ends after {max(len(lines) - at - 2, 0)} of them: it was cut short"
            )
        while end < len(lines) and lines[end].lstrip().startswith("VEC"):  # cell vectors in ADF's dialect
            end += 1
        yield _Chunk(frame, at + 1, lines[at:end])
        at, frame = end, frame + 1


def _text_lines(path: Path) -> list[str]:
    try:
        with open_with_compression(str(path)) as file:
            text: str = file.read()
    except (OSError, UnicodeDecodeError, EOFError) as failure:
        raise InputError(f"cannot read {path} as text: {failure}") from failure
    return text.splitlines()


def _atom_count(line: str, where: str) -> int:
    if not line.strip():
        raise InputError(f"{where} is blank where the number of atoms of a frame should stand: delete the blank line")
    try:
        count = int(line)
    except ValueError:
        raise InputError(f"{where}: expected the number of atoms of a frame, found {line.strip()[:60]!r}") from None
    if count < 1:
        raise InputError(f"{where}: a frame of {count} atoms")
    return count


def _parsed(path: Path, chunk: _Chunk) -> ase.Atoms:
    _check_columns(path, chunk)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: Any = ase.io.read(StringIO("\n".join(chunk.lines) + "\n"), index=0, format="extxyz")
    except Exception as failure:  # ASE lets KeyError, ValueError, AssertionError and more through
        reason = f"{type(failure).__name__}: {failure}".rstrip(": ")
        raise InputError(
            f"{path}, frame {chunk.frame} (line {chunk.first_line}): cannot be read: {reason}"
        ) from failure
    atoms: ase.Atoms = found
    return atoms


def _check_columns(path: Path, chunk: _Chunk) -> None:
    """Every atom line has as many columns as ``Properties`` says; nothing is shifted or dropped."""
    declared = _declared_columns(chunk.lines[1])
    atoms = int(chunk.lines[0])
    for offset, line in enumerate(chunk.lines[2 : 2 + atoms], 2):
        found = len(line.split())
        if found < (declared or 4) or (declared and found > declared):
            expected = f"{declared} as Properties says" if declared else "at least 4 (element x y z)"
            raise InputError(
                f"{path}, frame {chunk.frame}, line {chunk.first_line + offset}: "
                f"atom {offset - 2} has {found} columns, expected {expected}"
            )


def _declared_columns(comment: str) -> int | None:
    """Columns that ``Properties=species:S:1:pos:R:3:...`` announces; None where there is no such entry."""
    _, found, rest = comment.partition("Properties=")
    if not found or not rest.split():
        return None
    widths = rest.split()[0].strip("\"'").split(":")[2::3]
    return sum(int(w) for w in widths) if all(w.isdigit() for w in widths) else None
