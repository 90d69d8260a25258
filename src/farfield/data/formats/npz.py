"""numpy archives in the manner of MD17: arrays of coordinates, elements, energies, forces under usual names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase
import numpy as np
from numpy.typing import NDArray

from farfield.data.formats.npz_extra import Extra, sorted_out
from farfield.data.formats.npz_units import Units, is_unit_key, stated_units
from farfield.data.formats.remarks import Remarks
from farfield.data.keys import as_numbers
from farfield.data.unit_of import unit_of
from farfield.errors import InputError
from farfield.notices import Grade

Array = NDArray[Any]

NAMES: dict[str, tuple[str, ...]] = {
    "positions": ("R", "coords", "coordinates", "coord", "positions", "pos", "xyz"),
    "numbers": ("z", "Z", "nuclear_charges", "numbers", "atomic_numbers", "species"),
    "energy": ("E", "energies", "energy"),
    "forces": ("F", "forces", "force"),
    "cell": ("cell", "cells", "lattice", "box"),
    "pbc": ("pbc",),
}
"""Names in use for each array, the likeliest first."""
_TAKEN = frozenset(NAMES).union(*NAMES.values())


def frames(path: Path, remarks: Remarks) -> Iterator[ase.Atoms]:
    """Read an archive of one composition; energies and forces become ``info["energy"]`` and ``arrays["forces"]``.

    What else has a value for every frame or atom keeps its name. Where the archive states units, all is turned into eV
    and Å.

    Raises:
        InputError: no archive of plain arrays, no coordinates or elements, shapes that do not fit, unknown units.
    """
    arrays = _arrays(path)
    found = {name: next((key for key in keys if key in arrays), None) for name, keys in NAMES.items()}
    if absent := [name for name in ("positions", "numbers") if found[name] is None]:
        wanted = "; ".join(f"{name} as {' or '.join(NAMES[name])}" for name in absent)
        raise InputError(f"{path} lacks {wanted} (it has: {', '.join(arrays)})")
    units = _units(path, arrays)
    shaped = _shaped(path, {name: arrays[key] for name, key in found.items() if key is not None})
    spare = {key: array for key, array in arrays.items() if key not in found.values() and not is_unit_key(key)}
    said = [f"{key} = {spare.pop(key)}" for key in list(spare) if _is_remark(key, spare[key])]
    count, atoms = shaped["positions"].shape[:2]
    extra = sorted_out(spare, count, atoms, _TAKEN)
    for k in range(count):
        for grade, topic, details in _topics(units, extra, said):
            remarks.add(grade, topic, details)
        yield _converted(_atoms({name: array[k] for name, array in shaped.items()}, extra, k), units)


def units_of(path: Path) -> Units:
    """Read the units that an archive states; of its arrays nothing else is read.

    Raises:
        InputError: it cannot be read, or states units that nobody knows.
    """
    return _units(path, _arrays(path, only_units=True))


def _units(path: Path, arrays: dict[str, Array]) -> Units:
    try:
        return stated_units(arrays)
    except InputError as failure:
        raise InputError(f"{path}: {failure}") from failure


def _topics(units: Units, extra: Extra, said: list[str]) -> list[tuple[Grade, str, list[str]]]:
    """List what there is to say of every frame."""
    topics: list[tuple[Grade, str, list[str]]] = []
    if units.energy not in (None, "eV"):
        topics.append(("note", f"energies in {units.energy}, as the file says, are turned into eV", []))
    if units.length not in (None, "angstrom"):
        topics.append(("note", f"lengths in {units.length}, as the file says, are turned into Å", []))
    named: list[tuple[Grade, str, list[str]]] = [
        ("note", "the file says", said),
        ("note", "arrays that are not read", extra.unread),
        ("note", "arrays whose shape does not tell whether they are of frames or atoms are taken", extra.guessed),
    ]
    return topics + [topic for topic in named if topic[2]]


def _is_remark(key: str, array: Array) -> bool:
    """Tell whether an array is a word for people, not for the reader."""
    return array.ndim == 0 and array.dtype.kind == "U" and (key in ("theory", "name") or "unit" in key.lower())


def _arrays(path: Path, *, only_units: bool = False) -> dict[str, Array]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if is_unit_key(name) or not only_units}
    except Exception as failure:  # zip, zlib and numpy each have their own
        raise InputError(f"cannot read {path} as numpy arrays: {type(failure).__name__}: {failure}") from failure


def _shaped(path: Path, arrays: dict[str, Array]) -> dict[str, Array]:
    """Every array with a row for every frame."""
    positions = arrays["positions"]
    if positions.ndim == 2:
        positions = positions[None]
    if positions.ndim != 3 or positions.shape[2] != 3 or not positions.size:
        raise InputError(f"{path}: coordinates have the shape {arrays['positions'].shape}, expected (frames, atoms, 3)")
    frames, atoms = positions.shape[:2]
    numbers = arrays["numbers"]
    if numbers.dtype.kind not in "iuf" or (numbers != np.rint(numbers)).any() or not 1 <= numbers.min() <= 118:
        raise InputError(f"{path}: atomic numbers must be integers in 1-118, found {numbers.min()} to {numbers.max()}")
    of_frames = {"positions": (atoms, 3), "numbers": (atoms,), "energy": (), "forces": (atoms, 3)}
    return {
        name: _rows(path, name, array, (frames, *of_frames[name]))
        if name in of_frames
        else _boxes(path, name, array, frames)
        for name, array in arrays.items()
    }


def _rows(path: Path, name: str, array: Array, shape: tuple[int, ...]) -> Array:
    """The array in the shape wanted; elements may be given once for all frames, axes of length 1 may be spare."""
    if name == "numbers" and array.shape == shape[1:]:
        return np.broadcast_to(array, shape)
    if array.dtype.kind in "iuf" and [n for n in array.shape if n > 1] == [n for n in shape if n > 1]:
        return array.reshape(shape)
    raise InputError(f"{path}: {name} has the shape {array.shape} ({array.dtype}), expected {shape}")


def _boxes(path: Path, name: str, array: Array, frames: int) -> Array:
    """Cells or periodicities: one for all frames, or one for each."""
    one = [(3, 3), (3,)] if name == "cell" else [(3,), ()]
    if array.dtype.kind in "iufb" and array.shape in [(frames, *shape) for shape in one] and array.shape != (3, 3):
        return array
    if array.dtype.kind in "iufb" and array.shape in one:
        return np.broadcast_to(array, (frames, *array.shape))
    raise InputError(f"{path}: {name} has the shape {array.shape} ({array.dtype}), expected {one[0]}, for all or each")


def _atoms(row: dict[str, Array], extra: Extra, k: int) -> ase.Atoms:
    cell = row.get("cell")
    atoms = ase.Atoms(
        row["numbers"].astype(np.int64),
        positions=row["positions"].astype(np.float64),
        cell=cell,
        pbc=row.get("pbc", cell is not None and bool(np.any(cell))),
    )
    if "energy" in row:
        atoms.info["energy"] = float(row["energy"])
    if "forces" in row:
        atoms.set_array("forces", row["forces"].astype(np.float64))
    for name, array in extra.of_frames.items():
        atoms.info[name] = array[k].item() if array.ndim == 1 else array[k].copy()
    for name, array in extra.of_atoms.items():
        atoms.set_array(name, array[k])
    return atoms


def _converted(atoms: ase.Atoms, units: Units) -> ase.Atoms:
    """Convert to eV and Å whatever has a name that tells what it is."""
    factors = units.factors
    if all(factor == 1 for factor in factors.values()):
        return atoms
    for place in (atoms.info, atoms.arrays):
        for key in [key for key in place if key != "positions"]:
            if (factor := factors[unit_of(key)]) != 1 and (numbers := as_numbers(place[key])) is not None:
                place[key] = (numbers * factor)[()]
    atoms.set_cell(atoms.cell.array * factors["Å"])
    atoms.positions *= factors["Å"]
    return atoms
