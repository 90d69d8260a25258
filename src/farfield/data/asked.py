"""Whether the files hold what the configuration asks of them; if not, what they hold and what to type."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import ase

from farfield.data.config import ANNOTATIONS, CONDITIONS, DataConfig, Target
from farfield.data.keys import find_value, keys_for
from farfield.errors import InputError
from farfield.quantities import PER_ATOM

Files = Mapping[str, list[ase.Atoms]]
"""Path → what has been read of it."""


def check_request(paths: Sequence[Path | str], config: DataConfig) -> None:
    """What is wrong with the configuration whatever the files hold."""
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
    for target, keys in config.targets.items():
        _check_target(files, target, keys, optional=target in config.allow_missing)
    for name, usual in (CONDITIONS | ANNOTATIONS).items():
        _check_info_key(files, name, getattr(config, name), required=getattr(config, name) != usual)


def _check_target(
    files: Mapping[str, list[ase.Atoms]], target: Target, keys: dict[str, str], *, optional: bool
) -> None:
    """Every key is somewhere; one of them in every frame of every file, unless some may lack it."""
    first = next(iter(files))
    for name, key in keys.items():
        if not any(_has(atoms, target, [key]) for frames in files.values() for atoms in frames):
            raise InputError(_no_such_key(first, files[first], target, (name, key)))
    for file, frames in files.items():
        flags = [_has(atoms, target, keys.values()) for atoms in frames]
        if optional or all(flags):
            continue
        if not any(flags):
            raise InputError(_no_such_key(file, frames, target, next(iter(keys.items()))))
        named = " or ".join(f"{name} = {key!r}" for name, key in keys.items())
        raise InputError(
            f"{file}: {named} is in {sum(flags)} of {len(flags)} frames ({_lacking(flags)}). "
            f"Remove those, or let the training skip them: allow_missing: [{target}]"
        )


def _has(atoms: ase.Atoms, target: Target, keys: Iterable[str]) -> bool:
    return any(find_value(atoms, target, key) is not None for key in keys)


def _check_info_key(files: Files, name: str, key: str, *, required: bool) -> None:
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


def _no_such_key(file: str, frames: list[ase.Atoms], target: Target, asked: tuple[str, str]) -> str:
    name, key = asked
    kind = "array" if target in PER_ATOM else "info"
    present = sorted({found for atoms in frames for found in keys_for(atoms, target)})
    without = f" To do without: {name}: null."
    return f'{file} has no {kind} "{key}" ({_listed(present)}).{_nearest(name, key, present)}{without}'


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
