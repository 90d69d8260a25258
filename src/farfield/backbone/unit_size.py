"""Features of unit size at every stage, measured once on the training data.

Products of densities are cubic in what comes in; without this a network starts off by orders of magnitude and spends
its training coming down. Layer-sequential unit variance: Mishkin & Matas, ICLR 2016.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class UnitSize(nn.Module):
    """x → x · scale, one scale per group of rows; ``measuring`` sets it so that every group has unit rms."""

    scale: Tensor
    group: Tensor

    def __init__(self, groups: list[int]) -> None:
        """``groups`` says which group each row belongs to."""
        super().__init__()
        self.register_buffer("group", torch.tensor(groups), persistent=False)
        self.register_buffer("scale", torch.ones(max(groups) + 1))
        self.measuring = False

    def forward(self, x: Tensor) -> Tensor:
        """``(atoms, rows, channels)`` → the same shape."""
        if self.measuring:
            self._measure(x.detach())
        return x * self.scale[self.group][:, None]

    def _measure(self, x: Tensor) -> None:
        squares = x.square().mean((0, 2))
        count = torch.bincount(self.group).to(squares)
        rms = (torch.zeros_like(self.scale).index_add(0, self.group, squares) / count).sqrt()
        # what vanishes in this data (an order l that symmetry forbids) keeps its size
        self.scale.copy_(torch.where(rms > 1e-6, 1 / rms.clamp_min(1e-6), 1.0))


def measure_sizes(network: nn.Module, run: Callable[[], object]) -> None:
    """Set every ``UnitSize`` of a network that one pass, ``run``, goes through, in the order of the pass."""
    stages = [module for module in network.modules() if isinstance(module, UnitSize)]
    for stage in stages:
        stage.measuring = True
    try:
        with torch.no_grad():
            run()
    finally:
        for stage in stages:
            stage.measuring = False
