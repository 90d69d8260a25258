"""Runs that ``farfield compare`` makes of one configuration."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from farfield.backbone.config import PRESETS, BackboneConfig, expanded
from farfield.config import Contender, ModelConfig, contender, to_plain, validated
from farfield.errors import InputError
from farfield.paradigms.registry import PARADIGMS, config_of
from farfield.train.config import RunConfig
from farfield.train.series import SERIES


def runs_of(config: RunConfig, kinds: Sequence[str] = ()) -> dict[str, RunConfig]:
    """One configuration per run, by name: the kinds named, or those under ``compare:``, or all there are.

    A kind named that stands nowhere takes the keys of ``model.paradigm`` that it has too, so that charges conserved by
    bonds are compared with charges conserved by bonds. Several entries of one kind are called by what sets them apart:
    latent-shift, latent-bond, short_range-cutoff_9. The name of a series stands for its entries.

    Raises:
        InputError: a name that is no paradigm, the same paradigm twice, or keys that the backbone does not have.
    """
    entries = [entry for kind in kinds for entry in _named(kind, config)] if kinds else list(config.compare)
    entries = entries or [Contender(paradigm=_default(kind)) for kind in PARADIGMS]
    names = [_name(entry, entries) for entry in entries]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"compare: holds {', '.join(twice)} twice, with the same keys")
    return {name: replace(config, model=_model(entry, config), compare=()) for name, entry in zip(names, entries)}


def _named(kind: str, config: RunConfig) -> list[Contender]:
    """Read what a word of the command line stands for."""
    if kind in SERIES:
        return [contender(entry) for entry in SERIES[kind]]
    if kind not in PARADIGMS:
        raise InputError(f"there is no paradigm {kind}; known: {', '.join(PARADIGMS)}; series: {', '.join(SERIES)}")
    written = [entry for entry in reversed(config.compare) if entry.paradigm.kind == kind]
    first = config.model.paradigm
    return written[:1] or [Contender(paradigm=first if first.kind == kind else _alike(first, kind))]


def _model(entry: Contender, config: RunConfig) -> ModelConfig:
    if not entry.backbone:
        return replace(config.model, paradigm=entry.paradigm)
    keys = to_plain(config.model.backbone)
    if "preset" in entry.backbone:
        sizes = {key for preset in PRESETS.values() for key in preset}
        keys = {key: value for key, value in keys.items() if key not in sizes}  # another size, not a mixture of two
    keys |= expanded(entry.backbone)
    backbone = validated(BackboneConfig, keys, f"compare ({entry.paradigm.kind}).backbone")
    return replace(config.model, paradigm=entry.paradigm, backbone=backbone)


def _default(kind: str) -> Any:
    """A paradigm with nothing said; an installed package's may want to be told something."""
    return validated(config_of(kind), {}, f"compare ({kind})")


def _alike(room: Any, kind: str) -> Any:
    """A configuration of another kind with the keys that were set in this one and mean the same there."""
    other = _default(kind)
    mine, plain = {f.name: f for f in fields(room)}, type(room)()
    shared = [f.name for f in fields(other) if f.name in mine and f.type == mine[f.name].type and f.name != "kind"]
    return replace(other, **{n: getattr(room, n) for n in shared if getattr(room, n) != getattr(plain, n)})


def _name(entry: Contender, entries: Sequence[Contender]) -> str:
    """The kind, and the keys in which it differs from the others of its kind; tables only if they must."""
    room, backbone = entry.paradigm, [f"{key}_{_short(value)}" for key, value in entry.backbone.items()]
    alike = [other.paradigm for other in entries if other.paradigm.kind == room.kind]
    differing = [f.name for f in fields(room) if any(getattr(room, f.name) != getattr(o, f.name) for o in alike)]
    plain = [key for key in differing if not any(isinstance(getattr(o, key), dict) for o in alike)]
    enough = len({tuple(getattr(o, key) for key in plain) for o in alike}) == len(alike)
    return "-".join([room.kind, *(str(getattr(room, key)) for key in (plain if enough else differing)), *backbone])


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
