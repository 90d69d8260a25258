"""Numbers of what is left when some of many are chosen."""

import torch
from torch import Tensor


def numbers_among(chosen: Tensor, count: int) -> Tensor:
    """Number ``chosen`` (ascending indices) of ``count`` from 0 on: ``(count,)``, -1 for those left out."""
    number = torch.full((count,), -1, dtype=torch.long, device=chosen.device)
    number[chosen] = torch.arange(len(chosen), device=chosen.device)
    return number
