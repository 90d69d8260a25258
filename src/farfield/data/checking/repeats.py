"""Structures that occur twice: with the same labels a repeat, with others a contradiction."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ase
import numpy as np

from farfield.data.checking.draft import Draft
from farfield.data.config import CONDITIONS
from farfield.data.keys import as_numbers
from farfield.data.spellings import spells
from farfield.notices import Notice

_SAME_ENERGY = 1e-6
"""eV per atom."""
_SAME_FORCE = 1e-3
"""eV/Å; what is left of forces that were rounded, or found again."""


@dataclass(frozen=True)
class _Pair:
    """Two frames of one structure under the same conditions."""

    first: int
    again: int
    energy: float  # largest difference, eV per atom
    force: float  # eV/Å

    @property
    def contradicts(self) -> bool:
        return self.energy > _SAME_ENERGY or self.force > _SAME_FORCE


def repeat_findings(draft: Draft) -> Iterator[Notice]:
    """Repeats, and structures that carry several energies or forces."""
    pairs = [_compared(draft, first, again) for first, again in _repeats(draft)]
    same = [pair for pair in pairs if not pair.contradicts]
    other = [pair for pair in pairs if pair.contradicts]
    if other:
        worst = max(other, key=lambda pair: (pair.energy, pair.force))
        apart = [f"{worst.energy:.3g} eV/atom"] if worst.energy > _SAME_ENERGY else []
        apart += [f"{worst.force:.3g} eV/Å"] if worst.force > _SAME_FORCE else []
        many = f"; such pairs: {len(other)}, this is the furthest apart" if len(other) > 1 else ""
        yield Notice(
            "warning",
            f"frame {worst.again} is frame {worst.first} again with other labels, {' and '.join(apart)} apart{many}: "
            "two levels of theory?",
        )
    if same:
        yield Notice(
            "warning",
            f"frame {same[0].again} is frame {same[0].first} again (such repeats: {len(same)}): "
            "a split keeps them on one side; across files they would show the model its test",
        )


def _repeats(draft: Draft) -> Iterator[tuple[int, int]]:
    """Each frame that is an earlier one again, behind the first of its kind."""
    frames = draft.content.frames
    names = {key for atoms in frames for key in atoms.info if any(spells(str(key), name) for name in CONDITIONS)}
    names |= {draft.config.get(name, key) for name, key in CONDITIONS.items()} | {"dV", "external_charges"}
    under = sorted(map(str, names))
    seen: dict[bytes, int] = {}
    for k, atoms in enumerate(frames):
        first = seen.setdefault(_identity(atoms, under), k)
        if first != k:
            yield first, k


def _identity(atoms: ase.Atoms, under: list[str]) -> bytes:
    parts = (atoms.numbers, np.round(atoms.positions, 6) + 0.0, np.round(atoms.cell.array, 6) + 0.0, atoms.pbc)
    conditions = repr([_plain(atoms.info[name]) for name in under if name in atoms.info])
    return b"".join(part.tobytes() for part in parts) + conditions.encode()


def _plain(value: Any) -> Any:
    """Convert to plain numbers where there are any: the same for a number and an array of it."""
    found = as_numbers(value)
    return value if found is None else found.tolist()


def _compared(draft: Draft, first: int, again: int) -> _Pair:
    apart = []
    for name, sizes in (("energy", draft.content.sizes), ("forces", np.ones(len(draft.content.frames)))):
        values = draft.values(name)
        a, b = (None, None) if values is None else (values[first], values[again])
        known = a is not None and b is not None and np.isfinite(a).all() and np.isfinite(b).all()
        apart.append(float(np.abs(a - b).max() / sizes[first]) if known and a is not None and b is not None else 0.0)
    return _Pair(first, again, *apart)
