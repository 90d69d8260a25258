"""Every paradigm by the word users type: a folder of this one each, or an installed package's.

A package registers its class by an entry point of the group ``farfield.paradigms``; CONTRIBUTING.md shows how.
"""

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from farfield.extensions import Registry

if TYPE_CHECKING:
    from farfield.paradigms.contract import Paradigm

_CLASSES = {
    "short_range": "ShortRange",
    "charges": "Charges",
    "multipoles": "Multipoles",
    "polarization": "Polarization",
    "latent": "Latent",
    "qeq": "QEq",
    "polarizable": "Polarizable",
    "scf": "Scf",
    "wannier": "Wannier",
    "lode": "Lode",
    "ewald_mp": "EwaldMP",
    "attention": "Attention",
}
"""Folder → class in its ``model.py``, which ``…Config`` in its ``config.py`` configures."""


def config_of(kind: str) -> type[Any]:
    """Find the class that configures a paradigm; of ours without importing the model, and torch with it.

    Raises:
        KeyError: no paradigm of this name.
        InputError: an installed package registers it, and it cannot be used.
    """
    if kind in _CLASSES:
        found: type[Any] = resolve_name(f"farfield.paradigms.{kind}.config:{_CLASSES[kind]}Config")
        return found
    return PARADIGMS[kind].Config


def _checked(name: str, paradigm: Any) -> "type[Paradigm]":
    from farfield.paradigms.contract import Paradigm

    if not (isinstance(paradigm, type) and issubclass(paradigm, Paradigm)):
        raise TypeError(f"{paradigm!r} is no subclass of farfield.paradigms.contract.Paradigm")
    keys = getattr(getattr(paradigm, "Config", None), "__pydantic_fields__", None)
    if keys is None:
        raise TypeError(f"{paradigm.__name__}.Config is no pydantic dataclass")
    if "kind" not in keys or keys["kind"].default != name:
        raise ValueError(f'{paradigm.__name__}.Config needs kind: Literal["{name}"] = "{name}"')
    return paradigm


PARADIGMS: "Registry[type[Paradigm]]" = Registry(
    "paradigm",
    "farfield.paradigms",
    {name: f"farfield.paradigms.{name}.model:{found}" for name, found in _CLASSES.items()},
    _checked,
)
