"""Keys that the configuration asks for: whether the files hold them; if not, what they hold and what to type."""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase

from farfield.data.config import ANNOTATIONS, CONDITIONS, DataConfig, Target
from farfield.data.keys import find_value, keys_for
from farfield.data.spellings import USUAL, preference, spells
from farfield.errors import InputError
from farfield.notices import Notice, OnNotice
from farfield.quantities import PER_ATOM

Files = Mapping[str, list[ase.Atoms]]
"""Path → what has been read of it."""


def check_request(paths: Sequence[Path | str], config: DataConfig) -> None:
    """Refuse a configuration that is wrong whatever the files hold."""
    if not paths or len(set(map(str, paths))) < len(paths):
        raise InputError(f"expected a list of different files, got [{', '.join(map(str, paths))}]")
    if not config.targets:
        raise InputError("no target is asked for: give at least the key of the energy")
    _check_virial(config)
    if unknown := [name for name in config.allow_missing if name not in config.targets]:
        raise InputError(f"allow_missing names {', '.join(unknown)}, for which no key is given")


def _check_virial(config: DataConfig) -> None:
    """A stress and a virial differ by minus a volume: neither is taken for the other because of where it stands."""
    if (key := config.stress) is not None and "virial" in key.lower() and "stress" not in key.lower():
        raise InputError(
            f'stress: "{key}" looks like a virial, which is -volume × stress: write virial: {key} if it is one'
        )
    if (key := config.virial) is not None and "stress" in key.lower() and "virial" not in key.lower():
        raise InputError(f'virial: "{key}" looks like a stress, which is -virial / volume: write stress: {key} if so')


def check_keys(files: Files, config: DataConfig) -> None:
    """Every key asked for is in the files; targets in all frames unless some may lack them, conditions in all or none.

    Raises:
        InputError: naming the file, the key, what is there instead, and what to type.
    """
    wrong = [
        *(said for t, keys in config.targets.items() for said in _target(files, t, keys, t in config.allow_missing)),
        *(
            said
            for name, usual in (CONDITIONS | ANNOTATIONS).items()
            for said in _info_key(files, name, getattr(config, name), required=getattr(config, name) != usual)
        ),
    ]
    if wrong:
        raise InputError("\n".join(wrong))


def without_absent(files: Files, config: DataConfig, dispensable: Collection[str], on_notice: OnNotice) -> DataConfig:
    """Configure anew without the ``dispensable`` fields whose keys no file has; ``on_notice`` hears of them."""
    keys = {(field, key): target for target, fields in config.targets.items() for field, key in fields.items()}
    changed: dict[str, Any] = {}
    for (field, key), target in keys.items():
        if field in dispensable and not _anywhere(files, target, key):
            changed[field] = None
    for field in set(ANNOTATIONS) & set(dispensable):
        if not any(getattr(config, field) in atoms.info for frames in files.values() for atoms in frames):
            changed[field] = ANNOTATIONS[field]
    for field, key in changed.items():
        if key is None:
            on_notice(Notice("note", f'{field} is not compared: {", ".join(files)} has no "{getattr(config, field)}"'))
    return replace(config, **changed) if changed else config


def _anywhere(files: Files, target: Target, key: str) -> bool:
    return any(_has(atoms, target, [key]) for frames in files.values() for atoms in frames)


def _target(files: Files, target: Target, keys: dict[str, str], optional: bool) -> Iterator[str]:
    """Complain unless every key is somewhere, and one of them in every frame that may not lack it."""
    first = next(iter(files))
    if absent := [(name, key) for name, key in keys.items() if not _anywhere(files, target, key)]:
        yield from (_no_such_key(first, files[first], target, each) for each in absent)
        return
    for file, frames in files.items():
        flags = [_has(atoms, target, keys.values()) for atoms in frames]
        if optional or all(flags):
            continue
        if not any(flags):
            yield _no_such_key(file, frames, target, next(iter(keys.items())))
            continue
        named = " or ".join(f"{name} = {key!r}" for name, key in keys.items())
        yield (
            f"{file}: {named} is in {sum(flags)} of {len(flags)} frames ({_lacking(flags)}). "
            f"Remove those, or let them be skipped: allow_missing: [{target}] (--data.allow_missing [{target}])"
        )


def _has(atoms: ase.Atoms, target: Target, keys: Iterable[str]) -> bool:
    return any(find_value(atoms, target, key) is not None for key in keys)


def _info_key(files: Files, name: str, key: str, *, required: bool) -> Iterator[str]:
    """Complain unless a key of another name than the usual is there, and a condition in all frames or none."""
    for file, frames in files.items():
        flags = [key in atoms.info for atoms in frames]
        if required and not any(flags):
            present = sorted({k for atoms in frames for k in atoms.info})
            yield f"{file} has no info {key!r} for {name} ({_listed(present)}).{_nearest(name, key, present)}"
        if name in CONDITIONS and any(flags) and not all(flags):
            yield (
                f"{file}: {name} = {key!r} is in {sum(flags)} of {len(flags)} frames ({_lacking(flags)}): "
                f"{_absent(name, key)}"
            )


def _absent(name: str, key: str) -> str:
    """Say how to write that a frame is under no such condition, as far as that can be said."""
    if name in ("displacement_field", "electrode_potentials", "fermi_level"):
        return "put the others into a file of their own"
    zero = '"0 0 0"' if name == "external_field" else "0"
    return f"write {key}={zero} in the others if that is meant"


def _no_such_key(file: str, frames: list[ase.Atoms], target: Target, asked: tuple[str, str]) -> str:
    name, key = asked
    kind = "array" if target in PER_ATOM else "info"
    present = sorted({found for atoms in frames for found in keys_for(atoms, target)})
    without = f" To do without: {name}: null (--data.{name} null)."
    return f'{file} has no {kind} "{key}" ({_listed(present)}).{_nearest(name, key, present)}{without}'


def _nearest(name: str, key: str, present: list[str]) -> str:
    """Suggest a key: one that is called so elsewhere, or else one of a like name that is not called something else."""
    usual = sorted((place, k) for k in present if (place := preference(k, name)) is not None)
    free = {k.lower(): k for k in present if not any(spells(k, other) for other in USUAL if other != name)}
    near = difflib.get_close_matches(key.lower(), free, 1, 0.5) or [k for k in free if name in k]
    if not near and len(free) == 1:
        near = list(free)
    found = usual[0][1] if usual else free[near[0]] if near else None
    return f" Did you mean {name}: {found} (--data.{name} {found})?" if found else ""


def _listed(present: list[str]) -> str:
    return f"it has: {', '.join(present)}" if present else "it has none of that kind"


def _lacking(flags: list[bool]) -> str:
    lacking = [str(k) for k, found in enumerate(flags) if not found]
    more = ", …" if len(lacking) > 5 else ""
    return f"not in frame{'s' * (len(lacking) > 1)} {', '.join(lacking[:5])}{more}"
