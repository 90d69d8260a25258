"""Charges that are no atoms of the model, for instance those of an MM region around it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from farfield.errors import InputError
from farfield.system.numbering import index_of, rows_of

EXPECTED = "rows x, y, z (Å), charge (e) or x, y, z, charge, Gaussian width (Å), all finite"


@dataclass(frozen=True)
class ExternalCharges:
    """Fixed charges, points or Gaussians, that act on the charges of all atoms and feel forces back.

    Along periodic axes they have images as atoms have. What they do to one another is nobody's energy here.

    Args:
        positions: ``(sources, 3)``, Å.
        charges: ``(sources,)``, e.
        system_index: ``(sources,)`` int64, the system of the batch each belongs to, ascending.
        widths: Gaussian widths σ ``(sources,)``, Å; 0, or None for all, are points.

    Raises:
        InputError: shapes that do not fit, values that are not finite, negative widths, an order that does not ascend.
    """

    positions: Tensor
    charges: Tensor
    system_index: Tensor
    widths: Tensor | None = None

    def __post_init__(self) -> None:
        count = len(self.charges)
        wanted = {"positions": (count, 3), "charges": (count,), "system_index": (count,), "widths": (count,)}
        for name, shape in wanted.items():
            value = getattr(self, name)
            if value is None:
                continue
            if tuple(value.shape) != shape:
                raise InputError(f"ExternalCharges.{name} has shape {tuple(value.shape)}, expected {shape}")
            if not torch.isfinite(value.detach()).all():
                raise InputError(f"ExternalCharges.{name} has values that are not finite")
        if self.widths is not None and (self.widths.detach() < 0).any():
            raise InputError("ExternalCharges.widths: a Gaussian width is 0 (a point) or more")
        if (self.system_index.diff() < 0).any():
            raise InputError("ExternalCharges.system_index must ascend: sort them by system")

    def select(self, systems: Tensor, n_systems: int) -> "ExternalCharges | None":
        """Take those of some systems (ascending indices) of ``n_systems``, numbered anew; None where they have none."""
        kept, index = rows_of(systems, n_systems, self.system_index)
        if not len(kept):
            return None
        widths = None if self.widths is None else self.widths[kept]
        return ExternalCharges(self.positions[kept], self.charges[kept], index, widths)

    def with_positions(self, positions: Tensor) -> "ExternalCharges":
        """Put the same charges somewhere else, ``(sources, 3)`` Å; differentiable."""
        return replace(self, positions=positions)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "ExternalCharges":
        """Move to another device or floating-point type."""
        positions, charges = (x.to(device=device, dtype=dtype) for x in (self.positions, self.charges))
        widths = None if self.widths is None else self.widths.to(device=device, dtype=dtype)
        return ExternalCharges(positions, charges, self.system_index.to(device), widths)


def external_charges_of(infos: Sequence[dict[str, Any]], dtype: torch.dtype) -> ExternalCharges | None:
    """Read ``info["external_charges"]`` of frames, rows of 4 or 5 numbers a charge; None where no frame has any.

    Raises:
        InputError: values that are not such rows.
    """
    where = [f"structure {k}: " if len(infos) > 1 else "" for k in range(len(infos))]
    rows = [_rows(info.get("external_charges"), place) for info, place in zip(infos, where)]
    if not sum(map(len, rows)):
        return None
    table = torch.from_numpy(np.concatenate(rows)).to(dtype)
    widths = table[:, 4] if bool((table[:, 4] != 0).any()) else None
    return ExternalCharges(table[:, :3], table[:, 3], index_of(rows), widths)


def _rows(given: Any, where: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """``(sources, 5)``."""
    if given is None:
        return np.zeros((0, 5))
    try:
        table = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        table = np.full((1, 1), np.nan)
    if table.size == 0:
        return np.zeros((0, 5))
    table = np.atleast_2d(table)
    if table.ndim != 2 or table.shape[1] not in (4, 5) or not np.isfinite(table).all():
        raise InputError(f"{where}info['external_charges'] should be {EXPECTED}, it has shape {table.shape}")
    return np.pad(table, ((0, 0), (0, 5 - table.shape[1])))


def joined_external_charges(
    parts: Sequence[ExternalCharges | None], first_system: Sequence[int]
) -> ExternalCharges | None:
    """Join those of batches whose first systems have these numbers; None where none has any."""
    given = [(part, first) for part, first in zip(parts, first_system) if part is not None]
    if not given:
        return None
    widths = None
    if any(part.widths is not None for part, _ in given):
        widths = torch.cat([torch.zeros_like(p.charges) if p.widths is None else p.widths for p, _ in given])
    return ExternalCharges(
        torch.cat([part.positions for part, _ in given]),
        torch.cat([part.charges for part, _ in given]),
        torch.cat([part.system_index + first for part, first in given]),
        widths,
    )
