"""Slabs and wires that are periodic through the vacuum around them."""

from collections.abc import Iterator

import ase
import numpy as np

from farfield.data.checking.content import ROOM, Flags
from farfield.data.checking.draft import Draft
from farfield.data.checking.phrases import listed_frames
from farfield.data.conversion import LENGTH
from farfield.data.keys import Numbers
from farfield.notices import Notice

_EMPTY = 8.0
"""Å across which a layer without any atom is vacuum: no crystal has such gaps, slabs are calculated with more."""


def slab_findings(draft: Draft) -> Iterator[Notice]:
    """Frames with vacuum along one or two periodic axes and matter along the others, by which axes these are."""
    if "pbc" in draft.config:
        return
    content, angstrom = draft.content, LENGTH[draft.config.get("length_unit", "angstrom")]
    layers = angstrom * np.array([_empty_layers(atoms) for atoms in content.frames])
    empty: Flags = layers > _EMPTY
    box = angstrom * content.vacuum >= ROOM  # around a molecule, however long
    parted = empty.any(1) & (content.periodic & ~empty).any(1) & ~box
    for axes in np.unique(empty[parted], axis=0):
        which = np.flatnonzero(parted & (empty == axes).all(1))
        yield Notice("note", _sentence(which.tolist(), axes, layers[which][:, axes].min(), of=len(content.frames)))


def _empty_layers(atoms: ase.Atoms) -> Numbers:
    """Å ``(3,)``: the widest layer between lattice planes without an atom, along periodic axes; 0 along the others."""
    cell = atoms.cell.array
    if abs(float(np.linalg.det(cell))) < 1e-6 or not np.isfinite(cell).all() or not np.isfinite(atoms.positions).all():
        return np.zeros(3)
    inverse = np.linalg.inv(cell)
    heights = 1 / np.linalg.norm(inverse, axis=0)  # between opposite faces
    places = np.sort((atoms.positions @ inverse) % 1.0, axis=0)
    gaps = np.diff(places, axis=0, append=places[:1] + 1.0)
    widest: Numbers = gaps.max(0) * heights * atoms.pbc
    return widest


def _sentence(which: list[int], axes: Flags, vacuum: float, *, of: int) -> str:
    names = " and ".join(name for name, along in zip("abc", axes) if along)
    shape = "slabs" if axes.sum() == 1 else "wires"
    open_axes = " ".join("F" if along else "T" for along in axes)
    remedy = f'data: pbc: "{open_axes}"' if len(which) == of else f'pbc="{open_axes}" in these frames'
    return (
        f"{vacuum:.3g} Å of vacuum along {names}, and periodic through it, in {listed_frames(which)}: read as a "
        f"crystal of {shape} that feel each other's fields. If the labels are of {shape} in open space, or have a "
        f"dipole correction, {remedy}"
    )
