"""Run a model over frames, whole and fragment by fragment, and keep what it says beside the labels."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from ase.data import chemical_symbols

from farfield.data.frame import Frame, Labels
from farfield.errors import InputError
from farfield.evaluation.record import Compared, Evaluation, Floats, Integers
from farfield.field import nearest_branch
from farfield.prediction import Prediction
from farfield.quantities import PER_ATOM, QUANTITIES
from farfield.system import System, concatenate

_BESIDES = ("charge_residual", "energy_coulomb")
"""What a model tells of systems unasked, if it has it."""


class Predicts(Protocol):
    """A model as far as its judge is concerned."""

    @property
    def gives(self) -> frozenset[str]:
        """Name the quantities it can be asked for."""
        ...

    @property
    def species(self) -> tuple[int, ...]:
        """Atomic numbers it knows."""
        ...

    def __call__(self, system: System, /, *, want: frozenset[str]) -> Prediction:
        """Predict what ``want`` names of a batch."""
        ...


def _silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def evaluate(
    model: Predicts,
    frames: list[Frame],
    *,
    batch_size: int = 32,
    device: torch.device | str = "cpu",
    on_batch: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Predict every frame, whatever it is labelled with, and every fragment alone.

    Charges are predicted wherever the model has them, labelled or not. ``on_batch`` hears (systems done, systems in
    all) after every batch; fragments count as systems. ``device`` is where the model lives.

    Raises:
        InputError: no frames, a batch size below one, or an element that the model does not know.
    """
    _check(model, frames, batch_size)
    fragments = [part for frame in frames for part in fragments_alone(frame)]
    sweep = _Sweep(model, batch_size, device, on_batch or _silent, total=len(frames) + len(fragments))
    values, seconds = sweep.over(frames, also=frozenset({"charges"}))
    alone, _ = sweep.over(fragments, done=len(frames))
    compared = {t: Compared(_labels(frames, t, values[t]), values[t]) for t in QUANTITIES if t in values}
    if "polarization" in compared:
        compared["polarization"] = _on_one_branch(frames, compared["polarization"])
    if fragments:
        compared["binding"] = _binding(frames, compared["energy"], alone["energy"])
    return _assemble(frames, compared, values, seconds)


def fragments_alone(frame: Frame) -> list[Frame]:
    """Every fragment where it stands in the frame, in the same cell, with its own charge and spin, and nothing else."""
    if frame.fragments is None:
        return []
    whole, spins, out = frame.system, frame.fragments.spins, []
    for k, charge in enumerate(frame.fragments.charges):
        alone = whole.atoms_at((frame.fragments.index == k).nonzero()[:, 0])
        spin = torch.zeros_like(whole.spin) if spins is None else spins[k : k + 1].abs().to(whole.spin)
        charge = charge.to(whole.charge).reshape(1)
        part = replace(alone, charge=charge, spin=spin, fragment=None, fragment_charges=None)
        out.append(Frame(part, Labels(), f"{frame.source}, fragment {k}"))
    return out


@dataclass(frozen=True)
class _Sweep:
    """One pass after another of the same model."""

    model: Predicts
    batch_size: int
    device: torch.device | str
    on_batch: Callable[[int, int], None]
    total: int

    def over(
        self, frames: list[Frame], *, also: frozenset[str] = frozenset(), done: int = 0
    ) -> tuple[dict[str, Floats], float]:
        """Predictions of energies, labelled targets and ``also``, nan where not asked for, and seconds per atom."""
        out: dict[str, Floats] = {}
        ends: dict[str, Integers] = {}
        atoms, pace = _ends(frames, "charges"), []
        for start in range(0, len(frames), self.batch_size):
            stop = min(start + self.batch_size, len(frames))
            began = time.perf_counter()
            for name, found in self._batch(frames[start:stop], also).items():
                rows = ends.setdefault(name, _ends(frames, name))
                shape = (int(rows[-1]), *(() if name in _BESIDES else QUANTITIES[name].shape))
                out.setdefault(name, np.full(shape, np.nan))[rows[start] : rows[stop]] = found
            pace.append((time.perf_counter() - began) / (atoms[stop] - atoms[start]))
            self.on_batch(done + stop, self.total)
        # the median leaves out the first batch, in which kernels compile
        return out, float(np.median(pace)) if pace else float("nan")

    def _batch(self, frames: list[Frame], also: frozenset[str]) -> dict[str, Floats]:
        labelled = {t for f in frames for t in f.labels.targets if getattr(f.labels, t).isfinite().any()}
        want = frozenset({"energy"} | (also | labelled) & self.model.gives & QUANTITIES.keys())
        prediction = self.model(concatenate([f.system for f in frames]).to(self.device), want=want)
        if missing := [name for name in want if getattr(prediction, name) is None]:
            raise InputError(f"the model says it gives {', '.join(sorted(missing))}, was asked, and gave none")
        found = {name: getattr(prediction, name) for name in (*want, *_BESIDES)}
        return {k: v.detach().to("cpu", torch.float64).numpy() for k, v in found.items() if v is not None}


