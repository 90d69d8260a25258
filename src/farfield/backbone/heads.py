"""From features to numbers per atom: the readouts that rooms share."""

import torch
from torch import Tensor, nn

from farfield.backbone.contract import Features, Widths
from farfield.backbone.linear import UnitLinear
from farfield.data.statistics import Statistics
from farfield.system import System

GAIN = 0.3
"""Size of what a readout with weights of unit size says, in units of its scale."""

CHARGE_START = 0.3
"""Size of the weights that charges start with: many charges add up, where energies are offset by the baseline."""


class AtomicScalar(nn.Module):
    """One number per atom, zero for an atom alone: what its surroundings change.

    A linear readout of every layer plus a small network on all of them, less the same of the atom without neighbours.
    """

    scale: Tensor

    def __init__(self, widths: Widths, *, hidden: int = 32, start: float = 1.0) -> None:
        super().__init__()
        self.linear = UnitLinear(widths.scalars, 1, gain=GAIN, start=start)
        self.first = UnitLinear(widths.scalars, hidden)
        self.second = UnitLinear(hidden, 1, gain=GAIN, start=start)
        self.register_buffer("scale", torch.ones(()))

    def forward(self, features: Features) -> Tensor:
        """``(atoms,)``, times the scale set from the training data."""
        alone = self._read(features.alone).index_select(0, features.element)
        return self.scale * (self._read(features.scalars) - alone)

    def _read(self, scalars: Tensor) -> Tensor:
        values = self.linear(scalars) + self.second(nn.functional.silu(self.first(scalars)))
        return torch.as_tensor(values[:, 0])


class AtomicVector(nn.Module):
    """One vector per atom, zero for an atom alone: a mixture of its vectors, by weights that its scalars set."""

    def __init__(self, widths: Widths, *, start: float = 1.0) -> None:
        super().__init__()
        self.weigh = UnitLinear(widths.scalars, widths.vectors)
        self.fixed = UnitLinear(widths.vectors, 1, gain=GAIN, start=start)
        self.weighed = UnitLinear(widths.vectors, 1, gain=GAIN, start=start)

    def forward(self, features: Features) -> Tensor:
        """``(atoms, 3)``."""
        return _mixed(self, features.scalars, features.vectors.flatten(2)).reshape(-1, 3)


class AtomicTensor(nn.Module):
    """One symmetric traceless tensor per atom, zero for an atom alone; made as the vectors are."""

    def __init__(self, widths: Widths, *, start: float = 1.0) -> None:
        super().__init__()
        self.weigh = UnitLinear(widths.scalars, widths.tensors)
        self.fixed = UnitLinear(widths.tensors, 1, gain=GAIN, start=start)
        self.weighed = UnitLinear(widths.tensors, 1, gain=GAIN, start=start)

    def forward(self, features: Features) -> Tensor:
        """``(atoms, 3, 3)``."""
        tensors = _mixed(self, features.scalars, features.tensors.flatten(2)).reshape(-1, 3, 3)
        trace = tensors.diagonal(dim1=1, dim2=2).sum(1)  # where channels cancel, their rounding is all there is
        eye = torch.eye(3, dtype=tensors.dtype, device=tensors.device)
        return 0.5 * (tensors + tensors.transpose(1, 2)) - trace[:, None, None] / 3 * eye


def _mixed(head: AtomicVector | AtomicTensor, scalars: Tensor, features: Tensor) -> Tensor:
    """``(atoms, channels, m)`` to ``(atoms, m, 1)``."""
    columns = features.transpose(1, 2)
    weights = nn.functional.silu(head.weigh(scalars)).unsqueeze(1)
    return torch.as_tensor(head.fixed(columns) + head.weighed(columns * weights))


class AtomicEnergy(nn.Module):
    """Short-range energy of each atom, eV: its surroundings' share, and a constant of its element that is learned.

    Where the data has what an element is when torn from its compounds, an atom or an ion alone, the constant stays
    zero: that energy is exact, and with it what separated ions sum up to.
    """

    free: Tensor

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.surroundings = AtomicScalar(widths)
        self.constant = nn.Parameter(torch.zeros(119))
        self.register_buffer("free", torch.ones(119))

    def prepare(self, statistics: Statistics) -> None:
        """Energies come out in units of the data's forces; elements known when torn apart get no constant.

        Where the data says nothing of energies they are 0.
        """
        self.surroundings.scale.fill_(statistics.force_scale if statistics.energetic else 0.0)
        self.free[list(statistics.species)] = (~statistics.pinned).to(self.free)

    def forward(self, system: System, features: Features) -> Tensor:
        """``(atoms,)`` eV."""
        constant = self.surroundings.scale * (self.free * self.constant)[system.numbers]
        return torch.as_tensor(self.surroundings(features)) + constant
