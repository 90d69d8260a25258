"""Statistics of the training set as a whole: baselines and scales that every model starts from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from farfield.chemistry import COVALENT, USUAL
from farfield.data.frame import Frame
from farfield.errors import InputError
from farfield.geometry.isolation import is_isolated
from farfield.geometry.neighbors import pairs_within

_DEPENDENT = 1e-4
"""Elements whose amounts vary together to within this (relative) in all frames cannot be told apart."""
_ROBUST = 4.0
"""Energies further off than this many robust standard deviations count linearly instead of squared (Huber 1964)."""
_NOISE = 1e-4
"""eV per atom; no reference calculation is better than this."""
_SMALLEST = 1e-8
"""A scale below this is taken for zero."""


@dataclass(frozen=True)
class Statistics:
    """Fitted once, on the training frames only."""

    species: tuple[int, ...]  # atomic numbers present, ascending
    counts: Tensor  # (frames, species) float64, atoms of each element
    charge: Tensor  # (frames,) float64, total charge, e
    baseline: Tensor  # (species,) float64, eV per atom of each element
    energy_scale: float  # eV per atom, rms of the energy left above the baseline, outliers shortened
    force_scale: float  # eV/Å, rms force component; energy_scale / 1 Å where there are no forces
    average_neighbors: float  # neighbours of an atom within the backbone's cutoff
    extent: float  # Å, largest distance between two atoms of a system without images; 0 where all have some
    offset: Tensor  # (species,) float64, eV: of an element in compounds above its baseline; 0 but for isolated atoms
    isolated: Tensor  # (species,) bool: known as a neutral atom apart from all others, whose energy is the baseline
    pinned: Tensor  # (species,) bool: what the element has torn from its compounds is known: its atom's or its ion's
    ion_charge: Tensor  # (species,) float64, e, of single ions; nan where the data has none
    piece_counts: Tensor  # (pieces, species) float64: compositions of frames and of their fragments, each kind once,
    piece_charge: Tensor  # (pieces,) float64, e: and total charges; neutral ones of one element are left out
    displacement: Tensor  # (species,) float64, Å: rms component of Wannier displacements; nan of elements without
    energetic: bool  # whether anything is known of energies or their slopes
    silent: int  # frames of one element alone, and neutral: they say nothing of charges in compounds


def fit_statistics(frames: Sequence[Frame], cutoff: float) -> Statistics:
    """Fit baseline, scales and coordination of the training frames.

    The baseline of an element that occurs as an isolated atom is that atom's energy (E0), or else that of its single
    ion in open space. The others' is the least-squares energy per atom, measured from the mean energy per atom and of
    least norm: elements that only occur together share what cannot be told apart. An element that is neutral alone and
    an ion in compounds has an ``offset`` besides, fitted likewise, or the difference of ion and atom where both are
    known. Frames whose energy is nan are left out of it. Neighbours attached to the frames are used where they reach as
    far as ``cutoff`` (Å).

    Raises:
        InputError: no frames.
    """
    if not frames:
        raise InputError("statistics need at least one training frame")
    species, column = torch.unique(torch.cat([frame.system.numbers for frame in frames]), return_inverse=True)
    sizes = torch.tensor([frame.system.n_atoms for frame in frames])
    owner = torch.repeat_interleave(torch.arange(len(frames)), sizes)
    counts = torch.zeros(len(frames), len(species), dtype=torch.float64)
    counts.index_put_((owner, column), torch.ones(len(owner), dtype=torch.float64), accumulate=True)
    charge, energy = torch.cat([frame.system.charge for frame in frames]).double(), _energies(frames)
    alone = torch.tensor([is_isolated(frame.system) for frame in frames])
    ions = alone & ~torch.tensor([bool(frame.system.periodic.any()) for frame in frames])  # in boxes they feel images
    energies = _fit_energies(
        tuple(species.tolist()), counts, energy, alone & (charge == 0), ions & (charge != 0), charge
    )
    energy_scale, force_scale = _scales(energies.rest, _force_components(frames))
    pieces = _pieces(frames, counts, charge, species)
    return Statistics(
        species=tuple(species.tolist()),
        counts=counts,
        charge=charge,
        baseline=energies.baseline,
        energy_scale=energy_scale,
        force_scale=force_scale,
        average_neighbors=sum(len(pairs_within(f.system, cutoff).i) for f in frames) / int(sizes.sum()),
        extent=max((_extent(f.system.positions) for f in frames if not bool(f.system.periodic.any())), default=0.0),
        offset=energies.offset,
        isolated=energies.isolated,
        pinned=energies.pinned,
        ion_charge=energies.ion_charge,
        piece_counts=pieces[:, :-1],
        piece_charge=pieces[:, -1],
        displacement=_displacements(frames, species),
        energetic=any({"energy", "forces", "stress"} & frame.labels.targets for frame in frames),
        silent=int((((counts > 0).sum(1) == 1) & (charge == 0)).sum()),
    )


def _extent(positions: Tensor) -> float:
    """Largest distance of two atoms, Å, or what bounds it where there are thousands."""
    if len(positions) > 3000:
        return 2 * float((positions - positions.mean(0)).norm(dim=1).max())
    return float(torch.nn.functional.pdist(positions.double()).max()) if len(positions) > 1 else 0.0


@dataclass(frozen=True)
class _Energies:
    """Fit of energies to the elements, and the rest that it leaves; see ``Statistics``."""

    baseline: Tensor
    offset: Tensor
    isolated: Tensor
    pinned: Tensor
    ion_charge: Tensor
    rest: Tensor  # (frames,) eV per atom, above all that


def _fit_energies(
    species: tuple[int, ...], counts: Tensor, energy: Tensor, atoms: Tensor, ions: Tensor, charge: Tensor
) -> _Energies:
    """Fit what ``atoms`` and ``ions`` ``(frames,)``, those that are isolated, and all other frames say."""
    neutral = _energy_alone(counts, energy, atoms)
    ion_charge = _charge_alone(counts, charge, ions)
    ion = torch.where(ion_charge.isnan(), torch.nan, _energy_alone(counts, energy, ions))
    ionic = torch.tensor([z in USUAL and z not in COVALENT for z in species])
    apart = torch.where(ion.isnan(), torch.where(ionic, torch.nan, neutral), ion)  # what torn compounds leave
    atoms = atoms & energy.isfinite()
    bound, rest = fit_baseline(counts[~atoms], energy[~atoms], apart)
    baseline = torch.where(neutral.isnan(), bound, neutral)
    seen = (counts[~atoms] > 0).any(0)  # of others nothing but the atom is known
    return _Energies(
        baseline, torch.where(seen, bound - baseline, 0.0), ~neutral.isnan(), ~apart.isnan(), ion_charge, rest
    )


def _pieces(frames: Sequence[Frame], counts: Tensor, charge: Tensor, species: Tensor) -> Tensor:
    """Every kind of frame and of fragment once: its atoms of each element, and its charge in the last column.

    But for neutral ones of one element alone (isolated atoms, metals, Cl₂): charges of zero would meet them exactly.
    """
    rows = [torch.cat([counts, charge[:, None]], dim=1)]
    for frame in frames:
        parts = frame.fragments  # those that bonds tell apart are asked of training, not of formal charges
        if parts is not None:
            member = torch.nn.functional.one_hot(parts.index, len(parts.charges)).double()
            element = (frame.system.numbers[:, None] == species).double()
            rows.append(torch.cat([member.T @ element, parts.charges.double()[:, None]], dim=1))
    pieces: Tensor = torch.unique(torch.cat(rows), dim=0)
    return pieces[((pieces[:, :-1] > 0).sum(1) > 1) | (pieces[:, -1] != 0)]


def _displacements(frames: Sequence[Frame], species: Tensor) -> Tensor:
    """Rms component ``(species,)`` of the Wannier displacements of each element, Å; nan where it has no centroid."""
    known = [(f.system.numbers, row.double()) for f in frames if (row := f.labels.wannier_displacement) is not None]
    if not known:
        return torch.full((len(species),), torch.nan, dtype=torch.float64)
    numbers, rows = (torch.cat(column) for column in zip(*known))
    finite = rows.isfinite().all(1)
    own = (numbers[:, None] == species) & finite[:, None]
    return ((own * rows.nan_to_num().square().mean(1)[:, None]).sum(0) / own.sum(0)).sqrt()


def _energy_alone(counts: Tensor, energy: Tensor, rows: Tensor) -> Tensor:
    """Mean energy ``(species,)`` of each element over those ``rows``, eV; nan where there is none."""
    of_element = counts[rows & energy.isfinite()] > 0
    return (of_element * energy[rows & energy.isfinite(), None]).sum(0) / of_element.sum(0)


def _charge_alone(counts: Tensor, charge: Tensor, rows: Tensor) -> Tensor:
    """Charge ``(species,)`` of each element in those ``rows``, e; nan where there is none, or more than one."""
    found = torch.full((counts.shape[1],), torch.nan, dtype=torch.float64)
    for element in range(counts.shape[1]):
        charges = torch.unique(charge[rows & (counts[:, element] > 0)])
        if len(charges) == 1:
            found[element] = charges[0]
    return found


def fit_baseline(counts: Tensor, energy: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Energy of each element ``(species,)``, eV per atom, and what is left above it in every frame ``(frames,)``.

    The latter per atom, outliers shortened, nan where ``energy`` ``(frames,)`` is. ``counts``: ``(frames, species)``.
    Elements whose energy is ``known`` ``(species,)`` (not nan) keep it.
    """
    baseline = counts.new_zeros(counts.shape[1]) if known is None else known.nan_to_num()
    free = torch.ones_like(baseline, dtype=torch.bool) if known is None else known.isnan()
    above = energy - counts @ baseline
    used = energy.isfinite() & (counts[:, free].sum(1) > 0)
    weight = torch.ones_like(energy)
    if used.any():
        baseline[free], weight[used] = _robust_fit(counts[used][:, free], above[used])
    return baseline, (energy - counts @ baseline) / counts.sum(1) * weight.sqrt()


