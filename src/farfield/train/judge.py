"""A trained model before the laws of physics, on structures it was trained on."""

from collections.abc import Callable, Sequence

import ase
from torch import Tensor

from farfield.data.frame import Frame
from farfield.model import Model
from farfield.probe import ModelSubject, Scorecard, scorecard


def judged(
    model: Model,
    name: str,
    frames: Sequence[Frame],
    *,
    fast: bool,
    on_law: Callable[[str, int, int], None] | None = None,
) -> Scorecard:
    """Judge consistency on the smallest crystal and molecule of ``frames``, and dimers of fragments they tell apart."""
    structures, fragments = smallest(frames), fragments_of(frames)
    return scorecard(ModelSubject.of(model, name), structures=structures, fragments=fragments, fast=fast, on_law=on_law)


ENOUGH = 6
"""Atoms of a structure in which no symmetry hides a fault."""


def smallest(frames: Sequence[Frame]) -> list[ase.Atoms]:
    """The smallest crystal and molecule of six atoms or more, or the largest below, so far as there are any."""
    out = []
    for periodic in (True, False):
        alike = [f for f in frames if _periodic(f) == {periodic}]
        if alike:
            enough = [f for f in alike if f.system.n_atoms >= ENOUGH]
            frame = min(enough, key=_size) if enough else max(alike, key=_size)
            out.append(_atoms(frame, slice(None), float(frame.system.charge[0])))
    return out


def fragments_of(frames: Sequence[Frame]) -> list[ase.Atoms]:
    """One of every kind of fragment, the smallest first."""
    found: dict[tuple[str, float], ase.Atoms] = {}
    for frame in frames:
        if frame.fragments is None or _periodic(frame) != {False}:
            continue
        for k, charge in enumerate(frame.fragments.charges.tolist()):
            atoms = _atoms(frame, frame.fragments.index == k, float(charge))
            found.setdefault((atoms.get_chemical_formula(), round(charge, 3)), atoms)
    return sorted(found.values(), key=len)


def _size(frame: Frame) -> int:
    return frame.system.n_atoms


def _periodic(frame: Frame) -> set[bool]:
    return set(frame.system.periodic[0].tolist())


def _atoms(frame: Frame, which: Tensor | slice, charge: float) -> ase.Atoms:
    system = frame.system
    return ase.Atoms(
        system.numbers[which].numpy(), system.positions[which].numpy(), cell=system.cell[0].numpy(),
        pbc=system.periodic[0].numpy(), info={"charge": charge},
    )  # fmt: skip
