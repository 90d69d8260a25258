"""Formats that dpdata reads: DeePMD's folders, CP2K, SIESTA, PWmat, …; eV and Å by its definition."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.data import atomic_numbers

from farfield.data.formats.remarks import Remarks
from farfield.data.formats.text import head
from farfield.errors import InputError

PREFIX = "dpdata:"
_INSTALL = "pip install 'farfield[formats]'"
_NAMES = {"OUTCAR": "vasp/outcar", "MOVEMENT": "pwmat/movement", "vasprun.xml": "vasp/xml"}
_CONTENT = {"CP2K|": "cp2k/output", "Welcome to SIESTA": "siesta/output", "SIESTA ": "siesta/output",
            "Entering Gaussian System": "gaussian/log", "Invoking FHI-aims": "fhi_aims/output"}  # fmt: skip
_CENTROIDS = "atomic_dipole"
"""Deep Wannier's name for the displacements of centroids, Å."""
_READ = frozenset({
    "atom_names", "atom_numbs", "atom_types", "coords", "cells", "energies", "forces", "virials", "nopbc", "orig",
    _CENTROIDS,
})  # fmt: skip


def format_of(path: Path) -> str | None:
    """Dpdata's name of the format, after ``dpdata:``; None where it knows none.

    Raises:
        InputError: a folder of several systems of DeePMD's.
    """
    if path.is_dir():
        return _of_folder(path)
    with path.open("rb") as file:
        if file.read(8) == b"\x89HDF\r\n\x1a\n":
            return f"{PREFIX}deepmd/hdf5"
    if path.name in _NAMES:
        return PREFIX + _NAMES[path.name]
    start = "\n".join(head(path, 200))
    return next((PREFIX + name for sign, name in _CONTENT.items() if sign in start), None)


def frames(path: Path, kind: str, remarks: Remarks) -> Iterator[ase.Atoms]:
    """Read a file or folder; energies become ``info["energy"]``, forces ``arrays["forces"]``.

    The virial, -dE/dstrain in eV, becomes nine numbers ``info["virial"]``; Deep Wannier's ``atomic_dipole.npy``, of all
    atoms or of the elements that have a centroid, an array of that name.

    Raises:
        InputError: dpdata is not installed, it cannot read the file, or nobody can tell whose the centroids are.
    """
    for system in _systems(path, kind.removeprefix(PREFIX)):
        data = system.data | _centroids(path, kind, system.data)
        if unknown := [name for name in data["atom_names"] if name not in atomic_numbers]:
            raise InputError(
                f"{path}: {unknown[0]!r} is no element: write the element of every type into type_map.raw, one a line"
            )
        for k in range(len(data["coords"])):
            if spare := sorted(set(data) - _READ):
                remarks.add("note", "data that are not read", spare)
            yield _atoms(data, k)


def _of_folder(folder: Path) -> str | None:
    sets = sorted(folder.glob("set.*"))
    if any((s / "coord.npy").is_file() for s in sets):
        mixed = any((s / "real_atom_types.npy").is_file() for s in sets)
        return f"{PREFIX}deepmd/npy/mixed" if mixed else f"{PREFIX}deepmd/npy"
    if (folder / "coord.raw").is_file() and (folder / "type.raw").is_file():
        return f"{PREFIX}deepmd/raw"
    if systems := sorted({str(path.parent.parent) for path in folder.glob("**/set.*/coord.npy")}):
        listed = ", ".join(systems[:5]) + (", …" if len(systems) > 5 else "")
        raise InputError(f"{folder} holds {len(systems)} systems of DeePMD: give a list of them: [{listed}]")
    return None


def _systems(path: Path, name: str) -> list[Any]:
    try:
        import dpdata
    except ImportError as absent:
        raise InputError(f"to read {path} ({name}), install dpdata: {_INSTALL}") from absent
    try:
        if name == "deepmd/npy/mixed":
            return list(dpdata.MultiSystems().load_systems_from_file(str(path), fmt=name))
        return [dpdata.LabeledSystem(str(path), fmt=name) if _labelled(path) else dpdata.System(str(path), fmt=name)]
    except Exception as failure:  # dozens of readers, each with its own way of giving up
        reason = f"{type(failure).__name__}: {failure}".rstrip(": ")
        raise InputError(f"cannot read {path} as {name} by dpdata: {reason}") from failure


def _labelled(path: Path) -> bool:
    """Tell whether there are energies: only folders may be without."""
    return not path.is_dir() or any(path.glob("set.*/energy.npy")) or (path / "energy.raw").is_file()


def _atoms(data: dict[str, Any], k: int) -> ase.Atoms:
    symbols = np.array(data["atom_names"])[data["atom_types"]]
    open_axes = bool(data.get("nopbc", False))
    atoms = ase.Atoms(
        symbols.tolist(),
        positions=np.asarray(data["coords"][k], dtype=np.float64),
        cell=None if open_axes else data["cells"][k],
        pbc=not open_axes,
    )
    if "energies" in data:
        atoms.info["energy"] = float(data["energies"][k])
    if "forces" in data:
        atoms.set_array("forces", np.asarray(data["forces"][k], dtype=np.float64))
    if _CENTROIDS in data:
        atoms.set_array(_CENTROIDS, data[_CENTROIDS][k])
    if "virials" in data:
        atoms.info["virial"] = np.asarray(data["virials"][k], dtype=np.float64).reshape(9)
    return atoms


def _centroids(folder: Path, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """The displacements ``(frames, atoms, 3)`` that dpdata leaves out, under their name; nothing where there are none.

    Files have rows of all atoms, or of the elements with a centroid alone, in the order of the atoms.
    """
    files = [part / f"{_CENTROIDS}.npy" for part in sorted(folder.glob("set.*"))] if kind.endswith("deepmd/npy") else []
    if not files or not all(file.is_file() for file in files):
        return {}
    frames, types = len(data["coords"]), np.asarray(data["atom_types"])
    try:
        rows = np.concatenate([np.load(file) for file in files]).reshape(frames, -1, 3)
    except ValueError as failure:
        raise InputError(f"cannot read {files[0]}: {failure}") from failure
    found = np.zeros((frames, len(types), 3))
    found[:, np.isin(types, _types_of(rows.shape[1], types, files[0]))] = rows
    return {_CENTROIDS: found}


def _types_of(count: int, types: Any, file: Path) -> list[int]:
    """The types that ``count`` rows a frame are of, where their numbers of atoms leave no choice."""
    present = np.unique(types).tolist()
    some = [list(chosen) for size in range(1, len(present) + 1) for chosen in combinations(present, size)]
    fitting = [chosen for chosen in some if np.isin(types, chosen).sum() == count]
    if len(fitting) != 1:
        raise InputError(
            f"{file} has {count} rows a frame, and {'several' if fitting else 'no'} elements with so many atoms: write "
            "a row for every atom, zeros for those without a centroid"
        )
    return fitting[0]
