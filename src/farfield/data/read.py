"""From files to frames and splits; every mistake is said here, before the first epoch."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import ase
import numpy as np
import torch

from farfield import conditions
from farfield.data.config import ANNOTATIONS, CONDITIONS, DataConfig, Target, as_paths
from farfield.data.conversion import condition_factor
from farfield.data.files import load_structures
from farfield.data.frame import Frame
from farfield.data.keys import PER_ATOM, as_numbers, find_value, keys_for
from farfield.data.labels import LabelReader, read_fragments
from farfield.errors import InputError
from farfield.geometry.neighbors import find_neighbors
from farfield.notices import Notice, OnNotice, unheard
from farfield.system import System

_SEARCH = 2.0
"""Å; reach of the search for atoms on top of each other. A shorter one finds the same and takes longer."""


@dataclass(frozen=True)
class Splits:
    """Frames to learn from, to choose by, and to look at in the end."""

    train: list[Frame]
    valid: list[Frame]
    test: list[Frame]
    notices: tuple[Notice, ...] = ()  # what a person should know of how they were read and split

    def named(self) -> dict[str, list[Frame]]:
        """By name: train, valid, test."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    def described(self) -> dict[str, list[str]]:
        """By name, where each frame came from: for writing down."""
        return {name: [frame.source for frame in frames] for name, frames in self.named().items()}


def load_splits(config: DataConfig) -> Splits:
    """Read everything the configuration names; what has no file of its own is split off ``train`` with the seed.

    Raises:
        InputError: as ``read_frames``; or too few frames to split.
    """
    notices: list[Notice] = []
    pool = read_frames(config.train_paths, config, on_notice=notices.append)
    given = {
        name: read_frames(paths, config, on_notice=notices.append)
        for name, paths in (("valid", as_paths(config.valid)), ("test", as_paths(config.test)))
        if paths
    }
    valid = 0 if "valid" in given else max(1, round(config.valid_fraction * len(pool)))
    test = 0 if "test" in given else round(config.test_fraction * len(pool))
    if len(pool) - valid - test < 1:
        raise InputError(
            f"{len(pool)} frames in {', '.join(map(str, config.train_paths))} are too few to set "
            f"{valid} aside for validation and {test} for the test: give more, or files for valid: and test:"
        )
    order = np.random.default_rng(config.seed).permutation(len(pool))
    cut = [sorted(part) for part in np.split(order, [valid, valid + test])]
    chosen, looked_at, learned = ([pool[k] for k in part] for part in cut)
    return Splits(learned, given.get("valid", chosen), given.get("test", looked_at), tuple(dict.fromkeys(notices)))


