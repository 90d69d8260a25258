"""Polarizability of atoms: positive whatever the network says, from scalars and, for the anisotropy, tensors."""

import math
from dataclasses import dataclass

import torch
from ase.data import chemical_symbols
from torch import Tensor, nn

from farfield.backbone.contract import Features, Widths
from farfield.backbone.heads import AtomicScalar, AtomicTensor
from farfield.errors import InputError
from farfield.system import System

STEEPEST = math.sqrt(2 / 3)
"""Largest eigenvalue, either way, of a traceless symmetric 3 × 3 matrix whose squares sum to 1."""

ROUND = 0.1
"""Of an anisotropy: the largest eigenvalue's bound is smooth where there is none, and this far above."""


@dataclass(frozen=True)
class Response:
    """Polarizabilities of atoms, Å³."""

    tensor: Tensor  # (atoms,) where isotropic, or (atoms, 3, 3)
    mean: Tensor  # (atoms,)
    largest: Tensor  # (atoms,) no eigenvalue is larger; smooth


class AtomicPolarizability(nn.Module):
    """α = α_Z e^(tanh u(h)) (1 + S), α_Z that of the element alone; S = t/√(1 + t:t), t traceless, from l = 2 features.

    The eigenvalues of 1 + S lie between 0.18 and 1.82.
    """

    def __init__(
        self, widths: Widths, species: tuple[int, ...], *, start: float | dict[str, float], anisotropic: bool
    ) -> None:
        super().__init__()
        given = start if isinstance(start, dict) else {}
        if strangers := sorted(set(given) - {chemical_symbols[z] for z in species}):
            raise InputError(f"start names {strangers}, which the data does not hold")
        same = 1.0 if isinstance(start, dict) else start
        values = [given.get(symbol, same) for symbol in chemical_symbols[:119]]
        self.log_element = nn.Parameter(torch.tensor(values, dtype=torch.get_default_dtype()).log())
        self.change = AtomicScalar(widths)
        self.anisotropy = AtomicTensor(widths) if anisotropic else None

    def forward(self, system: System, features: Features) -> Response:
        """Predict the polarizability of every atom of the batch."""
        mean = torch.exp(self.log_element[system.numbers] + torch.tanh(self.change(features)))
        if self.anisotropy is None:
            return Response(mean, mean, mean)
        tensor = self.anisotropy(features)
        square = tensor.square().sum((1, 2))
        bounded = tensor * torch.rsqrt(1 + square)[:, None, None]
        whole = mean[:, None, None] * (torch.eye(3, dtype=mean.dtype, device=mean.device) + bounded)
        return Response(whole, mean, mean * (1 + STEEPEST * (square / (1 + square) + ROUND**2).sqrt()))

    def bound(self, system: System) -> Tensor:
        """Bound ``largest`` (atoms,) from above, whatever the surroundings, Å³."""
        widest = 1.0 if self.anisotropy is None else 1 + STEEPEST * math.sqrt(1 + ROUND**2)
        return math.e * widest * self.log_element.detach()[system.numbers].exp()
