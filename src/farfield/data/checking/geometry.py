"""Signs that positions, cells or their unit are not what they seem."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import ase
import numpy as np
import torch
from ase.data import covalent_radii

from farfield.data.checking.phrases import listed_frames
from farfield.errors import InputError
from farfield.geometry.neighbors import CLOSEST, find_neighbors
from farfield.notices import Notice
from farfield.system import System

_CROWDED = 0.5
"""Å; no two atoms of a sound structure come closer."""
_BATCH = 5_000
"""Atoms that are searched at once."""
_REACHES = (0.7, 2.0, 3.2, 6.0)
"""Å; searched one after the other, until something is found."""


@dataclass(frozen=True)
class Closest:
    """The two nearest atoms of a frame."""

    i: int
    j: int
    distance: float  # Å
    bonds: float  # the same over the sum of the covalent radii


def broken_frames(frames: Sequence[ase.Atoms]) -> dict[int, str]:
    """Frames that make no system, and why."""
    bare = [ase.Atoms(a.numbers, positions=a.positions, cell=a.cell, pbc=a.pbc) for a in frames]
    if _complaint(bare) is None:
        return {}
    return {k: why for k, atoms in enumerate(bare) if (why := _complaint([atoms])) is not None}


def _complaint(frames: Sequence[ase.Atoms]) -> str | None:
    try:
        System.from_ase(frames)
    except InputError as wrong:
        return str(wrong)
    return None


def closest_pairs(frames: Sequence[ase.Atoms], broken: Collection[int]) -> list[Closest | None]:
    """Find the closest pair of every frame; None where it is broken, or has nothing within 6 Å."""
    found: list[Closest | None] = [None] * len(frames)
    open_still = [k for k in range(len(frames)) if k not in broken]
    for reach in _REACHES:  # the first sees crowds, without listing the thousands of pairs of lengths in nm
        for batch in _batches(open_still, frames):
            for k, pair in zip(batch, _closest([frames[k] for k in batch], reach)):
                found[k] = pair
        open_still = [k for k in open_still if found[k] is None]
    return found


def _batches(which: Sequence[int], frames: Sequence[ase.Atoms]) -> Iterator[list[int]]:
    batch: list[int] = []
    atoms = 0
    for k in which:
        batch.append(k)
        atoms += len(frames[k])
        if atoms >= _BATCH:
            yield batch
            batch, atoms = [], 0
    if batch:
        yield batch


def _closest(frames: Sequence[ase.Atoms], reach: float) -> list[Closest | None]:
    system = _batch(frames)
    pairs = find_neighbors(system, reach, may_touch=True)
    owner = system.system_index[pairs.i]
    vector = system.positions[pairs.j] - system.positions[pairs.i]
    vector = vector + torch.einsum("pa,pab->pb", pairs.shift, system.cell[owner])
    distance, owners = vector.norm(dim=1).numpy(), owner.numpy()
    order = np.lexsort((distance, owners))
    frame, first = np.unique(owners[order], return_index=True)
    start = np.cumsum([0, *(len(atoms) for atoms in frames)])
    found: list[Closest | None] = [None] * len(frames)
    for k, pair in zip(frame.tolist(), order[first].tolist()):
        i, j = (int(column[pair]) - int(start[k]) for column in (pairs.i, pairs.j))
        radii = float(covalent_radii[frames[k].numbers[[i, j]]].sum())
        found[k] = Closest(i, j, float(distance[pair]), float(distance[pair]) / radii)
    return found


def _batch(frames: Sequence[ase.Atoms]) -> System:
    """Frames that are known to be sound, without what else they carry."""
    sizes = torch.tensor([len(atoms) for atoms in frames])
    return System(
        numbers=torch.from_numpy(np.concatenate([atoms.numbers for atoms in frames]).astype(np.int64)),
        positions=torch.from_numpy(np.concatenate([atoms.positions for atoms in frames])),
        cell=torch.from_numpy(np.stack([atoms.cell.array for atoms in frames])),
        periodic=torch.from_numpy(np.stack([atoms.pbc for atoms in frames])),
        system_index=torch.repeat_interleave(torch.arange(len(frames)), sizes),
        charge=torch.zeros(len(frames), dtype=torch.float64),
        spin=torch.zeros(len(frames), dtype=torch.float64),
    )


def geometry_findings(closest: Sequence[Closest | None]) -> Iterator[Notice]:
    """Atoms too close, lengths in another unit."""
    known = {k: pair for k, pair in enumerate(closest) if pair is not None}
    on_top = [k for k, pair in known.items() if pair.distance < CLOSEST]
    crowded = [k for k, pair in known.items() if CLOSEST <= pair.distance < _CROWDED]
    if on_top:
        yield Notice("error", f"two atoms on top of each other in {listed_frames(on_top)}")
    if crowded:
        pair = known[crowded[0]]
        apart = f"atoms {pair.i} and {pair.j} are {pair.distance:.2f} Å apart"
        yield Notice(
            "warning", f"atoms closer than {_CROWDED} Å in {listed_frames(crowded)}: {apart} in frame {crowded[0]}"
        )
    typical = float(np.median([pair.bonds for pair in known.values()])) if known else 1.0
    if 1.7 < typical < 2.1:
        yield Notice(
            "note", f"nearest atoms are {typical:.1f} bond lengths apart: if lengths are in bohr, length_unit: bohr"
        )
    if typical < 0.2:
        yield Notice(
            "warning", f"nearest atoms are {typical:.2f} bond lengths apart: if lengths are in nm, length_unit: nm"
        )
