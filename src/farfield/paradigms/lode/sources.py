"""Sources of the potential: a unit charge of each element, or charges learned from the surroundings."""

import torch
from torch import Tensor, nn

from farfield.backbone.heads import CHARGE_START
from farfield.backbone.linear import UnitLinear
from farfield.system import System


class ElementSources(nn.Module):
    """One charge of 1 e an atom, in the channel of its element."""

    channel: Tensor

    def __init__(self, species: tuple[int, ...]) -> None:
        super().__init__()
        self.count = len(species)
        channel = torch.zeros(119, dtype=torch.int64)
        channel[list(species)] = torch.arange(len(species))
        self.register_buffer("channel", channel, persistent=False)

    def forward(self, system: System, scalars: Tensor) -> Tensor:
        """``(atoms, elements)`` e, in the precision of the scalars."""
        return nn.functional.one_hot(self.channel[system.numbers], self.count).to(scalars)


class LearnedSources(nn.Module):
    """Charges that nothing conserves: a constant of the element, and what the scalars say."""

    def __init__(self, scalars: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.element = nn.Parameter(CHARGE_START * torch.randn(119, count))
        self.surroundings = UnitLinear(scalars, count, start=CHARGE_START)

    def forward(self, system: System, scalars: Tensor) -> Tensor:
        """``(atoms, count)`` e."""
        return torch.as_tensor(self.element[system.numbers] + self.surroundings(scalars))
