"""Everything else that ASE reads."""

import warnings
from pathlib import Path
from typing import Any

import ase
import ase.io

from farfield.errors import InputError


def read_by_ase(path: Path, kind: str, **options: Any) -> list[ase.Atoms]:
    """Read all frames of a file in one of ASE's formats.

    Raises:
        InputError: ASE cannot; its reason is given.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frames = ase.io.read(path, index=":", format=kind, do_not_split_by_at_sign=True, **options)
    except Exception as failure:  # dozens of readers, each with its own way of giving up
        reason = f"{type(failure).__name__}: {failure}".rstrip(": ")
        raise InputError(f"cannot read {path} as {kind}: {reason}") from failure
    return [frames] if isinstance(frames, ase.Atoms) else list(frames)
