"""Files that are whole or not there."""

import os
from pathlib import Path

from farfield.errors import InputError


def write_atomically(path: Path, content: bytes) -> None:
    """All of it or nothing: a kill or a full disk leaves the file that was there.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as failure:
        _remove(temporary)
        raise InputError(f"cannot write {path}: {failure.strerror}. What was there before is untouched") from failure


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
