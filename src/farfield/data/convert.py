"""Any readable file as extended xyz, or as what ASE writes: in eV and Å, under the keys wanted."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase
import ase.db
import ase.io
import numpy as np
from ase.io.formats import UnknownFileTypeError, filetype, ioformats, open_with_compression

from farfield.data.conversion import ENERGY, LENGTH, EnergyUnit, LengthUnit
from farfield.data.files import iter_structures, leaves_units_open, refuse_other_units
from farfield.data.formats.assembly import hang, spread
from farfield.data.formats.kinds import DATABASES, has_xyz_name, kind_of
from farfield.data.formats.remarks import UnreadableFrame
from farfield.data.formats.writing import extxyz_text
from farfield.data.keys import as_numbers
from farfield.data.paths import existing
from farfield.data.reading.external_charges import EXTERNAL, in_angstrom
from farfield.data.reading.potential import in_angstrom_and_volt
from farfield.data.spellings import spells
from farfield.data.unit_of import unit_of
from farfield.errors import InputError
from farfield.notices import Notice, OnNotice, unheard

Write = Callable[[ase.Atoms], None]


@dataclass(frozen=True)
class Conversion:
    """Units that the file is in, and keys that go by another name afterwards."""

    energy_unit: EnergyUnit | None = None  # eV where absent, but for formats that leave it open
    length_unit: LengthUnit = "angstrom"
    rename: dict[str, str] = field(default_factory=dict)  # old → new
    skip_unreadable: bool = False


@dataclass
class Written:
    """Outcome of a conversion: frames and keys that were written."""

    frames: int = 0
    keys: dict[str, str] = field(default_factory=dict)  # → unit; "as given" where nobody knows it


def convert(
    source: Path | str,
    target: Path,
    conversion: Conversion,
    *,
    on_notice: OnNotice = unheard,
    on_progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
) -> Written:
    """Write ``source`` to ``target``, whole or not at all; its suffix tells the format. From extxyz to extxyz memory
    holds a frame at a time.

    Raises:
        InputError: units that nobody knows, a key to rename that is not there or whose new name is taken, a file that
            cannot be read or written.
    """
    _check_units(source, conversion)
    written, unseen = Written(), set(conversion.rename)
    try:
        with _whole(target) as temporary, _writer(temporary, target) as write:
            frames = iter_structures(
                existing(source),
                skip_unreadable=conversion.skip_unreadable,
                on_notice=on_notice,
                on_progress=on_progress,
            )
            for k, atoms in enumerate(frames):
                unseen -= _keys(atoms)
                _convert_one(atoms, f"{source}, frame {k}", conversion, write, written)
            if unseen:
                has = ", ".join(written.keys)
                raise InputError(f"{source} has no {', '.join(sorted(unseen))} to rename (it has: {has})")
    except UnreadableFrame as failure:
        advice = "Correct it, or leave such frames out: --skip-unreadable"
        raise InputError(f"{failure}. {advice}") from failure
    _compare(target, written, on_notice)
    return written


def _convert_one(atoms: ase.Atoms, where: str, conversion: Conversion, write: Write, written: Written) -> None:
    converted = _converted(atoms, conversion, where)
    try:
        write(converted)
    except InputError as failure:
        raise InputError(f"{where}: {failure}") from failure
    written.keys |= {key: unit_of(key) or "as given" for key in sorted(_keys(converted))}
    written.frames += 1


def _check_units(source: Path | str, conversion: Conversion) -> None:
    refuse_other_units(source, conversion.energy_unit, conversion.length_unit, "--{}-unit")
    if leaves_units_open(source) and conversion.energy_unit is None:
        raise InputError(
            f"{source}: the format says no units. Give --energy-unit (MD17 and its kin: kcal/mol) and, if it is not "
            "angstrom, --length-unit"
        )
    kind = kind_of(existing(source))
    others = conversion.energy_unit not in (None, "eV") or conversion.length_unit != "angstrom"
    if others and kind not in {"extxyz", "npz", "traj"} | DATABASES:
        raise InputError(
            f"{source} is read in eV and Å, whatever the program that wrote it has ({kind}): leave --energy-unit and "
            "--length-unit away"
        )


def _converted(atoms: ase.Atoms, conversion: Conversion, where: str) -> ase.Atoms:
    energy, length = ENERGY[conversion.energy_unit or "eV"], LENGTH[conversion.length_unit]
    factors = {"eV": energy, "eV/Å": energy / length, "Å": length, None: 1.0}
    places = []
    for place in spread(atoms):
        renamed = {conversion.rename.get(key, key): value for key, value in place.items()}
        if len(renamed) < len(place):
            twice = [new for old, new in conversion.rename.items() if old in place and new in place]
            raise InputError(f"{where}: there is a {', '.join(twice) or 'key of that name'} already")
        places.append({key: _times(value, factors[unit_of(key)]) for key, value in renamed.items()})
    if EXTERNAL in places[0] and (rows := as_numbers(places[0][EXTERNAL])) is not None:
        places[0][EXTERNAL] = in_angstrom(rows, length)
    for key in [key for key in places[0] if spells(key, "potential")]:
        if (rows := as_numbers(places[0][key])) is not None and rows.size % 4 == 0:
            places[0][key] = in_angstrom_and_volt(rows, length, energy)
    info, arrays = places
    new = ase.Atoms(atoms.numbers, positions=atoms.positions * length, cell=atoms.cell.array * length, pbc=atoms.pbc)
    new.info = info
    return hang(new, arrays)


def _times(value: Any, factor: float) -> Any:
    numbers = as_numbers(value) if factor != 1.0 else None
    return value if numbers is None else (numbers * factor)[()]


def _keys(atoms: ase.Atoms) -> set[str]:
    info, arrays = spread(atoms)
    return {*info, *arrays}


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A file beside ``target`` that becomes it in the end, if nothing fails."""
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        yield temporary
        temporary.replace(target)
    except OSError as failure:
        raise InputError(
            f"cannot write {target}: {failure.strerror or failure}. What was there is untouched"
        ) from failure
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _writer(path: Path, target: Path) -> Iterator[Write]:
    """Open the target for one frame after the other."""
    if has_xyz_name(target):
        with open_with_compression(str(path), "wt") as file:
            yield lambda atoms: file.write(extxyz_text(atoms)) and None
        return
    kind = _format(target)
    if kind in DATABASES:
        with ase.db.connect(path, type=kind, append=False) as database:
            yield lambda atoms: _into(database, atoms)
        return
    frames: list[ase.Atoms] = []
    yield frames.append
    try:
        ase.io.write(path, frames, format=kind)
    except OSError:
        raise
    except Exception as failure:  # dozens of writers, each with its own way of giving up
        raise InputError(f"cannot write {target} as {kind}: {type(failure).__name__}: {failure}") from failure


