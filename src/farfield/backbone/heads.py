"""From features to numbers per atom: the readouts that rooms share."""

import torch
from torch import Tensor, nn

from farfield.backbone.contract import Features, Widths
from farfield.backbone.linear import UnitLinear

START = 0.3
"""Size of what an untrained readout says, in units of its scale."""


class AtomicScalar(nn.Module):
    """One number per atom: a linear readout of every layer plus a small network on all of them."""

    scale: Tensor

    def __init__(self, widths: Widths, *, hidden: int = 32, scale: float = 1.0) -> None:
        super().__init__()
        self.linear = UnitLinear(widths.scalars, 1, gain=START)
        self.first = UnitLinear(widths.scalars, hidden)
        self.second = UnitLinear(hidden, 1, gain=START)
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, features: Features) -> Tensor:
        """``(atoms,)``, times the scale set from the training data."""
        scalars = features.scalars
        values = self.linear(scalars) + self.second(nn.functional.silu(self.first(scalars)))
        return torch.as_tensor(self.scale * values[:, 0])
