"""Linear maps whose weights have unit size: the fan-in is divided out in the forward, not at the start.

One Adam step then changes every weight of the network by about the same relative amount, the learning rate.
"""

import math

import torch
from torch import Tensor, nn


class UnitLinear(nn.Module):
    """x → gain/√inputs · x W without a bias, W of size ``start`` at the start."""

    linear_maps = ("weight",)

    def __init__(self, inputs: int, outputs: int, *, gain: float = 1.0, start: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(start * torch.randn(inputs, outputs))
        self.gain = gain / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """``(…, inputs)`` → ``(…, outputs)``."""
        return x @ (self.weight * self.gain)
