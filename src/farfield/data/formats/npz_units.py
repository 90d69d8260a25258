"""Units that an archive states beside its arrays, as sGDML's do: ``e_unit``, ``r_unit``, ``units``."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from farfield.data.conversion import ENERGY, LENGTH, EnergyUnit, LengthUnit
from farfield.errors import InputError

_ENERGY_WORDS: dict[str, EnergyUnit] = {
    "ev": "eV", "electronvolt": "eV", "electronvolts": "eV", "mev": "meV", "hartree": "hartree", "hartrees": "hartree",
    "ha": "hartree", "eh": "hartree", "au": "hartree", "atomicunits": "hartree", "ry": "rydberg", "rydberg": "rydberg",
    "rydbergs": "rydberg", "kcal": "kcal/mol", "kcalmol": "kcal/mol", "kcalmole": "kcal/mol", "kj": "kJ/mol",
    "kjmol": "kJ/mol", "kjmole": "kJ/mol",
}  # fmt: skip
_LENGTH_WORDS: dict[str, LengthUnit] = {
    "a": "angstrom", "å": "angstrom", "ang": "angstrom", "angs": "angstrom", "angstrom": "angstrom",
    "angstroms": "angstrom", "ångström": "angstrom", "ångstrom": "angstrom", "bohr": "bohr", "bohrs": "bohr",
    "bohrradius": "bohr", "au": "bohr", "atomicunits": "bohr", "nm": "nm", "nanometer": "nm", "nanometre": "nm",
    "nanometers": "nm", "nanometres": "nm",
}  # fmt: skip
_FORCE_WORDS = {
    e + r: (ENERGY[_ENERGY_WORDS[e]], LENGTH[_LENGTH_WORDS[r]]) for e in _ENERGY_WORDS for r in _LENGTH_WORDS
}
_FORCE_WORDS |= {word: (ENERGY["hartree"], LENGTH["bohr"]) for word in ("au", "atomicunits")}
_OF = {
    "energy": {"e", "energy", "energies"},
    "length": {"r", "length", "lengths", "distance", "distances", "position", "positions", "coord", "coords",
               "coordinate", "coordinates", "xyz"},
    "forces": {"f", "force", "forces"},
}  # fmt: skip
"""What the other words of a key may be, ``r`` of ``r_unit``, for each quantity."""
_LABELS = re.compile(
    rf"\b(?:{'|'.join(word for words in _OF.values() for word in words if len(word) > 1)}|in|units?)\b"
)


@dataclass(frozen=True)
class Units:
    """Units that a file states; None where it is silent."""

    energy: EnergyUnit | None = None
    length: LengthUnit | None = None
    forces: float | None = None  # eV/Å

    @property
    def factors(self) -> dict[str | None, float]:
        """List the factors that make values eV, eV/Å and Å; 1 for what nothing is said of."""
        energy, length = ENERGY[self.energy or "eV"], LENGTH[self.length or "angstrom"]
        return {"eV": energy, "Å": length, "eV/Å": energy / length if self.forces is None else self.forces, None: 1.0}


def is_unit_key(key: str) -> bool:
    """Tell whether an array of that name says a unit of energies, lengths or forces."""
    return bool(_quantities(key))


def stated_units(arrays: Mapping[str, Any]) -> Units:
    """The units that ``e_unit`` and its kin state.

    Raises:
        InputError: words that no unit is known by; two different units of one quantity; the unit of forces alone.
    """
    found: dict[str, Any] = {}
    for key, quantities in ((key, _quantities(key)) for key in arrays if is_unit_key(key)):
        for piece in _pieces(arrays[key], whole=len(quantities) == 1):
            for quantity, unit in _meant(key, piece, quantities).items():
                if found.setdefault(quantity, unit) != unit:
                    raise InputError(f"two units of {quantity} are stated: {found[quantity]} and {unit} ({key})")
    units = Units(**found)
    if units.forces is not None and units.energy is None:
        raise InputError("the unit of forces is stated, that of energies is not: add e_unit to the archive")
    return units


def _quantities(key: str) -> list[str]:
    words = re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower())
    if not {"unit", "units"} & set(words):
        return []
    others = set(words) - {"unit", "units", ""}
    return [quantity for quantity, names in _OF.items() if not others or others <= names]


def _pieces(value: Any, *, whole: bool) -> Iterator[str]:
    """The statements of ``units``, which may have several: in an array, between commas, after names."""
    for item in np.ravel(value).tolist():
        text = item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
        for piece in [text] if whole else re.split(r"[,;:={}\"'\n]|\band\b", text):
            if left := _LABELS.sub("", piece.lower()).strip():
                yield left


def _meant(key: str, piece: str, quantities: Collection[str]) -> dict[str, Any]:
    """Quantity → unit, for all that the words can mean."""
    text = piece.replace("a0", "bohr").replace("a_0", "bohr").replace("⁻¹", "-1").replace("_", " ")
    word = re.sub(r"[^a-zåö]|\bper\b", "", text)
    tables: dict[str, dict[str, Any]] = {
        "energy": dict(_ENERGY_WORDS), "length": dict(_LENGTH_WORDS),
        "forces": {name: energy / length for name, (energy, length) in _FORCE_WORDS.items()},
    }  # fmt: skip
    meant = {quantity: tables[quantity][word] for quantity in quantities if word in tables[quantity]}
    if not meant or re.search("[02-9]", text):
        raise InputError(
            f"{key} is {piece!r}, which no unit is known by here: energies may be in {', '.join(ENERGY)}, "
            f"lengths in {', '.join(LENGTH)}, forces in one over the other"
        )
    return meant