def read_frames(
    path: Path | str | Sequence[Path | str],
    config: DataConfig,
    *,
    dtype: torch.dtype = torch.float64,
    on_notice: OnNotice = unheard,
) -> list[Frame]:
    """Read the frames of a file, or of several one after the other, with the labels that ``config`` asks for.

    ``on_notice`` hears what stops nobody but should be known: labels left out, conditions under other names, ….

    Raises:
        InputError: naming file and frame (counted from 0): no such file, cut short, malformed; a key that is not there,
            or only in some frames; labels or positions that are not finite or have another shape; a missing or flat
            cell; two atoms on top of each other.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    _check_request(paths, config)
    files = {str(p): load_structures(p, skip_unreadable=config.skip_unreadable, on_notice=on_notice) for p in paths}
    for target, key in config.keys.items():
        _check_target(files, target, key, optional=target in config.allow_missing)
    for name, usual in (CONDITIONS | ANNOTATIONS).items():
        _check_info_key(files, name, getattr(config, name), required=getattr(config, name) != usual)
    reader = LabelReader(config, dtype)
    return [
        _frame(atoms, f"{file} frame {k}", reader) for file, frames in files.items() for k, atoms in enumerate(frames)
    ]


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
    bare.info["spin"] = _number(atoms, config.spin, source) or 0.0
    for name in conditions.CONDITIONS:
        if (raw := atoms.info.get(getattr(config, name))) is not None:
            value = as_numbers(raw)  # what is no number is complained of below
            factor = condition_factor(name, config.energy_unit, config.field_unit)
            bare.info[name] = raw if value is None else value * factor
    if "fragment" in atoms.arrays and "fragment_charges" in atoms.info:
        bare.set_array("fragment", atoms.arrays["fragment"])
        bare.info["fragment_charges"] = atoms.info["fragment_charges"]
    try:
        system = System.from_ase(bare, reader.dtype)
        find_neighbors(system, _SEARCH)  # complains of atoms on top of each other
    except InputError as wrong:
        raise InputError(f"{source}: {wrong}") from wrong
    return system


def _number(atoms: ase.Atoms, key: str, source: str) -> float | None:
    """One finite number of ``info``, or None if it is not there."""
    if (raw := atoms.info.get(key)) is None:
        return None
    value = as_numbers(raw)
    if value is None or value.size != 1 or not np.isfinite(value).all():
        raise InputError(f"{source}: info {key!r} should be one finite number, it is {str(raw)[:40]!r}")
    return float(value.reshape(()))


def _check_request(paths: Sequence[Path | str], config: DataConfig) -> None:
    """What is wrong with the configuration whatever the files hold."""
    if not paths or len(set(map(str, paths))) < len(paths):
        raise InputError(f"expected a list of different files, got [{', '.join(map(str, paths))}]")
    if not config.keys:
        raise InputError("no target is asked for: give at least the key of the energy")
    if config.stress is not None and "virial" in config.stress.lower():
        raise InputError(
            f'stress = "{config.stress}" looks like a virial, which is -volume × stress: '
            "write stress = -virial / volume into the file, under another key"
        )
    if unknown := [name for name in config.allow_missing if name not in config.keys]:
        raise InputError(f"allow_missing names {', '.join(unknown)}, for which no key is given")


def _check_target(files: dict[str, list[ase.Atoms]], target: Target, key: str, *, optional: bool) -> None:
    """The key is in every frame of every file; or, where some may lack it, in one at least."""
    has = {file: [find_value(a, target, key) is not None for a in frames] for file, frames in files.items()}
    nowhere = not any(any(flags) for flags in has.values())
    for file, flags in has.items():
        if nowhere or not (optional or any(flags)):
            raise InputError(_no_such_key(file, files[file], target, key))
        if not optional and not all(flags):
            raise InputError(
                f"{file}: {target} = {key!r} is in {sum(flags)} of {len(flags)} frames ({_lacking(flags)}). "
                f"Remove those, or let the training skip them: allow_missing: [{target}]"
            )


def _check_info_key(files: dict[str, list[ase.Atoms]], name: str, key: str, *, required: bool) -> None:
    """A key of another name than the usual must be there; a condition that only some frames state is refused."""
    for file, frames in files.items():
        flags = [key in atoms.info for atoms in frames]
        if required and not any(flags):
            present = sorted({k for atoms in frames for k in atoms.info})
            raise InputError(
                f"{file} has no info {key!r} for {name} ({_listed(present)}).{_nearest(name, key, present)}"
            )
        if name in CONDITIONS and any(flags) and not all(flags):
            raise InputError(
                f"{file}: {name} = {key!r} is in {sum(flags)} of {len(flags)} frames ({_lacking(flags)}): "
                f"{_absent(name, key)}"
            )


def _absent(name: str, key: str) -> str:
    """How to say that a frame is under no such condition, as far as that can be said."""
    if name in ("displacement_field", "electrode_potentials", "fermi_level"):
        return "put the others into a file of their own"
    zero = '"0 0 0"' if name == "external_field" else "0"
    return f"write {key}={zero} in the others if that is meant"


def _no_such_key(file: str, frames: list[ase.Atoms], target: Target, key: str) -> str:
    kind = "array" if target in PER_ATOM else "info"
    present = sorted({name for atoms in frames for name in keys_for(atoms, target)})
    without = f" To do without: {target}: null."
    return f'{file} has no {kind} "{key}" ({_listed(present)}).{_nearest(target, key, present)}{without}'


def _nearest(name: str, key: str, present: list[str]) -> str:
    folded = {k.lower(): k for k in present}
    near = difflib.get_close_matches(key.lower(), folded, 1, 0.5) or [k for k in folded if name in k]
    if not near and len(present) == 1:
        near = [present[0].lower()]
    return f' Did you mean {name} = "{folded[near[0]]}"?' if near else ""


def _listed(present: list[str]) -> str:
    return f"it has: {', '.join(present)}" if present else "it has none of that kind"


def _lacking(flags: list[bool]) -> str:
    lacking = [str(k) for k, found in enumerate(flags) if not found]
    more = ", …" if len(lacking) > 5 else ""
    return f"not in frame{'s' * (len(lacking) > 1)} {', '.join(lacking[:5])}{more}"
