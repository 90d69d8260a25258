"""Boxes around sources: the lattice along periodic axes, and the box that stands in for it along open ones.

Along open axes there are no images. A sum over waves makes some all the same, at the distance of a box, and a kernel
that ends at some radius (truncated_kernel.py) does not see them: the box must hold the sources, that radius, and the
tail by which the splitting smears both.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from farfield.errors import InputError
from farfield.geometry.lattice import complete, reduce
from farfield.system import System, check_cell

MARGIN = 2.0
"""Å around a molecule, a wire or a slab that belong to its volume in the scale of the error."""

STEP = 0.5
"""Å to which extents are rounded up: plans do not change with every step of a trajectory."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Box:
    """Boxes of systems that are periodic along equally many axes."""

    frame: Array  # (systems, 3, 3) lattice vectors, unit vectors across them along open axes, Å
    open: Array  # (systems, 3) bool
    extents: Array  # (systems, 3) of the sources along open axes, rounded up; 0 along periodic ones, Å

    @property
    def volume(self) -> Array:
        """(systems,) of the cells, or of boxes around the sources, Å³."""
        lengths = np.where(self.open, self.extents + 2 * MARGIN, 1.0)
        volume: Array = np.abs(np.linalg.det(self.frame)) * lengths.prod(1)
        return volume

    def wave_cell(self, tail: Array) -> tuple[Array, Array]:
        """Cells ``(systems, 3, 3)`` for the waves and radii ``(systems,)`` where kernels end, in Å.

        ``tail`` (systems,) is the distance beyond which smearing no longer counts. Zero radii where nothing is open.
        """
        radius = np.where(self.open.any(1), np.linalg.norm(self.extents, axis=1) + tail, 0.0)
        lengths = np.where(self.open, self.extents + (radius + tail)[:, None], 1.0)
        return self.frame * lengths[:, :, None], radius

    def reduced(self) -> "tuple[Box, Array]":
        """Reduce the box of one system to as little skew as can be; the whole numbers ``(3, 3)`` that make it, too."""
        frame, turn = self.frame.copy(), np.empty((3, 3))
        reduce(frame[0], turn, ~self.open[0])
        return Box(frame, self.open, self.extents), turn

    def of(self, k: int) -> "Box":
        """Take the box of one system."""
        return Box(self.frame[k : k + 1], self.open[k : k + 1], self.extents[k : k + 1])

    def key(self) -> tuple[tuple[float, ...], ...]:
        """Make something hashable of which ``from_key`` restores the box."""
        return tuple(tuple(part.reshape(-1).tolist()) for part in (self.frame, self.open, self.extents))

    @classmethod
    def from_key(cls, key: tuple[tuple[float, ...], ...]) -> "Box":
        """Restore the box that ``key`` was taken of."""
        frame, opened, extents = (np.array(part) for part in key)
        return cls(frame.reshape(-1, 3, 3), opened.reshape(-1, 3).astype(bool), extents.reshape(-1, 3))


def box_of(system: System, points: System | None = None) -> Box:
    """Find the boxes around the atoms of a batch, and around ``points`` in the same systems.

    Raises:
        InputError: a periodic system without volume.
    """
    cell = system.cell.detach().to("cpu", torch.float64).numpy()
    periodic = system.periodic.cpu().numpy()
    if periodic.all():
        _check_volume(cell)
        return Box(cell, ~periodic, np.zeros((len(cell), 3)))
    frame = np.empty_like(cell)
    for k, (rows, lattice, axes) in enumerate(zip(frame, cell, periodic)):
        check_cell(lattice, axes, f"structure {k}: ")
        complete(rows, lattice, axes)
    extents = np.zeros((len(cell), 3))
    everything = [part for part in (system, points) if part is not None]
    places = np.concatenate([part.positions.detach().to("cpu", torch.float64).numpy() for part in everything])
    owner = np.concatenate([part.system_index.cpu().numpy() for part in everything])
    along = np.einsum("nx,nax->na", places, frame[owner])
    for k in range(len(cell)):
        mine = along[owner == k]
        if len(mine):
            extents[k] = np.ceil(np.ptp(mine, axis=0) / STEP + 0.1) * STEP
    return Box(frame, ~periodic, np.where(periodic, 0.0, extents))


def refuse_outside(system: System, wave_cell: Tensor, extent_allowed: Tensor) -> None:
    """Raise if sources are further apart along an open axis than a plan has room for, or its boxes lean by as much."""
    periodic = system.periodic.cpu().numpy()
    if periodic.all():
        return
    places, cell, boxes, allowed = (
        x.detach().to("cpu", torch.float64).numpy() for x in (system.positions, system.cell, wave_cell, extent_allowed)
    )
    lattice = np.where(periodic[:, :, None], cell, 0.0)
    upright = boxes - boxes @ np.linalg.pinv(lattice) @ lattice
    height = np.linalg.norm(upright, axis=2)
    owner = system.system_index.cpu().numpy()
    along = np.einsum("nx,nax->na", places, (upright / np.maximum(height, 1e-300)[:, :, None])[owner])
    low, high = np.full(height.shape, np.inf), np.full(height.shape, -np.inf)
    np.minimum.at(low, owner, along)
    np.maximum.at(high, owner, along)
    span = np.where(high > low, high - low, 0.0)
    outside = ~periodic & (span + np.linalg.norm(boxes, axis=2) - height > allowed)
    if outside.any():
        k, axis = (int(place[0]) for place in outside.nonzero())
        raise InputError(
            f"the plan has room for {allowed[k, axis]:.4g} Å along the open axis {'abc'[axis]} of structure {k}, whose "
            f"sources span {span[k, axis]:.4g} Å, or whose cell has turned: make the plan anew"
        )


def summed_cell(system: System, wave_cell: Tensor) -> Tensor:
    """Join lattice vectors along periodic axes with those of ``wave_cell`` along open ones ``(systems, 3, 3)``."""
    return torch.where(system.periodic.unsqueeze(2), system.cell, wave_cell)


def _check_volume(cell: Array) -> None:
    volume = np.abs(np.linalg.det(cell))
    flat = ~(volume > 1e-9 * np.linalg.norm(cell, axis=2).prod(1)) | ~np.isfinite(volume)
    if flat.any():
        k = int(flat.nonzero()[0][0])
        raise InputError(f"structure {k} is periodic but its cell {cell[k].tolist()} has the volume {volume[k]} Å³")
