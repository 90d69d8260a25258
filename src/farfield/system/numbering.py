"""Numbers of what is left when some of many are chosen, and of the systems that rows belong to."""

from collections.abc import Sequence, Sized

import torch
from torch import Tensor


def numbers_among(chosen: Tensor, count: int) -> Tensor:
    """Number ``chosen`` (ascending indices) of ``count`` from 0 on: ``(count,)``, -1 for those left out."""
    number = torch.full((count,), -1, dtype=torch.long, device=chosen.device)
    number[chosen] = torch.arange(len(chosen), device=chosen.device)
    return number


def rows_of(systems: Tensor, n_systems: int, index: Tensor) -> tuple[Tensor, Tensor]:
    """Find the rows of some systems (ascending) of ``n_systems``, and number their systems anew: both ``(kept,)``."""
    number = numbers_among(systems.to(index.device), n_systems)[index]
    kept = (number >= 0).nonzero()[:, 0]
    return kept, number[kept]


def index_of(parts: Sequence[Sized]) -> Tensor:
    """Number the part that each row belongs to ``(rows,)``."""
    return torch.repeat_interleave(torch.arange(len(parts)), torch.tensor([len(part) for part in parts]))
