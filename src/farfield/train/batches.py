"""The order in which frames are seen: fixed by seed, epoch and rank, so that a resumed run goes on the same."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from farfield.data.frame import Frame, Labels, collate
from farfield.geometry.neighbors import with_neighbors
from farfield.model import Model
from farfield.system import System


def prepared(frames: list[Frame], model: Model, device: torch.device | None = None) -> list[Frame]:
    """Frames with the neighbours that the model needs attached, searched once, not every epoch; and parts as fragments.

    On a processor those of the features only: sums over longer distances find their pairs in less time than it takes to
    join and to sift lists that long.
    """
    reach = model.backbone.cutoff
    if device is not None and device.type != "cpu":
        reach = max(model.reach(frame.system) for frame in frames)  # one for all: a batch needs its largest
    return [replace(f, system=with_neighbors(_in_parts(f, model).system, reach)) for f in frames]


def _in_parts(frame: Frame, model: Model) -> Frame:
    """The parts that are known to be apart instead of the file's fragments, which may touch."""
    if model.paradigm.keeps_fragments:
        return frame
    apart = frame.apart
    index, charges = (None, None) if apart is None else (apart.index, apart.charges.to(frame.system.charge)[None])
    return replace(frame, system=replace(frame.system, fragment=index, fragment_charges=charges))


class Batches:
    """Shuffled batches of one epoch; every rank gets equally many."""

    def __init__(self, frames: list[Frame], size: int, *, seed: int, rank: int = 0, ranks: int = 1) -> None:
        self.frames, self.size, self.seed, self.rank, self.ranks = frames, size, seed, rank, ranks

    def __len__(self) -> int:
        return -(-len(self.frames) // (self.size * self.ranks))

    def epoch(self, epoch: int, device: torch.device, *, start: int = 0) -> Iterator[tuple[System, Labels]]:
        """Batches ``start``, ``start + 1``, … of an epoch."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.frames))
        order = np.resize(order, max(len(order), len(self) * self.ranks)) if self.ranks > 1 else order
        for chosen in np.array_split(order, len(self) * self.ranks)[self.rank :: self.ranks][start:]:
            yield on_device(*collate([self.frames[k] for k in chosen]), device)


def on_device(system: System, labels: Labels, device: torch.device) -> tuple[System, Labels]:
    """A batch where the model is."""
    moved = {name: value.to(device) for name, value in vars(labels).items() if value is not None}
    return system.to(device=device), Labels(**moved)
