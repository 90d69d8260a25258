"""Pairs each once, attached to a system for the sums that read them: as rows, or as the columns of a list."""

from dataclasses import replace
from typing import Any

import torch

from farfield.compiled import has_loops
from farfield.geometry import listed_rows
from farfield.geometry.neighbors import find_neighbors, search_rows
from farfield.geometry.rows import NeighborRows
from farfield.system import NeighborList, System


def with_half_list(system: System, reach: float) -> System:
    """Attach the pairs closer than ``reach`` Å, each once: found for all the sums that follow."""
    known = system.neighbors
    if reach == 0 or (known is not None and known.cutoff >= reach):
        return system
    rows = search_rows(system, reach) if has_loops(system.positions) else None
    if rows is None:
        return replace(system, neighbors=find_neighbors(system, reach, half=True, may_touch=True))
    return replace(system, neighbors=RowsNeighborList(rows, reach, system.positions.dtype))


class RowsNeighborList(NeighborList):
    """List of pairs as rows, which compiled sums read; its columns are written once somebody asks for one."""

    rows: NeighborRows
    dtype: torch.dtype

    def __init__(self, rows: NeighborRows, cutoff: float, dtype: torch.dtype) -> None:
        vars(self).update(rows=rows, cutoff=cutoff, half=True, dtype=dtype)

    def __getattr__(self, name: str) -> Any:
        if name not in ("i", "j", "shift"):
            raise AttributeError(name)
        i, j, shift = (torch.from_numpy(column) for column in listed_rows.listing(self.rows))
        vars(self).update(i=i, j=j, shift=shift.to(self.dtype))
        return vars(self)[name]
