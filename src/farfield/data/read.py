"""From files to frames; every mistake is said here, before the first epoch."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import ase
import numpy as np
import torch

from farfield import conditions
from farfield.data.config import DataConfig
from farfield.data.conversion import condition_factor
from farfield.data.files import leaves_units_open, load_structures, refuse_other_units
from farfield.data.formats.remarks import UnreadableFrame
from farfield.data.frame import Frame
from farfield.data.keys import as_numbers, find_value, with_decimal_comma
from farfield.data.reading.asked import check_keys, check_request, without_absent
from farfield.data.reading.doubts import doubts_of_labels, doubts_of_structures
from farfield.data.reading.external_charges import EXTERNAL, in_angstrom
from farfield.data.reading.fragments import read_fragments
from farfield.data.reading.labels import LabelReader
from farfield.data.reading.periodicity import with_periodicity
from farfield.data.reading.potential import potential_rows
from farfield.data.reading.unlabelled import stresses_of_no_crystal, without_empty_targets
from farfield.errors import InputError
from farfield.geometry.neighbors import find_neighbors
from farfield.notices import OnNotice, unheard
from farfield.system import System

_SEARCH = 2.0
"""Å; reach of the search for atoms on top of each other. A shorter one finds the same and takes longer."""


def read_frames(
    path: Path | str | Sequence[Path | str],
    config: DataConfig,
    *,
    dtype: torch.dtype = torch.float64,
    dispensable: Collection[str] = (),
    on_notice: OnNotice = unheard,
) -> list[Frame]:
    """Read the frames of a file, or of several one after the other, with the labels that ``config`` asks for.

    ``dispensable`` are fields of ``config`` that are left out, and said, where no file has their keys.
    ``on_notice`` hears what stops nobody but should be known: labels left out, conditions under other names, ….

    Raises:
        InputError: naming file and frame (counted from 0): no such file, cut short, malformed; a key that is not there,
            or only in some frames; labels or positions that are not finite or have another shape; a missing or flat
            cell; two atoms on top of each other.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    check_request(paths, config)
    files = {str(p): _structures(p, config, on_notice) for p in paths}
    config = without_absent(files, config, dispensable, on_notice)
    check_keys(files, config)
    reader = LabelReader(config, dtype)
    frames = {
        file: [_frame(atoms, f"{file} frame {k}", reader) for k, atoms in enumerate(structures)]
        for file, structures in files.items()
    }
    for file, structures in files.items():
        for doubt in (*doubts_of_structures(structures, config), *doubts_of_labels(frames[file])):
            on_notice(replace(doubt, message=f"{file}: {doubt.message}"))
    stresses = sum(stresses_of_no_crystal(structures, config) for structures in files.values())
    return without_empty_targets([frame for part in frames.values() for frame in part], stresses, on_notice)


def _structures(path: Path | str, config: DataConfig, on_notice: OnNotice) -> list[ase.Atoms]:
    """The structures of a file, periodic as the configuration has it."""
    try:
        found = load_structures(path, skip_unreadable=config.skip_unreadable, on_notice=on_notice)
    except UnreadableFrame as failure:
        advice = "Correct it, or leave such frames out: skip_unreadable: true under data:"
        raise InputError(f"{failure}. {advice}") from failure
    _check_units(path, config)
    return with_periodicity(found, config, str(path), on_notice)


def _check_units(path: Path | str, config: DataConfig) -> None:
    """Complain where nobody says in what the energies are, or file and configuration say different things."""
    refuse_other_units(path, config.energy_unit, config.length_unit, "{}_unit")
    if leaves_units_open(path) and config.energy_unit is None:
        raise InputError(
            f"{path} does not say in which unit its energies are, and such files have no usual one: "
            "say energy_unit: kcal/mol, eV, hartree, …"
        )


def _frame(atoms: ase.Atoms, source: str, reader: LabelReader) -> Frame:
    config = reader.config
    system, fragments = _system(atoms, source, reader), read_fragments(atoms, reader.config.factors.energy, source)
    if fragments is not None:
        charges = fragments.charges.to(system.charge).unsqueeze(0)
        system = replace(system, fragment=fragments.index, fragment_charges=charges)
    distance = _number(atoms, config.distance, source)
    return Frame(
        system=system,
        labels=reader.read(atoms, source),
        source=source,
        group=str(atoms.info.get(config.group, "all")),
        distance=None if distance is None else distance * config.factors.length,
        fragments=fragments,
    )


def _system(atoms: ase.Atoms, source: str, reader: LabelReader) -> System:
    config, length = reader.config, reader.config.factors.length
    bare = ase.Atoms(atoms.numbers, positions=atoms.positions * length, cell=atoms.cell.array * length, pbc=atoms.pbc)
    bare.info["charge"] = _number(atoms, config.total_charge, source) or 0.0
    bare.info["spin"] = _unpaired(atoms, config, source)
    for name in conditions.CONDITIONS:
        if (raw := atoms.info.get(getattr(config, name))) is not None:
            value = as_numbers(raw)  # what is no number is complained of below
            factor = condition_factor(name, config.energy_unit, config.field_unit)
            bare.info[name] = raw if value is None else value * factor
    if (rows := atoms.info.get(EXTERNAL)) is not None:
        table = as_numbers(rows)
        bare.info[EXTERNAL] = rows if table is None else in_angstrom(table, length)
    if config.potential is not None:
        rows = find_value(atoms, "potential", config.potential)
        asked = potential_rows(rows, config, f"{source}: potential = {config.potential!r}")
        bare.info["potential_points"] = asked[:, :3]
    if "electrode" in atoms.arrays:
        bare.set_array("electrode", atoms.arrays["electrode"])
    if "fragment" in atoms.arrays and "fragment_charges" in atoms.info:
        bare.set_array("fragment", atoms.arrays["fragment"])
        bare.info["fragment_charges"] = atoms.info["fragment_charges"]
    try:
        system = System.from_ase(bare, reader.dtype)
        find_neighbors(system, _SEARCH)  # complains of atoms on top of each other
    except InputError as wrong:
        raise InputError(f"{source}: {wrong}") from wrong
    return system


def _unpaired(atoms: ase.Atoms, config: DataConfig, source: str) -> float:
    """Number of unpaired electrons 2S."""
    value = _number(atoms, config.spin, source)
    if value is None or config.spin_unit == "unpaired":
        return value or 0.0
    if value < 1 or value != round(value):
        raise InputError(
            f"{source}: info {config.spin!r} is {value:g}, expected a multiplicity 2S + 1 (1, 2, 3, …); "
            "if it is 2S, spin_unit: unpaired"
        )
    return value - 1.0


def _number(atoms: ase.Atoms, key: str, source: str) -> float | None:
    """One finite number of ``info``, or None if it is not there."""
    if (raw := atoms.info.get(key)) is None:
        return None
    value = as_numbers(raw)
    if value is None or value.size != 1 or not np.isfinite(value).all():
        comma = "" if value is None or not (said := with_decimal_comma(value)) else f" ({said})"
        raise InputError(f"{source}: info {key!r} should be one finite number, it is {str(raw)[:40]!r}{comma}")
    return float(value.reshape(()))
