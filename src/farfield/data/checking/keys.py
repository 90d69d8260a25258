"""The keys of a file: where they stand, what they hold, in how many frames."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import ase
import numpy as np

from farfield.data.checking.names import sounds_like
from farfield.data.keys import OF_ATOMS, STRUCTURE, Numbers, as_numbers, results

Place = Literal["frame", "atom"]
_IGNORED = STRUCTURE | {"tags", "masses", "momenta"}
_OF_FRAMES = ("stress", "virial", "dipole", "polarization", "polarizability")
_BEGINS_WITH_NUMBER = re.compile(r"\s*[-+]?\.?\d")


@dataclass(frozen=True)
class KeyReport:
    """One key of the file."""

    name: str
    place: Place  # one value per frame, or one per atom
    kind: str  # "number", "3 numbers", "text"
    frames: int  # that have it
    lowest: float | None = None  # of the finite values
    highest: float | None = None
    undefined: int = 0  # frames with a nan in it
    infinite: int = 0  # frames with an infinity in it
    use: str = ""  # what it is proposed as, or why it is not
    values: list[Numbers | None] = field(default_factory=list, repr=False)  # by frame; None where it is absent or text
    widths: frozenset[int] = frozenset()  # numbers a frame or an atom, as they occur
    text: dict[int, str] = field(default_factory=dict)  # frame → what it says where it is no number

    @property
    def largest(self) -> float:
        """Largest magnitude of the finite values; 0 where there is none."""
        return max(abs(self.lowest or 0.0), abs(self.highest or 0.0))

    @property
    def numeric(self) -> bool:
        """Tell whether it holds numbers, or text that begins with one, in most of the frames that have it."""
        other = [text for text in self.text.values() if not _BEGINS_WITH_NUMBER.match(text)]
        return len(other) * 2 < self.frames


def key_reports(frames: Sequence[ase.Atoms]) -> Iterator[KeyReport]:
    """Report on every key of ``info``, of ``arrays`` and of the results of a calculator."""
    listed = _listed_per_atom(frames)
    by_atom = [_per_atom(atoms, listed) for atoms in frames]
    by_frame = [
        {k: v for k, v in {**atoms.info, **results(atoms)}.items() if k not in own}
        for atoms, own in zip(frames, by_atom)
    ]
    places: tuple[tuple[Place, list[dict[str, Any]]], ...] = (("frame", by_frame), ("atom", by_atom))
    for place, rows in places:
        for name in dict.fromkeys(str(key) for row in rows for key in row):
            yield _key_report(name, place, [row.get(name) for row in rows])


def _per_atom(atoms: ase.Atoms, listed: frozenset[str]) -> dict[str, Any]:
    found = {name: value for name, value in atoms.arrays.items() if name not in _IGNORED}
    found |= {name: atoms.info[name] for name in listed & atoms.info.keys()}
    return found | {name: value for name, value in results(atoms).items() if name in OF_ATOMS}


def _listed_per_atom(frames: Sequence[ase.Atoms]) -> frozenset[str]:
    """Keys of ``info`` under which a database keeps one row an atom, in every frame."""
    found: dict[str, bool] = {}
    for atoms in frames:
        for name, value in atoms.info.items():
            if isinstance(value, list | tuple | np.ndarray):
                found[str(name)] = found.get(str(name), True) and _rows(value) == len(atoms) > 1
    sizes = {len(atoms) for atoms in frames}
    told = len(sizes) > 1 or not sizes & {3, 6, 9}  # numbers of atoms that are no tensor's
    return frozenset(
        name
        for name, fits in found.items()
        if fits
        and (told or any(sounds_like(name, target) for target in ("forces", "charges", "born_charges")))
        and not any(sounds_like(name, target) for target in _OF_FRAMES)
    )


def _rows(value: Any) -> int:
    found = as_numbers(value)
    return 0 if found is None or found.ndim == 0 else len(found)


def _key_report(name: str, place: Place, raw: list[Any]) -> KeyReport:
    values = [None if value is None else as_numbers(value) for value in raw]
    values = [None if value is None or value.size == 0 else value for value in values]
    text = {k: str(r)[:60] for k, (r, v) in enumerate(zip(raw, values)) if r is not None and v is None}
    known = [value for value in values if value is not None]
    frames = len(known) + len(text)
    if len(text) * 2 >= frames:
        return KeyReport(name, place, "text", frames, values=[None] * len(raw), text=text)
    widths = frozenset(int(np.prod(v.shape[1:])) if place == "atom" else v.size for v in known)
    everything = np.concatenate([value.ravel() for value in known])
    finite = everything[np.isfinite(everything)]
    whole = len(finite) == len(everything)
    return KeyReport(
        name,
        place,
        _kind(widths),
        frames,
        lowest=float(finite.min()) if len(finite) else None,
        highest=float(finite.max()) if len(finite) else None,
        undefined=0 if whole else sum(bool(np.isnan(v).any()) for v in known),
        infinite=0 if whole else sum(bool(np.isinf(v).any()) for v in known),
        values=values,
        widths=widths,
        text=text,
    )


def _kind(widths: frozenset[int]) -> str:
    if widths == {1}:
        return "number"
    shown = [str(width) for width in sorted(widths)]
    return f"{' or '.join(shown)} numbers" if len(shown) < 4 else f"{shown[0]} to {shown[-1]} numbers"
