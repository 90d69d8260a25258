"""Keys of energy and forces, and their unit."""

from collections.abc import Sequence

import ase
import numpy as np

from farfield.data.checking.draft import Draft
from farfield.data.checking.keys import KeyReport
from farfield.data.checking.names import is_free_energy, sounds_like
from farfield.data.conversion import ENERGY, EnergyUnit
from farfield.data.keys import Numbers
from farfield.data.spellings import unit_in_name

_SAME = 1e-6
"""eV per atom; energies closer than this are the same."""
_ABOVE = 0.05
"""eV per atom; no free energy of smeared electrons is further above their energy."""
_MOVED = 1e-4
"""Å; structures further apart than this are different ones."""
_MANY = 3
"""Frames of one number from which on it is no energy."""
_SCALES: tuple[tuple[EnergyUnit, float, float], ...] = (
    ("hartree", 0.85, 1.4),
    ("eV", 23.0, 39.0),
    ("kcal/mol", 500.0, 900.0),
    ("kJ/mol", 2200.0, 3700.0),
)


def propose_forces(draft: Draft) -> None:
    """Take what holds forces; say what is a gradient."""
    found = draft.sound("forces")
    draft.take_first("forces", found)
    if not found:
        draft.config["forces"] = None
        gradients = [k.name for k in draft.content.keys if "grad" in k.name.lower() and k.widths == {3}]
        if gradients:
            draft.say("warning", f"{gradients[0]} is a gradient, minus the forces: write the forces to train on them")
        elif not any(sounds_like(k.name, "forces") and _left(draft, k) for k in draft.content.keys):
            draft.say("note", "nothing looks like forces: training on energies alone needs many more frames")


def propose_energy(draft: Draft) -> None:
    """Take the energy that the forces are the slope of; leave what a reader or a dump made up."""
    found = [key for key in draft.candidates("energy") if not _made_up(draft, key)]
    plain, free = (next((k for k in found if is_free_energy(k.name) is kind), None) for kind in (False, True))
    if plain is not None and free is not None:
        found = _with_free_energy(draft, plain, free, found)
    draft.take_first("energy", found)
    if found:
        return
    if "forces" in draft.chosen:
        draft.config["energy"] = None
    if not any(sounds_like(k.name, "energy") and (k.text or _left(draft, k)) for k in draft.content.keys):
        alone = ": as it stands, forces alone are learned (energy: null)" if "forces" in draft.chosen else ""
        draft.say("warning", f"nothing looks like an energy{alone}; if a key is one, data: energy: KEY")


def _left(draft: Draft, key: KeyReport) -> bool:
    return (key.place, key.name) in draft.uses


def propose_energy_unit(draft: Draft, *, left_open: bool) -> None:
    """Take the unit from the key's name; guess it, and say so, where the format leaves it open."""
    key = draft.chosen.get("energy")
    named = None if key is None else unit_in_name(key.name, ENERGY)
    if key is not None and named is not None and (left_open or named != "eV"):
        draft.config["energy_unit"] = named
        draft.say("warning", f"energy_unit: {named}, because of the name {key.name}; forces are read in it, too")
    elif named is None and left_open and (key is not None or "forces" in draft.chosen):
        told = None if key is None else all_electron_unit(draft.content.frames, energies(key))
        draft.config["energy_unit"] = told or "kcal/mol"
        why = "by its size, all electrons counted" if told else "by habit of such files"
        draft.say(
            "warning",
            f"the file does not say the unit of its energies: taken for {told or 'kcal/mol'} {why}; "
            "see where it is from, and set energy_unit",
        )


def energies(key: KeyReport) -> Numbers:
    """One number a frame ``(frames,)``, nan where there is none."""
    found = np.array([np.nan if v is None else float(v.reshape(-1)[0]) for v in key.values])
    found[~np.isfinite(found)] = np.nan
    return found


def all_electron_unit(frames: Sequence[ase.Atoms], energy: Numbers) -> EnergyUnit | None:
    """Unit of all-electron energies ``(frames,)``; None where they are no such.

    Neutral atoms have -0.7687 Z^(7/3) + Z²/2 hartree (Scott 1952).
    """
    scott = np.array([(-0.7687 * atoms.numbers ** (7 / 3) + 0.5 * atoms.numbers**2).sum() for atoms in frames])
    ratio = float(np.nanmedian(energy / scott)) if np.isfinite(energy).any() else 0.0
    return next((unit for unit, low, high in _SCALES if low < ratio < high), None)


def _made_up(draft: Draft, key: KeyReport) -> bool:
    """Tell whether an energy is one number for different structures: then it is left, and said."""
    content, values = draft.content, energies(key)
    told = np.isfinite(values) & (content.sizes > 1)
    if key.text or not told.any() or np.ptp(values[told]) > 0:
        return False
    places = [content.frames[k].positions for k in np.flatnonzero(told).tolist()]
    differ = any(p.shape != places[0].shape or np.abs(p - places[0]).max() > _MOVED for p in places)
    nothing = key.largest == 0 and "forces" in draft.chosen
    if not (nothing or (told.sum() >= _MANY and differ)):
        return False
    forces = draft.chosen.get("forces")
    beside = f" beside forces of up to {forces.largest:.3g} eV/Å" if forces else ""
    draft.leave(key, f"{values[told][0]:g} in all frames")
    draft.say("warning", f"{key.name} is {values[told][0]:g} in all frames{beside}: no energy, not proposed")
    return True


def _with_free_energy(draft: Draft, plain: KeyReport, free: KeyReport, found: list[KeyReport]) -> list[KeyReport]:
    """Decide which of two energies goes first; the other is left, and the difference said."""
    difference = (energies(free) - energies(plain)) / draft.content.sizes
    largest = float(np.nanmax(np.abs(difference), initial=0.0))
    rest = [key for key in found if key not in (plain, free)]
    if largest <= _SAME:
        draft.leave(free, f"the same numbers as {plain.name}")
        return [plain, *rest]
    differ = f"{plain.name} and {free.name} differ by up to {largest:.3g} eV/atom"
    if np.nanmax(difference) > _ABOVE:
        draft.leave(free, f"above {plain.name}: no free energy of electrons")
        draft.say("warning", f"{differ}, and {free.name} is the higher one: no free energy of electrons, not proposed")
        return [plain, *rest]
    if "forces" not in draft.chosen or free.frames < plain.frames:
        draft.leave(free, f"{plain.name} is proposed")
        draft.say("note", f"{differ}; forces would be the slope of {free.name}")
        return [plain, *rest]
    draft.leave(plain, f"forces are the slope of {free.name}")
    draft.say("note", f"{differ}; forces are the slope of {free.name}, which is proposed")
    return [free, *rest]
