"""Values that are no numbers where numbers should stand, and gaps."""

import re
from collections.abc import Iterator

import numpy as np

from farfield.data.checking.draft import SHAPES, Draft
from farfield.data.checking.keys import KeyReport
from farfield.data.checking.names import sounds_like, unfit
from farfield.data.checking.phrases import counted_frames, listed_frames
from farfield.data.config import ANNOTATIONS, CONDITIONS, TARGETS
from farfield.data.keys import with_decimal_comma
from farfield.data.spellings import spells
from farfield.notices import Grade, Notice
from farfield.quantities import QUANTITIES

_NUMBER_AND_UNIT = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*((?![dDeE][-+]?\d)[A-Za-zÅ].*)")
_UNIT_KEYS = {"energy": "energy_unit", "stress": "stress_unit", "virial": "energy_unit", "dipole": "dipole_unit",
              "quadrupole": "quadrupole_unit"}  # fmt: skip


def text_findings(draft: Draft) -> Iterator[Notice]:
    """Text among numbers; numbers with a unit behind them."""
    for key in draft.content.keys:
        yield from _decimal_commas(key)
        if not key.text:
            continue
        frame, value = next(iter(key.text.items()))
        name = next((n for n in (*TARGETS, *CONDITIONS, "distance") if _meant(draft, key, n)), None)
        said = f"{key.name} is no number in frame {frame}: {value!r}"
        if name is None:
            if key.kind != "text":
                yield Notice("note", said)
        elif found := _NUMBER_AND_UNIT.match(value):
            unit = f", and its unit as {_UNIT_KEYS[name]}: {found[3].strip()}" if name in _UNIT_KEYS else ""
            yield Notice("error", f"{said}: write the number alone{unit}")
        else:
            more = f" ({len(key.text)} such frames)" if len(key.text) > 1 else ""
            yield Notice("error", f"{said}{more}")


def _decimal_commas(key: KeyReport) -> Iterator[Notice]:
    """Two whole numbers under the name of a single one: ``-11,68`` was meant as -11.68."""
    single = (name for name, (place, widths) in SHAPES.items() if place == "frame" and widths == {1})
    if key.place == "frame" and key.widths and key.widths <= {1, 2} and 2 in key.widths:
        which = [k for k, value in enumerate(key.values) if value is not None and value.size == 2]
        first = key.values[which[0]]
        if first is not None and with_decimal_comma(first) and any(sounds_like(key.name, name) for name in single):
            yield Notice("error", f"{key.name} in {listed_frames(which)}: {with_decimal_comma(first)}")


def condition_findings(draft: Draft) -> Iterator[Notice]:
    """Conditions under the names that are read, which are not what they should be."""
    for name, usual in (CONDITIONS | {"distance": "distance"}).items():
        key = next(
            (k for k in draft.content.keys if k.place == "frame" and k.name == draft.config.get(name, usual)), None
        )
        if key is None or key.kind == "text" or name not in SHAPES:
            continue
        if not key.widths <= SHAPES[name][1]:
            wanted = max(SHAPES[name][1])
            yield Notice(
                "error", f"{key.name} has {key.kind} in a frame: {name.replace('_', ' ')} is read from it, {wanted}"
            )
        if key.undefined or key.infinite:
            yield Notice("error", f"{key.name} is not finite in {counted_frames(key.undefined + key.infinite)}")


def _meant(draft: Draft, key: KeyReport, name: str) -> bool:
    """Tell whether text in a key stops the reading of a field: one that is proposed, read anyway, or mostly numbers."""
    if draft.chosen.get(name) is key or (key.place == "frame" and key.name == (CONDITIONS | ANNOTATIONS).get(name)):
        return True
    if key.place != SHAPES.get(name, ("frame",))[0] or unfit(key.name, name):
        return False
    return (key.numeric and sounds_like(key.name, name)) or (name == "energy" and spells(key.name, name))


def gap_findings(draft: Draft) -> Iterator[Notice]:
    """Keys in some frames only: an error where reading stops at them, a warning in a target, a note elsewhere."""
    frames = len(draft.content.frames)
    targets = {(k.place, k.name): name for name, k in draft.chosen.items() if name in TARGETS}
    conditions = {draft.config.get(name, usual): name for name, usual in CONDITIONS.items()}
    for key in draft.content.keys:
        target = targets.get((key.place, key.name))
        gap: Grade = "note" if target is None else "warning"
        annotates = draft.uses.get((key.place, key.name)) in ANNOTATIONS
        if key.frames < frames and not annotates:
            stops = key.place == "frame" and key.name in conditions
            zero = stops and conditions[key.name] in ("total_charge", "spin")
            hint = f": write {key.name}=0 in the others if that is meant" if zero else ""
            grade = "error" if stops else "note" if target is None or _nothing_lost(draft, key, target) else gap
            lacking = [k for k, value in enumerate(key.values) if value is None and k not in key.text]
            without = f" (not in {listed_frames(lacking)})" if target or stops else ""
            yield Notice(grade, f"{key.name} is in only {key.frames} of {frames} frames{without}{hint}")
        if key.undefined and not (target and QUANTITIES[target].some_elements):
            yield Notice(gap, f"{key.name} is nan in {counted_frames(key.undefined)}")
        if key.infinite:
            said = f"{key.name} is infinite in {counted_frames(key.infinite)}"
            yield Notice("note" if target is None else "error", said)


def _nothing_lost(draft: Draft, key: KeyReport, target: str) -> bool:
    """Tell whether the frames that lack a label could not have had one that teaches anything."""
    lacking = np.array([value is None for value in key.values])
    if target in ("stress", "virial", "polarization"):
        return not (lacking & draft.crystals).any()
    if target in ("dipole", "quadrupole"):
        return not (lacking & ~draft.content.periodic.any(1)).any()
    return target == "forces" and not (lacking & (draft.content.sizes > 1)).any()
