"""Format of a file: by what stands in it, and by its name."""

from pathlib import Path

from ase.io.formats import UnknownFileTypeError, filetype, ioformats

from farfield.data.formats import dpdata
from farfield.data.formats.elements import element
from farfield.data.formats.extxyz import COUNT
from farfield.data.formats.numbers import real
from farfield.data.formats.text import head
from farfield.errors import InputError

DATABASES = frozenset({"db", "json", "aselmdb"})
_XYZ = frozenset({".xyz", ".extxyz", ".exyz"})
_PACKED = frozenset({".gz", ".bz2", ".xz"})


def kind_of(path: Path) -> str:
    """``extxyz``, ``npz``, ``dpdata:…`` for what dpdata reads, or ASE's name of the format.

    Raises:
        InputError: an empty file, a folder of nothing known, or a format that nobody knows.
    """
    if path.is_dir():
        if (known := dpdata.format_of(path)) is None:
            raise InputError(f"{path} is a folder, expected a file of structures or a folder of DeePMD (set.000, …)")
        return known
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty")
    if path.suffix.lower() == ".npz":
        return "npz"
    if has_xyz_name(path) or _looks_like_xyz(head(path, 3)):
        return "extxyz"
    return _by_ase(path) or dpdata.format_of(path) or _unknown(path)


def has_xyz_name(path: Path) -> bool:
    """Tell whether the name alone says that it is extended xyz, packed or not."""
    suffixes = [suffix for suffix in path.suffixes if suffix not in _PACKED]
    return bool(suffixes) and suffixes[-1].lower() in _XYZ


def _by_ase(path: Path) -> str | None:
    try:
        kind = str(filetype(str(path)))
    except UnknownFileTypeError:
        return None
    except Exception as failure:  # what looks into packed files and databases, each with its own ways
        raise InputError(f"cannot read {path}: {failure}") from failure
    return kind if kind in ioformats else None


def _looks_like_xyz(lines: list[str]) -> bool:
    """A number of atoms; then keys of extended xyz, or an atom and its place in the line after."""
    if len(lines) < 3 or not COUNT.fullmatch(lines[0]):
        return False
    if any(key in lines[1].lower() for key in ("properties=", "lattice=")):
        return True
    words = lines[2].split()
    try:
        return _is_label(words[0]) and len([real(word) for word in words[1:4]]) == 3
    except (ValueError, IndexError):
        return False


def _is_label(word: str) -> bool:
    """Tell whether a word stands for an element, be it one of two."""
    try:
        return bool(element(word))
    except ValueError as unknown:
        return bool(unknown.args[1])


def _unknown(path: Path) -> str:
    raise InputError(
        f"{path}: neither its name nor its content tells what format it is; expected extxyz, npz, a folder of DeePMD, "
        "or a format that ASE or dpdata reads"
    )
