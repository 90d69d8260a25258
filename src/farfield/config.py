"""Configuration: frozen dataclasses checked by pydantic, one line per mistake out."""

import difflib
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from farfield.backbone.config import PRESETS, BackboneConfig, expanded
from farfield.errors import InputError
from farfield.paradigms.registry import PARADIGMS, config_of


def _of_its_kind(plain: Any) -> Any:
    """A paradigm's keys as the configuration that belongs to their ``kind``."""
    kind = plain.get("kind") if isinstance(plain, dict) else getattr(plain, "kind", None)
    if kind is None:
        raise _complaint("no_kind", f"needs kind, one of {', '.join(PARADIGMS)}")
    try:
        cls = config_of(str(kind))
    except KeyError:
        near = difflib.get_close_matches(str(kind), list(PARADIGMS), 1, 0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise _complaint("strange_kind", f"there is no paradigm {kind!r} ({', '.join(PARADIGMS)}){hint}") from None
    except InputError as broken:
        raise _complaint("strange_kind", str(broken)) from broken
    return TypeAdapter(cls).validate_python(plain)


def _complaint(name: Literal["no_kind", "strange_kind"], words: str) -> PydanticCustomError:
    return PydanticCustomError(name, "{words}", {"words": words})


ParadigmConfig = Annotated[Any, PlainValidator(_of_its_kind)]
"""The configuration of any paradigm, ours or an installed package's, of which only that one is imported."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class ModelConfig:
    """Configuration of a model: its paradigm and its backbone."""

    paradigm: ParadigmConfig
    """How the long range is treated; ``kind`` is the word, the rest are that room's own keys."""
    backbone: Annotated[BackboneConfig, BeforeValidator(expanded)] = BackboneConfig()
    """The short-range network: its keys, or the name of a preset (fast, default, large), or ``preset`` and keys."""


def _differing(backbone: Any) -> Any:
    """A preset by its name alone as a key, so that it is told from the keys it stands for."""
    expanded(backbone)
    return {"preset": backbone} if isinstance(backbone, str) else backbone


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class Contender:
    """A paradigm to compare with others, and what its backbone has of its own."""

    paradigm: ParadigmConfig
    """As under ``model:``."""
    backbone: Annotated[dict[str, Any], BeforeValidator(_differing)] = Field(default_factory=dict)
    """Keys in which its backbone differs from that of ``model:``, or the name of a preset, its size."""


def contender(plain: Any) -> Any:
    """A paradigm by its keys, or a section such as ``model:`` is."""
    if isinstance(plain, dict) and "paradigm" in plain:
        return TypeAdapter(Contender).validate_python(plain)
    return plain if isinstance(plain, Contender) else Contender(paradigm=_of_its_kind(plain))


ContenderConfig = Annotated[Any, PlainValidator(contender)]
"""A paradigm's keys, or ``paradigm`` and ``backbone`` as under ``model:``."""

T = TypeVar("T")


def validated(cls: type[T], plain: Any, where: str) -> T:
    """``plain`` (nested dicts) as a ``cls``.

    Raises:
        InputError: one line for every unknown key (with the nearest known one) and every bad value.
    """
    try:
        return TypeAdapter(cls).validate_python(plain)
    except ValidationError as wrong:
        raise InputError("\n".join(_in_words(cls, plain, error, where) for error in wrong.errors())) from wrong


def to_plain(config: Any) -> dict[str, Any]:
    """A configuration as nested dicts of plain types, ready for YAML."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [plain(entry) for entry in value]
        return str(value) if isinstance(value, Path) else value

    out: dict[str, Any] = plain(asdict(config))
    return out


def reference(cls: Any, prefix: str = "") -> list[tuple[str, str, str]]:
    """Every key of a configuration class: (dotted name, default, help), for ``--help`` and the manual."""
    rows = []
    for name, field in cls.__pydantic_fields__.items():
        inner = field.annotation
        if isinstance(inner, type) and is_dataclass(inner):
            if inner is BackboneConfig:
                sizes = f"A size with a name, keys beside it change it. ({' | '.join(PRESETS)})"
                rows.append((f"{prefix}{name}.preset", "default", sizes))
            rows += reference(inner, f"{prefix}{name}.")
        elif name == "paradigm":
            for kind in PARADIGMS:
                keys = reference(config_of(kind), f"{prefix}paradigm.")
                rows += [(f"{key} ({kind})", default, text) for key, default, text in keys]
        else:
            default = "required" if field.is_required() else str(field.get_default(call_default_factory=True))
            choices = " | ".join(map(str, get_args(inner))) if get_origin(inner) is Literal else ""
            text = " ".join((field.description or _inherited(cls, name)).split())
            rows.append((prefix + name, default, f"{text} ({choices})" if choices else text))
    return rows


def _inherited(cls: Any, name: str) -> str:
    """Help of a key that a base class documents: pydantic reads the docstrings of the class itself only."""
    described = [getattr(base, "__pydantic_fields__", {}).get(name) for base in cls.__mro__[1:]]
    return next((field.description for field in described if field is not None and field.description), "")


def _in_words(cls: type[Any], plain: Any, error: Any, where: str) -> str:
    *section, key = error["loc"] or ("",)
    name = ".".join(map(str, [*filter(None, [where]), *error["loc"]]))
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = _keys_in(cls, plain, section)
        near = difflib.get_close_matches(str(key), known, 1, 0.5)
        if key == "backbone" and error["loc"][0] == "compare":
            return f"{name}: an entry with a backbone of its own is written {_CONTENDER}"
        elsewhere = "" if section[-1:] != ["paradigm"] else _kinds_with(str(key))
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}{elsewhere}"
        return f"{name}: unknown key; {hint}"
    if error["type"] == "no_kind":
        written = f"an entry is written {_CONTENDER}" if error["loc"][0] == "compare" else f"write model: {_MODEL}"
        return f"{name}: {error['msg']}; {written}"
    if error["type"] == "strange_kind":
        return f"{name}.kind: {error['msg']}"
    if error["type"] == "missing":
        return f"{name}: missing, and it has no default{_to_type(name)}"
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return f"{name}: {message}, got {error['input']!r}"


def _kinds_with(key: str) -> str:
    kinds = [kind for kind in PARADIGMS if key in config_of(kind).__pydantic_fields__]
    return f"; kind: {' or '.join(kinds)} knows it" if kinds else ""


_MODEL = "{paradigm: {kind: latent}}"
_CONTENDER = "{kind: latent}, or {paradigm: {kind: latent}, backbone: {cutoff: 6}}"


def _to_type(name: str) -> str:
    """Say what to write for a key that has to be there."""
    if name in ("model", "model.paradigm"):
        return f"; write model: {_MODEL}, of kind {', '.join(PARADIGMS)}"
    return "; write data: {train: FILE}" if name in ("data", "data.train") else ""


def _keys_in(cls: type[Any], plain: Any, section: Sequence[str | int]) -> list[str]:
    """Keys that a section of a configuration may have: those of the paradigm that it names, where it is one."""
    for step in section:
        plain = plain[step]
        if isinstance(plain, dict) and "kind" in plain:
            cls = config_of(plain["kind"])
        elif isinstance(step, int):
            cls = Contender
        elif not isinstance(plain, list | tuple):
            cls = cls.__pydantic_fields__[step].annotation
    return [field.name for field in fields(cls)]
