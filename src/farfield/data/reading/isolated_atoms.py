"""Isolated atoms, and what they say of their energies E0, or fail to say."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import ase
import numpy as np

from farfield.data.frame import Frame
from farfield.data.splitting.frame_kinds import elements_of
from farfield.geometry.isolation import LONGEST_BOND, is_isolated, nearest_image
from farfield.notices import Notice

_APART = 1e-3
"""eV; energies of one isolated atom that are further apart are of two calculations."""
_CALLED_ALONE = re.compile(r"(isolated|single|lone|free)?[\W_]*atoms?", re.IGNORECASE)


def isolated_atom_notices(train: Sequence[Frame], given: Mapping[str, Sequence[Frame]]) -> Iterator[Notice]:
    """Say which E0 ``train`` gives several times, and which only the files ``given`` for other splits have."""
    learned: dict[str, list[tuple[str, float]]] = {}
    for frame, name in _named(train):
        learned.setdefault(name, []).append((frame.source, _energy(frame)))
    yield from several_energies(learned)
    for split, frames in given.items():
        if only := sorted({name for _, name in _named(frames)} - learned.keys()):
            yield Notice(
                "note",
                f"isolated atoms of {split}: alone ({', '.join(only)}): their energies are not taken as E0, "
                "which are those of train:",
            )


def several_energies(atoms: Mapping[str, Sequence[tuple[str, float]]]) -> Iterator[Notice]:
    """Warn of atoms, name → (where, eV), that have more than one energy."""
    for name, found in atoms.items():
        known = [(where, energy) for where, energy in found if np.isfinite(energy)]
        energies = [energy for _, energy in known]
        if known and max(energies) - min(energies) > _APART:
            shown = ", ".join(f"{energy:.6g} eV ({where})" for where, energy in known[:4])
            more = ", …" if len(known) > 4 else ""
            yield Notice(
                "warning",
                f"isolated {name} has several energies: {shown}{more}; E0 is their mean: keep the one that belongs "
                "to the other frames",
            )


def taken_for_crystals(structures: Iterable[ase.Atoms], length: float = 1.0) -> Iterator[Notice]:
    """Warn of atoms that are called isolated but repeat too near; ``length`` is the unit of the file in Å."""
    which, nearest = {}, float("inf")
    for k, atoms in enumerate(structures):
        called = next((v for v in atoms.info.values() if isinstance(v, str) and _CALLED_ALONE.fullmatch(v)), None)
        if len(atoms) == 1 and called and np.isfinite(atoms.cell.array).all():
            apart = nearest_image(atoms.cell.array * length, atoms.pbc)
            if apart < LONGEST_BOND - 1e-6:
                which[k], nearest = called, min(nearest, apart)
    if which:
        frame, called = next(iter(which.items()))
        others = f" ({len(which)} such frames)" if len(which) > 1 else ""
        yield Notice(
            "warning",
            f"frame {frame} is called {called}, but its images are {nearest:.3g} Å away{others}: taken for a crystal "
            f'of one atom a cell; write pbc="F F F" into the frame if it is an atom alone, or a cell beyond '
            f"{LONGEST_BOND:g} Å",
        )


def _named(frames: Iterable[Frame]) -> Iterator[tuple[Frame, str]]:
    """Isolated atoms with an energy, and what they are called: ``Na``, ``Na (+1)``."""
    for frame in frames:
        if is_isolated(frame.system) and np.isfinite(_energy(frame)):
            charge = float(frame.system.charge[0])
            yield frame, elements_of(frame).pop() + (f" ({charge:+g})" if charge else "")


def _energy(frame: Frame) -> float:
    return float("nan") if frame.labels.energy is None else float(frame.labels.energy[0])
