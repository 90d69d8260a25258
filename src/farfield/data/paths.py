"""Paths of structures' files, before anything is read of them."""

import difflib
from pathlib import Path

from farfield.data.catalogue import PREFIX, find_embedded
from farfield.errors import InputError


def existing(path: Path | str) -> Path:
    """Find a file or folder; ``embedded:NAME`` is resolved.

    Raises:
        InputError: no such file; the nearest names in its folder are suggested.
    """
    if str(path).startswith(PREFIX):
        return find_embedded(str(path).removeprefix(PREFIX)).path
    path = Path(path)
    if path.is_file() or path.is_dir():
        return path
    if not path.parent.is_dir():
        raise InputError(f"{path} does not exist, nor does its folder {path.parent}")
    near = difflib.get_close_matches(path.name, [f.name for f in path.parent.iterdir() if f.is_file()], 3, 0.65)
    hint = f"Did you mean {' or '.join(str(path.parent / name) for name in near)}?" if near else ""
    raise InputError(f"{path} does not exist. {hint}".rstrip())
