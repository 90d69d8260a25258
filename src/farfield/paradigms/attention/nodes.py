"""Learned nodes without a place: they attend to all atoms of a system, and all atoms to them.

After RANGE (Caruso et al., 2025). What a node knows is a mean over the atoms, so that a crystal described by a larger
cell is the same; what is far counts as much as what is near.
"""

import math

import torch
from torch import Tensor, nn

from farfield.backbone.contract import Features
from farfield.backbone.linear import UnitLinear
from farfield.system import System, per_system


class Nodes(nn.Module):
    """m_i = Σ_a softmax_a(q_i·c_a) Σ_j softmax_j(k_j)_a v_j, v what surroundings change in an atom."""

    def __init__(self, scalars: int, nodes: int, size: int = 16) -> None:
        super().__init__()
        self.attend = UnitLinear(scalars, nodes)
        self.asked = UnitLinear(scalars, nodes)
        self.value = UnitLinear(scalars, size)
        self.out = UnitLinear(nodes * size, scalars, start=0.3)

    def forward(self, system: System, features: Features) -> Tensor:
        """``(atoms, scalars)``; zero where every atom is alone."""
        changed = features.scalars - features.alone.index_select(0, features.element)
        share = torch.exp(4 * torch.tanh(0.25 * self.attend(changed)))  # bounded: one atom never is all of the mean
        total = per_system(share, system)
        sums = per_system(share.unsqueeze(2) * self.value(changed).unsqueeze(1), system)
        known = (sums / total.unsqueeze(2))[system.system_index]
        answer = torch.softmax(self.asked(changed), dim=1) * math.sqrt(share.shape[1])
        return torch.as_tensor(self.out((answer.unsqueeze(2) * known).flatten(1)))
