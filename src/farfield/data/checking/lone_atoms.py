"""Frames of one atom, whose energies are the E0 that a model starts from."""

from collections.abc import Iterator

import numpy as np

from farfield.data.checking.charges import total_charges
from farfield.data.checking.draft import Draft
from farfield.data.checking.energy import energies
from farfield.data.checking.phrases import signed
from farfield.notices import Notice


def lone_atom_findings(draft: Draft) -> Iterator[Notice]:
    """Whose single atoms the file has, with an energy."""
    key = draft.chosen.get("energy")
    if key is None:
        return
    which = np.flatnonzero(draft.content.single & np.isfinite(energies(key))).tolist()
    charges = total_charges(draft)
    names = dict.fromkeys(
        str(draft.content.frames[k].symbols[0]) + (f" ({signed(charges[k])})" if charges[k] else "") for k in which
    )
    if names:
        plural = "s" if len(which) > 1 else ""
        yield Notice("note", f"E0 of {', '.join(names)}: single atoms ({len(which)} frame{plural})")
