"""Proposal of a ``model:`` to learn from a file, and what of it a network does not see unless told."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from farfield.chemistry import formal_charges
from farfield.data.checking.content import ROOM
from farfield.data.checking.draft import Draft
from farfield.data.checking.labels.charges import spins, total_charges
from farfield.errors import InputError
from farfield.notices import Notice

_WITHOUT_ENERGIES = {
    "multipoles": {"dipoles", "quadrupoles", "potential"},
    "charges": {"charges"},
    "polarization": {"dipole", "polarization", "born_charges", "polarizability"},
}
"""Paradigm → labels that are enough for it, the first that is met."""


def proposed_model(draft: Draft) -> dict[str, Any]:
    """Latent charges, which need no labels of them; strictly local where the data are condensed and allow it.

    Wannier centroids where there are some; multipoles where atoms have them, or points a potential. Where nothing is
    known of energies: charges, or what dipoles and their slopes are learned by alone.
    """
    if not {"energy", "forces"} & draft.chosen.keys():
        for kind, labels in _WITHOUT_ENERGIES.items():
            if labels & draft.chosen.keys():
                return {"paradigm": {"kind": kind}}
    if "wannier_displacement" in draft.chosen and _formal(draft):
        return {"paradigm": {"kind": "wannier"}}
    paradigm = {"kind": "multipoles" if _WITHOUT_ENERGIES["multipoles"] & draft.chosen.keys() else "latent"}
    if _condensed(draft) and _formal(draft):
        paradigm["conservation"] = "bond"
    return {"paradigm": paradigm}


def _condensed(draft: Draft) -> bool:
    """Tell whether all but isolated atoms are crystals or liquids."""
    several = ~draft.content.single
    return bool(several.any() and (draft.crystals & (draft.content.vacuum < ROOM))[several].all())


def _formal(draft: Draft) -> bool:
    """Tell whether one charge an element adds up to the total charge of every frame."""
    numbers = [torch.from_numpy(atoms.numbers.astype(np.int64)) for atoms in draft.content.frames]
    species = torch.unique(torch.cat(numbers))
    counts = torch.stack([(of_frame[:, None] == species).sum(0) for of_frame in numbers]).double()
    rows = torch.unique(torch.cat([counts, torch.from_numpy(total_charges(draft))[:, None]], dim=1), dim=0)
    rows = rows[((rows[:, :-1] > 0).sum(1) > 1) | (rows[:, -1] != 0)]  # a metal says nothing
    if not len(rows):
        return False
    try:
        charges = formal_charges(tuple(species.tolist()), counts=rows[:, :-1], charge=rows[:, -1], exact=True)
    except InputError:
        return False
    return bool(charges.abs().max() > 0)


def unseen_findings(draft: Draft) -> Iterator[Notice]:
    """Total charges and spins that differ between frames: the network sees neither by default."""
    several = ~draft.content.single
    vary = {
        "embed_charge": ("total charges", total_charges(draft)[several]),
        "embed_spin": ("spins", spins(draft)[several]),
    }
    if found := {key: name for key, (name, values) in vary.items() if len(np.unique(values)) > 1}:
        keys = ", ".join(f"{key}: true" for key in found)
        yield Notice(
            "note",
            f"{' and '.join(found.values())} differ between frames, and the network does not see them unless told: "
            f"model: {{backbone: {{{keys}}}}}",
        )
