"""Dipoles, centroids, quadrupoles and polarizations: of what they can be labels, in which cell and form."""

import numpy as np

from farfield.data.checking.content import ROOM
from farfield.data.checking.draft import Draft
from farfield.data.checking.keys import KeyReport
from farfield.data.reading.quadrupoles import has_trace
from farfield.data.spellings import spells
from farfield.quantities import QUANTITIES


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


def propose_displacement(draft: Draft) -> None:
    """Take displacements of Wannier centroids (before dipoles of atoms, whose name DeePMD gives them)."""
    draft.take_first("wannier_displacement", draft.sound("wannier_displacement"))


def propose_multipoles(draft: Draft) -> None:
    """Take dipoles and quadrupoles of atoms, and the quadrupole of molecules (after ``propose_dipole``)."""
    draft.take_first("dipoles", draft.sound("dipoles"))
    for name in ("quadrupoles", "quadrupole"):
        _propose_quadrupole(draft, name, draft.sound(name))


def propose_potential(draft: Draft) -> None:
    """Take rows of points and the potential there."""
    takes = QUANTITIES["potential"].takes
    for key in draft.content.keys:
        if key.place == "frame" and key.numeric and spells(key.name, "potential") and all(map(takes, key.widths)):
            draft.take("potential", key)
            return


def _propose_quadrupole(draft: Draft, name: str, found: list[KeyReport]) -> None:
    """Take nine numbers, with a trace as second moments; leave six, whose order nobody tells."""
    boxed = "pbc" in draft.config
    for key in list(found):
        has = np.array([value is not None for value in key.values])
        if key.widths != {9}:
            why = "six numbers: say quadrupole_order"
        elif name == "quadrupole" and not boxed and (has & draft.content.periodic.any(1)).any():
            why = "quadrupole of periodic atoms"
        else:
            continue
        draft.leave(key, why)
        found.remove(key)
    if not found:
        return
    traced = any(v is not None and has_trace(v.reshape(-1, 3, 3)) for v in found[0].values)
    form = "second_moment" if traced else "buckingham"
    if draft.chosen.keys() & {"quadrupoles"} and form != draft.config.get("quadrupole_form", "buckingham"):
        draft.leave(found[0], f"in another form than {draft.chosen['quadrupoles'].name}")
        return
    draft.take_first(name, found)
    if traced:
        draft.config["quadrupole_form"] = form
        draft.say("note", f"{found[0].name} has a trace: taken for Σ q r⊗r, whose traceless part is learned")


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
