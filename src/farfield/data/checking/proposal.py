"""Proposal of a ``data:`` to learn from a file, and what every key of it is taken for."""

import re
from typing import Any

from farfield.data.checking.content import Content
from farfield.data.checking.draft import Draft
from farfield.data.checking.keys import KeyReport
from farfield.data.checking.labels.charges import propose_charges, propose_spin, propose_total_charge
from farfield.data.checking.labels.energy import propose_energy, propose_energy_unit, propose_forces
from farfield.data.checking.labels.moments import (
    propose_dipole,
    propose_displacement,
    propose_multipoles,
    propose_polarization,
    propose_potential,
)
from farfield.data.checking.labels.responses import propose_responses
from farfield.data.checking.labels.stress import propose_stress
from farfield.data.config import ANNOTATIONS, CONDITIONS, TARGETS, DataConfig
from farfield.data.files import leaves_units_open
from farfield.data.spellings import USUAL
from farfield.quantities import QUANTITIES

_OTHERS = {
    "initial_magmoms": "magnetic moments are not learned",
    "magmoms": "magnetic moments are not learned",
    "energies": "energies of atoms are not learned",
    "stresses": "stresses of atoms are not learned",
}
_FRAGMENTS = re.compile(r"fragment(_charges|_energies|_spins)?|(energy|charge|index)[A-Z]")
_LINES = ("train", *TARGETS, *(name for name in DataConfig.__dataclass_fields__ if name not in TARGETS))


def _take_external_charges(draft: Draft) -> None:
    """Say what external charges are for: they have one name, and no key of the configuration."""
    key = next((key for key in draft.content.keys if key.name == "external_charges"), None)
    if key is not None:
        draft.uses[key.place, key.name] = "external charges"
        draft.say(
            "note",
            f"external_charges in {key.frames} frames act on every model with charges: short_range, which has none, "
            "refuses such frames",
        )


def drafted(content: Content, *, skip_unreadable: bool) -> Draft:
    """Propose a configuration: targets first, the rest only where it differs from the default."""
    draft = Draft(content)
    draft.config["train"] = content.path
    _take_external_charges(draft)
    propose_total_charge(draft)
    propose_spin(draft)
    _propose_fields(draft)
    propose_forces(draft)
    propose_energy(draft)
    propose_energy_unit(draft, left_open=leaves_units_open(content.path))
    propose_dipole(draft)
    propose_displacement(draft)
    propose_multipoles(draft)
    propose_potential(draft)
    propose_stress(draft)
    propose_charges(draft)
    propose_polarization(draft)
    propose_responses(draft)
    _propose_annotations(draft)
    _name_fragments(draft)
    _say_what_is_not_learned(draft)
    draft.name_the_rest()
    if "energy" not in draft.chosen and set(TARGETS) & draft.chosen.keys():
        draft.config["energy"] = None
    if missing := [name for name in TARGETS if _missing(draft, name)]:
        draft.config["allow_missing"] = missing
    if skip_unreadable:
        draft.config["skip_unreadable"] = True
    draft.config = _in_order(draft.config)
    return draft


def _propose_fields(draft: Draft) -> None:
    """Take fields under other names than the usual; a Fermi level under its own alone: most are an outcome."""
    for name in ("external_field", "displacement_field"):
        if found := draft.candidates(name):
            draft.take(name, found[0])
    for key in draft.candidates("fermi_level"):
        if key.name == CONDITIONS["fermi_level"]:
            draft.take("fermi_level", key)
        else:
            draft.leave(key, "an outcome; if electrons were held at it, fermi_level: " + key.name)
    for key in draft.content.keys:
        if key.name == CONDITIONS["electrode_potentials"] and key.place == "frame" and key.numeric:
            draft.take("electrode_potentials", key)


def _propose_annotations(draft: Draft) -> None:
    for name in ANNOTATIONS:
        keys = {key.name: key for key in draft.content.keys if key.place == "frame" and _annotates(name, key.kind)}
        for key in [key for key in keys.values() if _of_isolated_atoms(draft, key)]:
            if name == "group" and key.name in USUAL[name] and ("frame", key.name) not in draft.uses:
                draft.leave(key, "only isolated atoms have it")
        usual = next((key for key in USUAL[name] if key in keys and ("frame", key) not in draft.uses), None)
        if usual is not None:
            draft.take(name, keys[usual])


def _of_isolated_atoms(draft: Draft, key: KeyReport) -> bool:
    """Tell whether only isolated atoms have a key: it then tells no groups apart."""
    having = [value is not None or k in key.text for k, value in enumerate(key.values)]
    return bool(draft.content.single[having].all())


def _name_fragments(draft: Draft) -> None:
    """Keys that say what parts of a frame carry are read without a line."""
    keys = [key for key in draft.content.keys if _FRAGMENTS.fullmatch(key.name)]
    if {"fragment", "fragment_charges"} <= {key.name for key in keys} or "indexB" in {key.name for key in keys}:
        draft.uses |= {(key.place, key.name): "fragments" for key in keys}


def _annotates(name: str, kind: str) -> bool:
    return kind == "number" or (name == "group" and kind == "text")


def _say_what_is_not_learned(draft: Draft) -> None:
    for key in draft.content.keys:
        if key.place == "atom" and key.name in _OTHERS and (key.place, key.name) not in draft.uses:
            draft.leave(key, _OTHERS[key.name])


def _missing(draft: Draft, target: str) -> bool:
    """Tell whether frames lack the target that reading would stop at."""
    key = draft.chosen.get(target)
    if key is None:
        return False
    lacking = any(value is None and k not in key.text for k, value in enumerate(key.values))
    undefined = key.undefined > 0 and not QUANTITIES[target].some_elements
    return lacking or undefined or target in draft.skipped


def _in_order(config: dict[str, Any]) -> dict[str, Any]:
    return {name: config[name] for name in _LINES if name in config}
