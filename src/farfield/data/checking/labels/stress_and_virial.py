"""Relation of a stress and a virial of the same frames: unit, order of components, sign and volume."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from farfield.data.checking.draft import Draft
from farfield.data.checking.keys import KeyReport
from farfield.data.conversion import STRESS, STRESS_ORDERS, StressUnit
from farfield.data.keys import Numbers
from farfield.data.reading.stress import full_tensor

_AGREE = 0.02
"""Part of its size by which a stress may miss the virial, rounding included."""


@dataclass(frozen=True)
class Relation:
    """Stress = factor × (-virial / volume), or times the volume besides."""

    factor: float
    order: str
    without_volume: bool

    @property
    def unit(self) -> StressUnit | None:
        """Find the unit that the factor means, whatever its sign."""
        return next((unit for unit, worth in STRESS.items() if abs(abs(self.factor) * worth - 1) < _AGREE), None)


def contradiction(stress: KeyReport, virial: KeyReport, relation: Relation | None) -> str:
    """Say what a stress should be, what it is, and that one of the two is to be chosen."""
    expected = f"{stress.name} should be -{virial.name} / volume"
    choose = f"look which is right, and write stress: {stress.name} or virial: {virial.name}"
    if relation is None:
        return f"{expected} and is not related to it: {choose}"
    unit = relation.unit
    over = "" if relation.without_volume else " / volume"
    sign = "+" if relation.factor < 0 else "-"
    scaled = "" if unit == "eV/angstrom^3" else f" in {unit}" if unit else f" × {abs(relation.factor):.4g}"
    wrong = [
        *(["one of the two has the wrong sign"] if relation.factor < 0 else []),
        *([f"{stress.name} is not divided by the volume"] if relation.without_volume else []),
    ]
    return f"{expected} and is {sign}{virial.name}{over}{scaled} ({' and '.join(wrong) or 'an unknown unit'}): {choose}"


def related(draft: Draft, stress: KeyReport, virial: KeyReport) -> Relation | None:
    """The factor between the two over all crystals that have both, in whichever order; None where there is none."""
    usable = [
        (s.ravel(), v.ravel(), volume)
        for s, v, volume, crystal in zip(stress.values, virial.values, draft.content.volumes, draft.crystals)
        if s is not None and v is not None and crystal and volume > 0 and np.isfinite([*s.ravel(), *v.ravel()]).all()
    ]
    found = []
    for order, without_volume in product(STRESS_ORDERS, (False, True)):
        pairs = [(_full(s, order), -_full(v, order) / (1 if without_volume else vol)) for s, v, vol in usable]
        if (factor := _factor(pairs)) is not None:
            found.append(Relation(factor, order, without_volume))
    return next((relation for relation in found if relation.unit is not None), found[0] if found else None)


def _full(value: Numbers, order: str) -> Numbers:
    return full_tensor(value, STRESS_ORDERS[order], "").ravel() if value.size == 6 else value


def _factor(pairs: list[tuple[Numbers, Numbers]]) -> float | None:
    if not pairs:
        return None
    stress, other = (np.concatenate(column) for column in zip(*pairs))
    square = float(other @ other)
    factor = float(stress @ other) / square if square > 0 else 0.0
    missed = float(np.linalg.norm(stress - factor * other))
    return factor if factor != 0 and missed < _AGREE * float(np.linalg.norm(stress)) else None
