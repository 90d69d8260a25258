"""Points at which the electrostatic potential of a system is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from farfield.errors import InputError
from farfield.system.numbering import index_of, rows_of


@dataclass(frozen=True)
class PotentialPoints:
    """Places, any number a system, where nothing sits and nothing is felt: models say their potential there.

    Args:
        positions: ``(points, 3)``, Å.
        system_index: ``(points,)`` int64, the system of the batch each belongs to, ascending.

    Raises:
        InputError: shapes that do not fit, positions that are not finite, an order that does not ascend.
    """

    positions: Tensor
    system_index: Tensor

    def __post_init__(self) -> None:
        if tuple(self.positions.shape) != (len(self.system_index), 3):
            raise InputError(
                f"PotentialPoints.positions has shape {tuple(self.positions.shape)}, "
                f"expected {(len(self.system_index), 3)}"
            )
        if not torch.isfinite(self.positions.detach()).all():
            raise InputError("PotentialPoints.positions has values that are not finite")
        if (self.system_index.diff() < 0).any():
            raise InputError("PotentialPoints.system_index must ascend: sort them by system")

    def select(self, systems: Tensor, n_systems: int) -> "PotentialPoints | None":
        """Take those of some systems (ascending indices) of ``n_systems``, numbered anew; None where they have none."""
        kept, index = rows_of(systems, n_systems, self.system_index)
        return PotentialPoints(self.positions[kept], index) if len(kept) else None

    def with_positions(self, positions: Tensor) -> "PotentialPoints":
        """Ask somewhere else, ``(points, 3)`` Å."""
        return replace(self, positions=positions)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "PotentialPoints":
        """Move to another device or floating-point type."""
        return PotentialPoints(self.positions.to(device=device, dtype=dtype), self.system_index.to(device))


def potential_points_of(infos: Sequence[dict[str, Any]], dtype: torch.dtype) -> PotentialPoints | None:
    """Read ``info["potential_points"]`` of frames, rows x, y, z (Å); None where no frame has any.

    Raises:
        InputError: values that are not such rows.
    """
    where = [f"structure {k}: " if len(infos) > 1 else "" for k in range(len(infos))]
    rows = [_rows(info.get("potential_points"), place) for info, place in zip(infos, where)]
    if not sum(map(len, rows)):
        return None
    return PotentialPoints(torch.from_numpy(np.concatenate(rows)).to(dtype), index_of(rows))


def _rows(given: Any, where: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """``(points, 3)``."""
    try:
        table = np.zeros((0, 3)) if given is None or not np.size(given) else np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        table = np.full((1, 1), np.nan)
    if table.ndim != 2 or table.shape[1] != 3 or not np.isfinite(table).all():
        raise InputError(
            f"{where}info['potential_points'] should be rows x, y, z (Å), all finite, it has shape {table.shape}"
        )
    return table


def joined_potential_points(
    parts: Sequence[PotentialPoints | None], first_system: Sequence[int]
) -> PotentialPoints | None:
    """Join those of batches whose first systems have these numbers; None where none has any."""
    given = [(part, first) for part, first in zip(parts, first_system) if part is not None]
    if not given:
        return None
    return PotentialPoints(
        torch.cat([part.positions for part, _ in given]),
        torch.cat([part.system_index + first for part, first in given]),
    )
