"""Runs that ``farfield compare`` makes of one configuration."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from farfield.config import validated
from farfield.errors import InputError
from farfield.paradigms.registry import PARADIGMS, config_of
from farfield.train.config import RunConfig


def runs_of(config: RunConfig, kinds: Sequence[str] = ()) -> dict[str, RunConfig]:
    """One configuration per run, by name: the kinds named, or those under ``compare:``, or all there are.

    A kind named that stands nowhere takes the keys of ``model.paradigm`` that it has too, so that charges conserved by
    bonds are compared with charges conserved by bonds. Several entries of one kind are called by what sets them apart:
    latent-shift, latent-bond.

    Raises:
        InputError: a name that is no paradigm, or the same paradigm twice.
    """
    if strange := [kind for kind in kinds if kind not in PARADIGMS]:
        raise InputError(f"there is no paradigm {', '.join(strange)}; known: {', '.join(PARADIGMS)}")
    written = list(config.compare)
    if kinds:
        known = [config.model.paradigm, *written]
        written = [next((r for r in reversed(known) if r.kind == k), None) or _alike(known[0], k) for k in kinds]
    rooms = written or [_default(kind) for kind in PARADIGMS]
    names = [_name(room, rooms) for room in rooms]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"compare: holds {', '.join(twice)} twice, with the same keys")
    return {
        name: replace(config, model=replace(config.model, paradigm=room), compare=())
        for name, room in zip(names, rooms)
    }


def _default(kind: str) -> Any:
    """A paradigm with nothing said; an installed package's may want to be told something."""
    return validated(config_of(kind), {}, f"compare ({kind})")


def _alike(room: Any, kind: str) -> Any:
    """A configuration of another kind with the keys that were set in this one and mean the same there."""
    other = _default(kind)
    mine, plain = {f.name: f for f in fields(room)}, type(room)()
    shared = [f.name for f in fields(other) if f.name in mine and f.type == mine[f.name].type and f.name != "kind"]
    return replace(other, **{n: getattr(room, n) for n in shared if getattr(room, n) != getattr(plain, n)})


def _name(room: Any, rooms: Sequence[Any]) -> str:
    """The kind, and the keys in which it differs from the others of its kind; tables only if they must."""
    alike = [other for other in rooms if other.kind == room.kind]
    differing = [f.name for f in fields(room) if any(getattr(room, f.name) != getattr(o, f.name) for o in alike)]
    plain = [key for key in differing if not any(isinstance(getattr(o, key), dict) for o in alike)]
    enough = len({tuple(getattr(o, key) for key in plain) for o in alike}) == len(alike)
    return "-".join([room.kind, *(str(getattr(room, key)) for key in (plain if enough else differing))])
