"""Text dumps of LAMMPS: read by ASE, once it is sure that nothing is guessed."""

from dataclasses import dataclass
from pathlib import Path

import ase

from farfield.data.formats.other import read_by_ase
from farfield.data.formats.remarks import Remarks
from farfield.data.formats.text import lines_of
from farfield.errors import InputError

KIND = "lammps-dump-text"
_UNITS = ("metal", "real", "si", "cgs", "electron", "micro", "nano")


@dataclass(frozen=True)
class _Headers:
    atoms: list[int]  # of every frame
    columns: list[str]  # of the first
    units: str | None  # LAMMPS's name of the style


def read_dump(path: Path, remarks: Remarks) -> list[ase.Atoms]:
    """Read all frames, in Å, eV/Å. A dump has no energy; ASE's reader gives each frame one of 0, which is taken away.

    Raises:
        InputError: types without elements, reduced units, a file that is cut short or otherwise malformed.
    """
    headers = _headers(path)
    _check_elements(path, headers)
    frames = read_by_ase(path, KIND, units=headers.units or "metal")
    if len(frames) != len(headers.atoms):
        raise InputError(f"{path}: {len(headers.atoms)} frames begin, but only {len(frames)} can be read")
    for k, (atoms, count) in enumerate(zip(frames, headers.atoms)):
        if len(atoms) != count:
            raise InputError(
                f"{path}, frame {k}: {count} atoms are announced, {len(atoms)} are there: the file was cut short"
            )
        if atoms.calc is not None:
            atoms.calc.results.pop("energy", None)
        if headers.units is None:
            remarks.add("note", "no ITEM: UNITS in the dump: taken for metal units (Å, eV/Å)")
        if "element" not in headers.columns:
            remarks.add("warning", "elements are guessed from the masses", sorted(set(atoms.symbols)))
    return frames


def _headers(path: Path) -> _Headers:
    counts, columns, units = [], list[str](), None
    with lines_of(path) as lines:
        while (line := lines.next()) is not None:
            if line.startswith("ITEM: NUMBER OF ATOMS"):
                count = (lines.next() or "").strip()
                if not count.isdecimal() or len(count) > 18:
                    raise InputError(f"{path}, line {lines.number}: expected the number of atoms, found {count[:60]!r}")
                counts.append(int(count))
            elif line.startswith("ITEM: UNITS"):
                units = (lines.next() or "").strip()
            elif line.startswith("ITEM: ATOMS") and not columns:
                columns = line.split()[2:]
    return _Headers(counts, columns, units)


def _check_elements(path: Path, headers: _Headers) -> None:
    if headers.units is not None and headers.units not in _UNITS:
        raise InputError(f"{path}: units {headers.units!r} have no Å and eV; expected one of {', '.join(_UNITS)}")
    if headers.columns and not {"element", "mass"} & set(headers.columns):
        raise InputError(
            f"{path} says of its atoms {' '.join(headers.columns)}: without an element column nobody knows what the "
            "types are. Write one: dump_modify ID element Na Cl, and element among the columns of the dump"
        )
