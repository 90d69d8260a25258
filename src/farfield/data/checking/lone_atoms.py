"""Frames of one atom, whose energies are the E0 that a model starts from."""

from collections.abc import Iterator

import numpy as np

from farfield.data.checking.draft import Draft
from farfield.data.checking.labels.charges import total_charges
from farfield.data.checking.labels.energy import energies
from farfield.data.checking.phrases import signed
from farfield.data.conversion import ENERGY, LENGTH
from farfield.data.reading.isolated_atoms import several_energies, taken_for_crystals
from farfield.notices import Notice


def lone_atom_findings(draft: Draft) -> Iterator[Notice]:
    """Report the isolated atoms that the file has, with an energy; which have several, and which are none."""
    if "pbc" not in draft.config:
        yield from taken_for_crystals(draft.content.frames, LENGTH[draft.config.get("length_unit", "angstrom")])
    key = draft.chosen.get("energy")
    if key is None:
        return
    energy, charges = energies(key) * ENERGY[draft.config.get("energy_unit", "eV")], total_charges(draft)
    which = np.flatnonzero(draft.content.single & np.isfinite(energy)).tolist()
    found: dict[str, list[tuple[str, float]]] = {}
    for k in which:
        name = str(draft.content.frames[k].symbols[0]) + (f" ({signed(charges[k])})" if charges[k] else "")
        found.setdefault(name, []).append((f"frame {k}", float(energy[k])))
    yield from several_energies(found)
    if which:
        plural = "s" if len(which) > 1 else ""
        yield Notice("note", f"E0 of {', '.join(found)}: isolated atoms ({len(which)} frame{plural})")
