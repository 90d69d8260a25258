"""Energies and forces that stand out, and energies that betray their unit."""

from collections.abc import Iterator

import numpy as np
import torch

from farfield.data.checking.content import Content
from farfield.data.checking.draft import Draft
from farfield.data.checking.labels.charges import total_charges
from farfield.data.checking.labels.energy import all_electron_unit, energies
from farfield.data.checking.phrases import listed_frames
from farfield.data.conversion import ENERGY, EnergyUnit
from farfield.data.keys import Numbers
from farfield.data.statistics import fit_baseline
from farfield.notices import Notice

_LARGE_FORCE = 50.0
"""eV/Å."""
_NET_FORCE = 0.05
"""eV/Å; a calculation without a field leaves less than this on the whole."""
_OUTLIER = 12.0
"""Robust standard deviations of the energy per atom."""
_ALIKE = 5
"""Frames of one formula that can be compared among themselves."""


def energy_findings(draft: Draft) -> Iterator[Notice]:
    """Energies that stand out, and a unit that they betray."""
    if (key := draft.chosen.get("energy")) is None:
        return
    factor = _unit(draft)
    energy = energies(key) * factor
    off = _deviations(draft.content, energy, total_charges(draft))
    if far := np.flatnonzero(off).tolist():
        worst = max(far, key=lambda k: abs(off[k]))
        yield Notice(
            "warning", f"energy per atom off by {off[worst]:+.3g} eV in frame {worst} (outliers: {listed_frames(far)})"
        )
    told = all_electron_unit(draft.content.frames, energies(key))
    if told not in (None, "eV") and "energy_unit" not in draft.config:
        yield Notice("warning", f"energies look like all-electron energies in {told}: if so, energy_unit: {told}")


def force_findings(draft: Draft) -> Iterator[Notice]:
    """Forces that are too large, or that add up to something."""
    if (values := draft.values("forces")) is None:
        return
    factor = _unit(draft)
    largest = factor * np.array(
        [0.0 if v is None or not v.size else float(np.nan_to_num(np.abs(v), posinf=0.0).max()) for v in values]
    )
    if far := [int(k) for k in np.flatnonzero(largest > _LARGE_FORCE)]:
        yield Notice(
            "warning",
            f"forces up to {largest.max():.4g} eV/Å (above {_LARGE_FORCE:g} in {listed_frames(far)})"
            f"{_in_kcal(draft, largest)}",
        )
    net = [factor * float(np.linalg.norm(v.sum(0))) for v in values if v is not None and np.isfinite(v).all()]
    if max(net, default=0.0) > _NET_FORCE:
        yield Notice(
            "warning",
            f"the forces of a frame add up to as much as {max(net):.3g} eV/Å (median {np.median(net):.2g}): "
            "no model without an external field can learn that part",
        )


def _in_kcal(draft: Draft, largest: Numbers) -> str:
    """Say what to write if forces, large in many frames, are in the usual unit of molecules; empty if not."""
    often = float(np.median(largest[largest > 0])) > _LARGE_FORCE / 5
    if not often or "energy_unit" in draft.config:
        return ""
    return f": if they are in kcal/mol/Å ({largest.max() * ENERGY['kcal/mol']:.3g} eV/Å), energy_unit: kcal/mol"


def _unit(draft: Draft) -> float:
    unit: EnergyUnit = draft.config.get("energy_unit", "eV")
    return ENERGY[unit]


def _deviations(content: Content, energy: Numbers, charges: Numbers) -> Numbers:
    """Measure how far outlying energies stand out, eV per atom; 0 for all others.

    Among frames of one formula, total charge and periodicity where there are enough, from a sum over elements where
    there are not.
    """
    counts = _composition(content)
    baseline, _ = fit_baseline(torch.from_numpy(counts), torch.from_numpy(energy))
    rest: Numbers = (energy - counts @ baseline.numpy()) / content.sizes
    alike: dict[tuple[str, float, bytes], list[int]] = {}
    for k, formula in enumerate(content.formulas):
        alike.setdefault((formula, float(charges[k]), content.periodic[k].tobytes()), []).append(k)
    enough = [group for group in alike.values() if len(group) >= _ALIKE]
    lonely = [k for group in alike.values() if len(group) < _ALIKE for k in group]
    off = np.zeros(len(energy))
    for group in [*enough, *([lonely] if len(lonely) > len(energy) // 2 else [])]:
        off[group] = _outlying(rest[group])
    return np.nan_to_num(off)


def _composition(content: Content) -> Numbers:
    """Atoms of each element that occurs ``(frames, elements)``."""
    numbers = np.concatenate([atoms.numbers for atoms in content.frames])
    species, column = np.unique(numbers, return_inverse=True)
    counts = np.zeros((len(content.sizes), len(species)))
    np.add.at(counts, (np.repeat(np.arange(len(content.sizes)), content.sizes), column), 1.0)
    return counts


def _outlying(values: Numbers) -> Numbers:
    """Distance from the median where it is beyond all proportion, else 0."""
    if not np.isfinite(values).any():
        return np.zeros(len(values))
    distance = values - np.nanmedian(values)
    limit = max(_OUTLIER * 1.4826 * float(np.nanmedian(np.abs(distance))), 0.1)
    outlying: Numbers = np.where(np.abs(distance) > limit, distance, 0.0)
    return outlying
