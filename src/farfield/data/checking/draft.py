"""The lines of a configuration as they come together, with what is to be said of every key on the way."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from farfield.data.checking.content import Content, Flags, Values
from farfield.data.checking.keys import KeyReport, Place
from farfield.data.checking.names import sounds_like, unfit
from farfield.data.config import ANNOTATIONS, CONDITIONS
from farfield.data.spellings import preference
from farfield.notices import Grade, Notice
from farfield.quantities import PER_ATOM, QUANTITIES

_DEFAULTS = CONDITIONS | ANNOTATIONS
SHAPES: dict[str, tuple[Place, frozenset[int]]] = {
    **{
        name: ("atom" if name in PER_ATOM else "frame", quantity.numbers)
        for name, quantity in QUANTITIES.items()
        if not quantity.per_point
    },
    "virial": ("frame", QUANTITIES["stress"].numbers),
    "total_charge": ("frame", frozenset({1})),
    "spin": ("frame", frozenset({1})),
    "external_field": ("frame", frozenset({3})),
    "displacement_field": ("frame", frozenset({3})),
    "fermi_level": ("frame", frozenset({1})),
    "distance": ("frame", frozenset({1})),
}
"""Where the numbers of each field stand, and how many there are."""

_UNITS = {"energy": " eV", "forces": " eV/Å", "charges": " e"}


@dataclass
class Draft:
    """Proposal as far as it has come: configuration, uses of keys, findings."""

    content: Content
    config: dict[str, Any] = field(default_factory=dict)
    uses: dict[tuple[Place, str], str] = field(default_factory=dict)
    findings: list[Notice] = field(default_factory=list)
    chosen: dict[str, KeyReport] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)  # targets that mean nothing in some of the frames that have them

    @property
    def crystals(self) -> Flags:
        """Frames that are periodic along three axes if they are read as proposed ``(frames,)``."""
        return self.content.crystals & ("pbc" not in self.config)

    def say(self, grade: Grade, message: str) -> None:
        """Add a finding."""
        self.findings.append(Notice(grade, message))

    def take(self, name: str, key: KeyReport) -> None:
        """Propose a key; what is read from it anyway needs no line."""
        self.chosen[name] = key
        self.uses[key.place, key.name] = name
        if key.name != _DEFAULTS.get(name):
            self.config[name] = key.name
        if preference(key.name, name) is None:
            self.say("note", f"{key.name} is taken for the {name.replace('_', ' ')} because of its name")

    def leave(self, key: KeyReport, why: str) -> None:
        """Say why a key is not proposed."""
        self.uses[key.place, key.name] = f"not proposed: {why}"

    def values(self, name: str) -> Values:
        """Look up the values under the key that a field is read from, by frame; None where there is none."""
        key = self.chosen.get(name)
        return None if key is None else key.values

    def candidates(self, name: str) -> list[KeyReport]:
        """Keys that could be meant, the likeliest first; those in far fewer frames than the rest come last."""
        place, widths = SHAPES[name]
        fitting = [
            key
            for key in self.content.keys
            if key.place == place
            and (place, key.name) not in self.uses
            and key.numeric
            and key.widths <= widths
            and sounds_like(key.name, name)
            and not unfit(key.name, name)
        ]
        most = max((key.frames for key in fitting), default=0)
        guess = 10_000
        return sorted(fitting, key=lambda k: (2 * k.frames < most, _or(preference(k.name, name), guess)))

    def sound(self, name: str) -> list[KeyReport]:
        """Candidates without those that are 0 in all frames, which are left and said."""
        found = []
        for key in self.candidates(name):
            if self._never_calculated(key):
                self.leave(key, "0 in all frames")
                self.say("warning", f"{key.name} is 0 in all frames: taken for never calculated, not proposed")
            else:
                found.append(key)
        return found

    def take_first(self, name: str, found: list[KeyReport]) -> None:
        """Propose the likeliest of several keys and name the others."""
        if not found:
            return
        self.take(name, found[0])
        for other in found[1:]:
            self.leave(other, f"{found[0].name} is proposed")
            self.say("note", f"also looks like {_article(name)}: {other.name} ({_compared(name, found[0], other)})")

    def _never_calculated(self, key: KeyReport) -> bool:
        """Tell whether a key is 0 wherever there is more than one atom."""
        several = [v for v, n in zip(key.values, self.content.sizes) if v is not None and n > 1]
        return bool(several) and key.largest == 0 and not key.undefined and not key.infinite and not key.text

    def name_the_rest(self) -> None:
        """Give a reason for every key that sounds like a label and found no place."""
        for key in self.content.keys:
            if (key.place, key.name) not in self.uses and (why := next(_reasons(key), "")):
                self.leave(key, why)


def difference(key: KeyReport, other: KeyReport) -> float | None:
    """Largest difference between the numbers of two keys; None where no frame has both."""
    pairs = [
        float(np.abs(a.ravel() - b.ravel()).max())
        for a, b in zip(key.values, other.values)
        if a is not None and b is not None and a.size == b.size and np.isfinite(a).all() and np.isfinite(b).all()
    ]
    return max(pairs, default=None)


def _compared(name: str, key: KeyReport, other: KeyReport) -> str:
    apart = difference(key, other)
    if apart is None:
        return "in other frames"
    return f"differs by up to {apart:.3g}{_UNITS.get(name, '')}" if apart else "the same numbers"


def _reasons(key: KeyReport) -> Iterator[str]:
    sounding = [name for name in SHAPES if sounds_like(key.name, name)]
    here = [name for name in sounding if SHAPES[name][0] == key.place]
    yield from (why for name in here or sounding if (why := unfit(key.name, name)))
    if here and key.kind == "text":
        yield "text"
    for name in here:
        if not key.widths <= SHAPES[name][1]:
            wanted = " or ".join(map(str, sorted(SHAPES[name][1])))
            yield f"{name.replace('_', ' ')} has {wanted} number{'s' * (wanted != '1')}"
    if sounding and not here:
        yield f"one value {'an atom' if key.place == 'atom' else 'a frame'}"


def _article(name: str) -> str:
    return {"energy": "an energy", "external_field": "an external field"}.get(
        name, name.replace("_", " ") if name.endswith("s") and name != "stress" else f"a {name.replace('_', ' ')}"
    )


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
