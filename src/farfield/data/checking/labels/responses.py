"""Signs that labels of the response to a field are not what they seem: findings of ``check_file``."""

from collections.abc import Iterator, Sequence

import numpy as np

from farfield.data.checking.draft import Draft
from farfield.data.checking.labels.charges import total_charges
from farfield.data.keys import Numbers
from farfield.notices import Notice

_SUM = 0.05
"""e an atom; Born charges of a converged calculation add up to less than this off."""
_LARGE = 0.3
"""e/Å² = 4.8 C/m²; no polarization of any branch near zero is larger in a cell more than 2 Å wide."""
_SYMMETRIC = 0.01
"""A polarizability may differ from its transpose by this part of its largest component."""


def propose_responses(draft: Draft) -> None:
    """Take Born charges and polarizabilities."""
    for name in ("born_charges", "polarizability"):
        draft.take_first(name, draft.sound(name))


def response_findings(draft: Draft) -> Iterator[Notice]:
    """Sum rule of Born charges, symmetry of polarizabilities, unit of polarizations."""
    if (born := draft.values("born_charges")) is not None:
        yield from _sum_rule(born, total_charges(draft))
    if (polarizability := draft.values("polarizability")) is not None:
        yield from _asymmetry(polarizability)
    if (polarization := draft.values("polarization")) is not None:
        known = [p for p, crystal in zip(polarization, draft.crystals) if p is not None and crystal]
        largest = max((float(np.abs(p).max()) for p in known if np.isfinite(p).all()), default=0.0)
        if largest > _LARGE:
            yield Notice(
                "warning",
                f"polarizations up to {largest:.3g} are more than e/Å² can be: if they are dipoles of the cell, "
                "polarization_unit: e*angstrom",
            )


def _sum_rule(values: Sequence[Numbers | None], totals: Numbers) -> Iterator[Notice]:
    off: dict[int, float] = {}
    for k, born in enumerate(values):
        if born is not None and np.isfinite(born).all():
            summed = born.reshape(len(born), 3, 3).sum(0) - totals[k] * np.eye(3)
            off[k] = float(np.abs(summed).max()) / len(born)
    if off and max(off.values()) > _SUM:
        worst = max(off, key=lambda k: off[k])
        yield Notice(
            "warning",
            f"Born charges miss the total charge by up to {off[worst]:.3g} e an atom (frame {worst}): no model whose "
            "dipole is single-valued can learn that part",
        )


def _asymmetry(values: Sequence[Numbers | None]) -> Iterator[Notice]:
    off: dict[int, float] = {}
    for k, value in enumerate(values):
        if value is not None and np.isfinite(value).all() and np.abs(value).max() > 0:
            tensor = value.reshape(3, 3)
            off[k] = float(np.abs(tensor - tensor.T).max() / np.abs(tensor).max())
    if off and max(off.values()) > _SYMMETRIC:
        worst = max(off, key=lambda k: off[k])
        yield Notice("warning", f"the polarizability of frame {worst} is not symmetric (by {100 * off[worst]:.2g} %)")
