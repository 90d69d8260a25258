"""Data sets that come with farfield: ``embedded:NAME`` wherever a file is asked for."""

import difflib
import hashlib
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from farfield.atomic_write import write_atomically
from farfield.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SETS = Path(str(files("farfield.data") / "sets"))
"""Holds ``catalogue.toml`` and one ``NAME.xyz`` for each of its entries."""
PREFIX = "embedded:"


@dataclass(frozen=True)
class EmbeddedSet:
    """An entry of the catalogue."""

    name: str
    frames: int
    licence: str
    about: str  # what it holds
    method: str  # how it was made
    path: Path
    sha256: str = ""  # of the file; unchecked where empty


def embedded_sets(folder: Path | None = None) -> list[EmbeddedSet]:
    """Everything in the catalogue, in its order. ``folder``: another one than the one shipped."""
    folder = folder or SETS
    entries = tomllib.loads((folder / "catalogue.toml").read_text("utf-8"))
    return [EmbeddedSet(name=name, path=folder / f"{name}.xyz", **entry) for name, entry in entries.items()]


def find_embedded(name: str, folder: Path | None = None) -> EmbeddedSet:
    """The set of that name.

    Raises:
        InputError: no such set (the nearest one is named), or its file is not installed.
    """
    known = {entry.name: entry for entry in embedded_sets(folder)}
    if name not in known:
        near = difflib.get_close_matches(name, known, 1, 0.4)
        hint = f"Did you mean {near[0]}?" if near else "See: farfield data list"
        raise InputError(f"there is no embedded data set {name!r} ({', '.join(known)}). {hint}")
    if not known[name].path.exists():
        raise InputError(f"{known[name].path} is missing: this installation is incomplete, install farfield again")
    return known[name]


def copy_embedded(name: str, out: Path, folder: Path | None = None) -> Path:
    """Write ``out/NAME.xyz``, whole or not at all, and return its path.

    Raises:
        InputError: no such set, a file that is not what the catalogue says, or nowhere to write.
    """
    found = find_embedded(name, folder)
    content = found.path.read_bytes()
    if found.sha256 and hashlib.sha256(content).hexdigest() != found.sha256:
        raise InputError(f"{found.path} is not the file of the catalogue (checksum differs): install farfield again")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise InputError(f"cannot make the folder {out}: {failure.strerror}") from failure
    write_atomically(out / f"{name}.xyz", content)
    return out / f"{name}.xyz"