def _format(target: Path) -> str:
    try:
        kind = str(filetype(str(target), read=False))
    except UnknownFileTypeError:
        kind = ""
    if kind not in ioformats or not ioformats[kind].can_write:
        raise InputError(f"{target}: the suffix names no format that ASE writes; expected .xyz, .db, .traj, …")
    return kind


def _into(database: Any, atoms: ase.Atoms) -> None:
    """Arrays of names that ASE's databases do not know go where ``info`` goes: into the data of the row."""
    known = {"numbers", "positions", "initial_magmoms", "initial_charges", "masses", "tags", "momenta"}
    others = {name: array for name, array in atoms.arrays.items() if name not in known}
    said = {key: v.item() if isinstance(v, np.generic) else v for key, v in atoms.info.items()}
    try:
        database.write(atoms, data={**said, **others})
    except Exception as failure:  # sqlite, json and lmdb each have their own
        raise InputError(f"the database takes no such row: {type(failure).__name__}: {failure}") from failure


def _compare(target: Path, written: Written, on_notice: OnNotice) -> None:
    """Say what the format of ``target`` did not keep, by reading it again until every key has been seen."""
    kept = set[str]()
    try:
        for atoms in iter_structures(target):
            kept |= _keys(atoms)
            if kept >= written.keys.keys():
                return
    except InputError:
        pass  # written by ASE, which does not read all that it writes
    lost = sorted(written.keys.keys() - kept)
    on_notice(Notice("warning", f"{target}: the format keeps no {', '.join(lost)}"))
    for key in lost:
        del written.keys[key]