def _rows(frame: Frame, name: str) -> int:
    """Count the rows that a frame has of a quantity."""
    if name in PER_ATOM:
        return frame.system.n_atoms
    if name in QUANTITIES and QUANTITIES[name].per_point:
        points = frame.system.potential_points
        return 0 if points is None else len(points.positions)
    return 1


def _ends(frames: list[Frame], name: str) -> Integers:
    """Count the rows before every frame, and in the end all of them ``(frames + 1,)``."""
    return np.cumsum([0] + [_rows(frame, name) for frame in frames])


def _labels(frames: list[Frame], target: str, predicted: Floats) -> Floats:
    """Labels of one target, nan where a frame has none."""
    rows = []
    for k, frame in enumerate(frames):
        label = getattr(frame.labels, target)
        # what this model has of molecules only, and what there is of crystals only
        defined, periodic = QUANTITIES[target].defined_on, frame.system.periodic
        molecular = defined == "molecules" and (target == "dipole" or np.isnan(predicted[k]).all())
        crystalline = defined == "crystals"
        if label is None or (molecular and periodic.any()) or (crystalline and not periodic.all()):
            rows.append(np.full((_rows(frame, target), *QUANTITIES[target].shape), np.nan))
        else:
            rows.append(label.detach().to("cpu", torch.float64).numpy())
    return np.concatenate(rows)


def _on_one_branch(frames: list[Frame], both: Compared) -> Compared:
    """Predictions by as many quanta off as brings them nearest to the reference."""
    system = concatenate([replace(frame.system, neighbors=None) for frame in frames])
    reference, predicted = torch.from_numpy(both.reference), torch.from_numpy(both.predicted)
    return Compared(both.reference, nearest_branch(predicted, reference, system).numpy())


def _binding(frames: list[Frame], energy: Compared, alone: Floats) -> Compared:
    """E - Σ E(fragment) of the frames that have fragments."""
    counts = np.array([0 if f.fragments is None else len(f.fragments.charges) for f in frames])
    owner = np.repeat(np.arange(len(frames)), counts)
    predicted = energy.predicted - np.bincount(owner, alone, minlength=len(frames))
    labels = [0.0 if f.fragments is None else float(f.fragments.energies.sum()) for f in frames]
    return Compared(
        np.where(counts > 0, energy.reference - np.array(labels), np.nan), np.where(counts > 0, predicted, np.nan)
    )


def _assemble(
    frames: list[Frame], compared: dict[str, Compared], values: dict[str, Floats], seconds: float
) -> Evaluation:
    n_atoms = np.array([f.system.n_atoms for f in frames])
    index = [np.full(f.system.n_atoms, -1) if f.fragments is None else f.fragments.index.numpy() for f in frames]
    return Evaluation(
        n_atoms=n_atoms,
        group=np.array([f.group for f in frames]),
        distance=np.array([np.nan if f.distance is None else f.distance for f in frames]),
        source=np.array([f.source for f in frames]),
        numbers=np.concatenate([f.system.numbers.numpy() for f in frames]),
        frame=np.repeat(np.arange(len(frames)), n_atoms),
        point_frame=np.repeat(np.arange(len(frames)), [_rows(f, "potential") for f in frames]),
        fragment=np.concatenate(index),
        fragment_charge=np.array([np.nan if f.fragments is None else float(f.fragments.charges[0]) for f in frames]),
        **{name: values.get(name, np.full(len(frames), np.nan)) for name in _BESIDES},
        seconds_per_atom=seconds,
        compared=compared,
    )


def _check(model: Predicts, frames: list[Frame], batch_size: int) -> None:
    if not frames:
        raise InputError("there is nothing to evaluate: the list of frames is empty")
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}, it must be at least 1")
    known = set(model.species)
    for frame in frames:
        if strange := sorted(set(frame.system.numbers.tolist()) - known):
            names, knows = (", ".join(chemical_symbols[z] for z in zs) for zs in (strange, sorted(known)))
            raise InputError(f"{frame.source or 'a frame'} contains {names}; the model knows only {knows}")
