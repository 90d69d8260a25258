"""Every law by the word users type: a file of ``laws/`` each, or an installed package's.

A package registers its ``Law`` by an entry point of the group ``farfield.laws``; CONTRIBUTING.md shows how.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from farfield.errors import InputError
from farfield.extensions import Registry

if TYPE_CHECKING:
    from farfield.probe.law import Law

_FILES = (
    "force",
    "stress",
    "rotation",
    "reflection",
    "permutation",
    "translation",
    "wrapping",
    "batch",
    "total_charge",
    "supercell",
    "size_consistency",
    "smoothness",
    "cell_smoothness",
    "slab",
    "charge_charge",
    "charge_dipole",
    "dipole_dipole",
    "induced_dipole",
    "dissociation",
    "lo_to",
    "born_sum",
    "maxwell",
    "image_charge",
    "screening",
    "cost",
)
"""In the order of the scorecard."""


def chosen_laws(names: Sequence[str]) -> "list[Law]":
    """The laws of these names, or all.

    Raises:
        InputError: a law that there is not.
    """
    check_laws(names)
    return [LAWS[name] for name in names] or list(LAWS.values())


def check_laws(names: Sequence[str]) -> None:
    """Complain of names that are no law's, importing none of ours.

    Raises:
        InputError: a law that there is not.
    """
    if strange := [name for name in names if name not in LAWS]:
        raise InputError(f"there is no law {', '.join(strange)}; there are {', '.join(LAWS)}")


def _checked(name: str, law: Any) -> "Law":
    from farfield.probe.law import Law

    if not isinstance(law, Law):
        raise TypeError(f"{law!r} is no farfield.probe.Law")
    if law.name != name:
        raise ValueError(f"this law calls itself {law.name}: give it the name it is registered by")
    return law


LAWS: "Registry[Law]" = Registry(
    "law", "farfield.laws", {name: f"farfield.probe.laws.{name}:LAW" for name in _FILES}, _checked
)
