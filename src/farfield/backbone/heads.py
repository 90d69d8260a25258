"""From features to numbers per atom: the readouts that rooms share."""

import math

import torch
from torch import Tensor, nn

from farfield.backbone.contract import Features, Widths


class AtomicScalar(nn.Module):
    """One number per atom: a linear readout of every layer plus a small network on all of them."""

    scale: Tensor

    def __init__(self, widths: Widths, *, hidden: int = 32, scale: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(widths.scalars, 1)
        self.network = nn.Sequential(nn.Linear(widths.scalars, hidden), nn.SiLU(), nn.Linear(hidden, 1, bias=False))
        nn.init.normal_(self.linear.weight, std=0.3 / math.sqrt(widths.scalars))
        nn.init.zeros_(self.linear.bias)
        nn.init.normal_(self.network[2].weight, std=0.3 / math.sqrt(hidden))
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, features: Features) -> Tensor:
        """``(atoms,)``, times the scale set from the training data."""
        scalars = features.scalars
        return torch.as_tensor(self.scale * (self.linear(scalars) + self.network(scalars))[:, 0])
