"""From a path to structures, with everything the file says and nothing lost on the way."""

from collections.abc import Callable, Iterator
from pathlib import Path

import ase

from farfield.data.conversion import EnergyUnit, LengthUnit
from farfield.data.formats import database, dpdata, extxyz, lammps, npz
from farfield.data.formats.kinds import DATABASES, kind_of
from farfield.data.formats.other import read_by_ase
from farfield.data.formats.remarks import Remarks
from farfield.data.formats.text import lines_of
from farfield.data.paths import existing
from farfield.errors import InputError
from farfield.notices import OnNotice, unheard

OnProgress = Callable[[int, int], None]
"""Hears how much of how much is read."""


def load_structures(
    path: Path | str, *, skip_unreadable: bool = False, on_notice: OnNotice = unheard
) -> list[ase.Atoms]:
    """Read every frame of a file, or of a folder of DeePMD's: all that ``iter_structures`` gives.

    Raises:
        InputError: as ``iter_structures``.
    """
    return list(iter_structures(path, skip_unreadable=skip_unreadable, on_notice=on_notice))


def iter_structures(
    path: Path | str,
    *,
    skip_unreadable: bool = False,
    on_notice: OnNotice = unheard,
    on_progress: OnProgress = lambda done, total: None,  # noqa: ARG005
) -> Iterator[ase.Atoms]:
    """Read frame after frame: extxyz, an ASE database, MD17-style npz, what ASE or dpdata reads, or ``embedded:NAME``.

    Memory holds one frame of extxyz at a time. ``skip_unreadable`` leaves out frames that cannot be read, and says how
    many; ``on_notice`` hears, after the last frame, what was read in another way than it is written.

    Raises:
        InputError: no such file, an empty one, or one that is cut short or malformed (naming frame and line).
    """
    path = existing(path)
    remarks, count = Remarks(skip_unreadable), 0
    for atoms in _frames(path, kind_of(path), remarks, on_progress):
        count += 1
        yield atoms
    remarks.tell(path, count, on_notice)
    if not count:
        why = f": {remarks.first_reason}" if remarks.first_reason else ""
        raise InputError(f"{path} holds no structures{why}")


def leaves_units_open(path: Path | str) -> bool:
    """Tell whether neither the format nor the file says in what its energies are: npz without ``e_unit``.

    Raises:
        InputError: no such file, or an archive that states units nobody knows.
    """
    return _is_archive(path) and npz.units_of(existing(path)).energy is None


def refuse_other_units(path: Path | str, energy: EnergyUnit | None, length: LengthUnit, option: str) -> None:
    """Complain of units given for a file that states its own, and was turned into eV and Å for that.

    Args:
        path: the file.
        energy: the unit given; None where nobody did.
        length: likewise; angstrom is as good as none.
        option: what a person writes to give one, ``"{}_unit"``.

    Raises:
        InputError: naming both, and what to leave away.
    """
    if not _is_archive(path) or (energy in (None, "eV") and length == "angstrom"):
        return
    stated = npz.units_of(existing(path))
    for name, given, says, ours in (
        ("energy", energy, stated.energy, "eV"), ("length", length, stated.length, "angstrom"),
    ):  # fmt: skip
        if says is not None and given not in (None, ours):
            raise InputError(
                f"{path} says that its unit of {name} is {says}, and is turned into {ours} on reading: leave "
                f"{option.format(name)} ({given}) away"
            )


def _is_archive(path: Path | str) -> bool:
    return Path(path).suffix.lower() == ".npz"


def _frames(path: Path, kind: str, remarks: Remarks, on_progress: OnProgress) -> Iterator[ase.Atoms]:
    if kind == "extxyz":
        yield from _extxyz(path, remarks, on_progress)
    elif kind in DATABASES:
        yield from database.rows(path, remarks)
    elif kind == "npz":
        yield from npz.frames(path, remarks)
    elif kind == lammps.KIND:
        yield from lammps.read_dump(path, remarks)
    elif kind.startswith(dpdata.PREFIX):
        yield from dpdata.frames(path, kind, remarks)
    else:
        yield from _by_ase_or_dpdata(path, kind, remarks)


def _extxyz(path: Path, remarks: Remarks, on_progress: OnProgress) -> Iterator[ase.Atoms]:
    size, told = path.stat().st_size, 0
    with lines_of(path) as lines:
        for atoms in extxyz.frames(lines, remarks):
            if lines.latin1:
                remarks.add("note", "what is no UTF-8 is read as Latin-1")
                lines.latin1 = False  # said of this frame
            if (read := lines.bytes_read()) > told:  # not at every frame: files are read by the kilobyte
                on_progress(read, size)
                told = read
            yield atoms


def _by_ase_or_dpdata(path: Path, kind: str, remarks: Remarks) -> Iterator[ase.Atoms]:
    """Read by ASE; what it gives up on, dpdata may know better."""
    try:
        yield from read_by_ase(path, kind)
    except InputError as failure:
        if (other := dpdata.format_of(path)) is None:
            raise
        try:
            yield from dpdata.frames(path, other, remarks)
        except InputError as again:
            raise InputError(f"{failure}; {again}") from again
