"""Dipoles and polarizations: of what they can be labels, and in which cell."""

import numpy as np

from farfield.data.checking.content import ROOM
from farfield.data.checking.draft import Draft


def propose_dipole(draft: Draft) -> None:
    """Take the dipole of molecules, also of those in boxes; leave that of crystals."""
    found = draft.sound("dipole")
    if not found:
        return
    key, content = found[0], draft.content
    has = np.array([value is not None for value in key.values])
    periodic = has & content.periodic.any(1)
    if not periodic.any():
        draft.take_first("dipole", found)
        return
    boxed = periodic & content.crystals & (content.vacuum >= ROOM)
    lattice = "a dipole of periodic atoms is known only modulo e × lattice vectors"
    if (boxed == periodic).all() and (boxed | ~content.periodic.any(1)).all():
        draft.take_first("dipole", found)
        draft.config["pbc"] = "F F F"
        draft.say(
            "warning",
            f"{lattice}, but all frames are molecules in boxes with {content.vacuum[boxed].min():.1f} Å of vacuum "
            f'or more: pbc: "F F F" is proposed, so that {key.name} can be learned',
        )
        return
    if (has & ~content.periodic.any(1)).any():
        draft.take_first("dipole", found)
        draft.skipped.add("dipole")
        draft.say("note", f"{key.name} is left out of the {int(periodic.sum())} frames that are periodic: {lattice}")
        return
    for each in found:
        draft.leave(each, "dipole of periodic atoms")
    draft.say(
        "warning",
        f'{key.name} is not proposed: {lattice}. If these are molecules in a box: dipole: {key.name}, pbc: "F F F"',
    )


def propose_polarization(draft: Draft) -> None:
    """Take the polarization of crystals; leave that of what is none."""
    found = draft.sound("polarization")
    if not found:
        return
    key, crystals = found[0], draft.crystals
    has = np.array([value is not None for value in key.values])
    if (has & crystals).any():
        draft.take_first("polarization", found)
        if not crystals.all():
            draft.skipped.add("polarization")
            draft.say("note", f"{key.name} means nothing in the {int((~crystals).sum())} frames that are no crystals")
        return
    for each in found:
        draft.leave(each, "only crystals have a polarization")
    draft.say("note", f"{key.name} is left away: only crystals, periodic along three axes, have a polarization")