def _robust_fit(counts: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
    """Energy of each element, and the weight of each frame in the end: reweighted least squares."""
    sizes = counts.sum(1)
    fractions, per_atom = counts / sizes[:, None], energy / sizes
    middle, weight = _median(per_atom), torch.ones_like(per_atom)
    baseline = torch.zeros_like(counts[0])
    for _ in range(20):  # settles in a few rounds
        root = weight.sqrt()
        baseline = middle + _least_norm(fractions * root[:, None], (per_atom - middle) * root)
        weight = _huber_weights(per_atom - fractions @ baseline)
    return baseline, weight


def _least_norm(matrix: Tensor, values: Tensor) -> Tensor:
    """Least squares by pseudo-inverse: nothing along directions that the data do not determine."""
    inverse: Tensor = torch.linalg.pinv(matrix, rtol=_DEPENDENT)
    return inverse @ values


def _huber_weights(residual: Tensor) -> Tensor:
    spread = 1.4826 * _median((residual - _median(residual)).abs())  # standard deviation, were it a Gaussian
    limit = _ROBUST * spread.clamp(min=_NOISE)
    return limit / residual.abs().maximum(limit)


def _median(values: Tensor) -> Tensor:
    return values.quantile(0.5)  # between the two middle ones, where Tensor.median takes the lower


def _scales(rest: Tensor, forces: Tensor) -> tuple[float, float]:
    """(eV per atom, eV/Å); one stands in for the other where it is absent or zero, 1 for both."""
    energy, force = _rms(rest), _rms(forces)
    return energy or force or 1.0, force or energy or 1.0


def _rms(values: Tensor) -> float:
    values = values[values.isfinite()]
    found = float(values.square().mean().sqrt()) if values.numel() else 0.0
    return found if found > _SMALLEST else 0.0


def _energies(frames: Sequence[Frame]) -> Tensor:
    unknown = torch.full((1,), torch.nan, dtype=torch.float64)
    return torch.cat([unknown if (e := frame.labels.energy) is None else e.double() for frame in frames])


def _force_components(frames: Sequence[Frame]) -> Tensor:
    known = [frame.labels.forces.double().flatten() for frame in frames if frame.labels.forces is not None]
    return torch.cat(known) if known else torch.zeros(0, dtype=torch.float64)
