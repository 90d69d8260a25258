"""Signs that the structures or labels of a file are not what they seem: findings of ``check_file``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import ase
import numpy as np
import torch
from ase.data import covalent_radii

from farfield.data.keys import Numbers
from farfield.data.statistics import fit_baseline
from farfield.errors import InputError
from farfield.geometry.neighbors import CLOSEST, pairs_within
from farfield.notices import Notice
from farfield.system import System

Values = Sequence[Numbers | None] | None
"""Of one key, by frame."""

_CROWDED = 0.5
"""Å; no two atoms of a sound structure come closer."""
_LARGE_FORCE = 50.0
"""eV/Å."""
_NET_FORCE = 0.05
"""eV/Å; a calculation without a field leaves less than this on the whole."""
_OUTLIER = 12.0
"""Robust standard deviations of the energy per atom."""
_ALIKE = 5
"""Frames of one formula that can be compared among themselves."""


@dataclass(frozen=True)
class Closest:
    """The two nearest atoms of a frame."""

    i: int
    j: int
    distance: float  # Å
    bonds: float  # the same over the sum of the covalent radii


def closest_pairs(frames: Sequence[ase.Atoms | None]) -> list[Closest | None]:
    """Of every frame; None where there is no frame, or nothing within 6 Å."""
    return [None if atoms is None else _closest(atoms) for atoms in frames]


def _closest(atoms: ase.Atoms) -> Closest | None:
    system = System.from_ase(ase.Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc))
    for reach in (2.0, 6.0):
        try:
            pairs = pairs_within(system, reach)
        except InputError:  # on top of each other
            return Closest(0, 0, 0.0, 0.0)
        if len(pairs.i):
            nearest = int(pairs.distance.argmin())
            i, j, distance = int(pairs.i[nearest]), int(pairs.j[nearest]), float(pairs.distance[nearest])
            radii = covalent_radii[atoms.numbers[i]] + covalent_radii[atoms.numbers[j]]
            return Closest(i, j, distance, distance / float(radii))
    return None


def geometry_findings(frames: Sequence[ase.Atoms], closest: Sequence[Closest | None]) -> Iterator[Notice]:
    """Atoms too close, lengths in another unit, the same structure twice."""
    known = {k: pair for k, pair in enumerate(closest) if pair is not None}
    on_top = [k for k, pair in known.items() if pair.distance < CLOSEST]
    crowded = [k for k, pair in known.items() if CLOSEST <= pair.distance < _CROWDED]
    if on_top:
        yield Notice("error", f"two atoms on top of each other in {_frames(on_top)}")
    if crowded:
        pair = known[crowded[0]]
        apart = f"atoms {pair.i} and {pair.j} are {pair.distance:.2f} Å apart"
        yield Notice("warning", f"atoms closer than {_CROWDED} Å in {_frames(crowded)}: {apart} in frame {crowded[0]}")
    typical = float(np.median([pair.bonds for pair in known.values()])) if known else 1.0
    if 1.7 < typical < 2.1:
        yield Notice(
            "note", f"nearest atoms are {typical:.1f} bond lengths apart: if lengths are in bohr, length_unit: bohr"
        )
    if typical < 0.2:
        yield Notice(
            "warning", f"nearest atoms are {typical:.2f} bond lengths apart: if lengths are in nm, length_unit: nm"
        )
    yield from _duplicates(frames)


def _duplicates(frames: Sequence[ase.Atoms]) -> Iterator[Notice]:
    seen: dict[bytes, int] = {}
    twice = []
    for k, atoms in enumerate(frames):
        parts = (atoms.numbers, np.round(atoms.positions, 6) + 0.0, np.round(atoms.cell.array, 6) + 0.0, atoms.pbc)
        info = ("charge", "spin", "uhf", "dV", "external_field")
        charge = repr([np.asarray(atoms.info.get(name)).tolist() for name in info])
        first = seen.setdefault(b"".join(part.tobytes() for part in parts) + charge.encode(), k)
        if first != k:
            twice.append((first, k))
    if twice:
        yield Notice(
            "warning",
            f"frame {twice[0][1]} is frame {twice[0][0]} again (such repeats: {len(twice)}): "
            "a random split would show the model its test",
        )


def label_findings(frames: Sequence[ase.Atoms], labels: Mapping[str, Values]) -> Iterator[Notice]:
    """Energies and forces that stand out, and what the total charges and spins tell."""
    if (energy := labels["energy"]) is not None:
        yield from _energy_findings(frames, energy, labels["total_charge"])
    if (forces := labels["forces"]) is not None:
        yield from _force_findings(forces)
    yield from _electron_findings(frames, labels["total_charge"], labels["spin"])


def _energy_findings(
    frames: Sequence[ase.Atoms], values: Sequence[Numbers | None], charges: Values
) -> Iterator[Notice]:
    energy = np.array([np.nan if v is None else float(v.reshape(())) for v in values])
    energy[~np.isfinite(energy)] = np.nan
    off = _deviations(frames, energy, charges)
    if far := np.flatnonzero(np.nan_to_num(off)).tolist():
        worst = max(far, key=lambda k: abs(off[k]))
        yield Notice(
            "warning", f"energy per atom off by {off[worst]:+.3g} eV in frame {worst} (outliers: {_frames(far)})"
        )
    yield from _energy_unit(frames, energy)


def _deviations(frames: Sequence[ase.Atoms], energy: Numbers, charges: Values) -> Numbers:
    """How far outlying energies stand out, eV per atom; 0 for all others.

    Among frames of one formula and total charge where there are enough, from a sum over elements where there are not.
    """
    species = sorted({int(z) for atoms in frames for z in atoms.numbers})
    counts = torch.tensor([[(atoms.numbers == z).sum() for z in species] for atoms in frames], dtype=torch.float64)
    baseline, _ = fit_baseline(counts, torch.from_numpy(energy))
    rest: Numbers = (energy - (counts @ baseline).numpy()) / counts.sum(1).numpy()
    alike: dict[tuple[str, float], list[int]] = {}
    for k, atoms in enumerate(frames):
        charge = 0.0 if charges is None else _plain(charges[k])
        alike.setdefault((atoms.get_chemical_formula(), charge), []).append(k)
    enough = [group for group in alike.values() if len(group) >= _ALIKE]
    lonely = [k for group in alike.values() if len(group) < _ALIKE for k in group]
    off = np.zeros(len(frames))
    for group in [*enough, *([lonely] if len(lonely) > len(frames) // 2 else [])]:
        off[group] = _outlying(rest[group])
    return off


def _outlying(values: Numbers) -> Numbers:
    """Distance from the median where it is beyond all proportion, else 0."""
    if not np.isfinite(values).any():
        return np.zeros(len(values))
    distance = values - np.nanmedian(values)
    limit = max(_OUTLIER * 1.4826 * float(np.nanmedian(np.abs(distance))), 0.1)
    outlying: Numbers = np.where(np.abs(distance) > limit, distance, 0.0)
    return outlying


def _energy_unit(frames: Sequence[ase.Atoms], energy: Numbers) -> Iterator[Notice]:
    """All-electron energies betray their unit: neutral atoms have -0.7687 Z^(7/3) + Z²/2 hartree (Scott 1952)."""
    scott = np.array([(-0.7687 * atoms.numbers ** (7 / 3) + 0.5 * atoms.numbers**2).sum() for atoms in frames])
    ratio = float(np.nanmedian(energy / scott)) if np.isfinite(energy).any() else 0.0
    for unit, low, high in (("hartree", 0.85, 1.4), ("kcal/mol", 500.0, 900.0), ("kJ/mol", 2200.0, 3700.0)):
        if low < ratio < high:
            yield Notice("warning", f"energies look like all-electron energies in {unit}: if so, energy_unit: {unit}")


def _force_findings(values: Sequence[Numbers | None]) -> Iterator[Notice]:
    largest = np.array([0.0 if v is None else float(np.nan_to_num(np.abs(v)).max(initial=0.0)) for v in values])
    if far := [int(k) for k in np.flatnonzero(largest > _LARGE_FORCE)]:
        yield Notice("warning", f"forces up to {largest.max():.4g} eV/Å (above {_LARGE_FORCE:g} in {_frames(far)})")
    net = [float(np.linalg.norm(v.sum(0))) for v in values if v is not None and np.isfinite(v).all()]
    if max(net, default=0.0) > _NET_FORCE:
        yield Notice(
            "warning",
            f"the forces of a frame add up to as much as {max(net):.3g} eV/Å (median {np.median(net):.2g}): "
            "no model without an external field can learn that part",
        )


def _electron_findings(frames: Sequence[ase.Atoms], charges: Values, spins: Values) -> Iterator[Notice]:
    total = np.array([_plain(v) for v in charges]) if charges is not None else np.zeros(len(frames))
    if charges is None:
        yield Notice("note", "no total charge in the file: taken for 0")
    elif (fractional := np.abs(total - np.round(total)) > 1e-3).any():
        yield Notice("warning", f"total charge is not an integer in {_frames(np.flatnonzero(fractional).tolist())}")
    else:
        tally = ", ".join(f"{_signed(q)} ({int((total == q).sum())})" for q in np.unique(total + 0.0))
        yield Notice("note", f"total charges (frames): {tally}")
    if spins is not None and charges is not None:
        unpaired = np.array([_plain(v) for v in spins])
        electrons = np.array([int(atoms.numbers.sum()) for atoms in frames]) - np.round(total)
        if len(odd := np.flatnonzero((electrons - unpaired) % 2 != 0)):
            yield Notice(
                "warning", f"charge and spin (2S) do not fit the number of electrons in {_frames(odd.tolist())}"
            )


def _signed(charge: float) -> str:
    return f"{charge:+g}" if charge else "0"


def _plain(value: Numbers | None) -> float:
    return 0.0 if value is None else float(value.reshape(()))


def _frames(which: Sequence[int]) -> str:
    shown = ", ".join(map(str, which[:5]))
    return f"frame{'s' * (len(which) > 1)} {shown}{', …' * (len(which) > 5)}"
