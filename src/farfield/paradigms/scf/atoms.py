"""From features to how every atom answers to potential and field."""

import math

import torch
from torch import Tensor, nn

from farfield.backbone.contract import Features, Widths
from farfield.backbone.heads import CHARGE_START, AtomicScalar, AtomicVector
from farfield.backbone.linear import UnitLinear
from farfield.response.density.atomic_response import AtomicResponse
from farfield.system import System
from farfield.units import COULOMB

VOLT = 3.0
"""V: potentials over which a step of the response is spread."""

ANGSTROM = 1.0
"""Å: by how far apart charge moves in an atom when the field does what the potential does to the whole of it."""

HEIGHT = 0.1
"""e: charge that a step starts with."""


class ResponseHeads(nn.Module):
    """Preferred charges and dipoles, softness and polarizability, and the steps of ``AtomicResponse``."""

    def __init__(self, widths: Widths, *, channels: int, hardness: float, polarizability: float) -> None:
        super().__init__()
        self.channels = channels
        self.element_charge = nn.Parameter(torch.zeros(119))  # e
        self.charge = AtomicScalar(widths, start=CHARGE_START)
        self.dipole = AtomicVector(widths, start=CHARGE_START)
        self.log_hardness = nn.Parameter(torch.full((119,), math.log(hardness)))
        self.log_polarizability = nn.Parameter(torch.full((119,), math.log(polarizability)))
        self.hardening = AtomicScalar(widths, start=CHARGE_START)
        self.swelling = AtomicScalar(widths, start=CHARGE_START)
        if channels:
            self.steps = UnitLinear(widths.scalars, 3 * channels)
            self.turn = UnitLinear(widths.vectors, channels)

    def forward(self, system: System, features: Features, own: Tensor) -> AtomicResponse:
        """Predict the response of every atom; ``own`` (atoms, 4) is what its Gaussians do to themselves."""
        numbers, atoms = system.numbers, system.n_atoms
        hardness = self.log_hardness[numbers] + 2 * torch.tanh(0.5 * self.hardening(features))
        volume = self.log_polarizability[numbers] + 2 * torch.tanh(0.5 * self.swelling(features))
        if self.channels:
            height, place, slope = self.steps(features.scalars).reshape(atoms, 3, self.channels).unbind(1)
            turn = self.turn(features.vectors.transpose(1, 2)).transpose(1, 2)
        else:
            height = place = slope = features.scalars.new_zeros(atoms, 0)
            turn = features.scalars.new_zeros(atoms, 0, 3)
        # bounded, as are softness and polarizability: structures unlike those learned from have a density, too
        height = HEIGHT * VOLT * torch.exp(2 * torch.tanh(0.5 * height))
        slope = torch.exp(torch.tanh(slope)) / VOLT
        turn = turn * torch.rsqrt(1 + turn.square().sum(2, keepdim=True) / 9)
        found = (
            self.element_charge[numbers] + self.charge(features),
            self.dipole(features),
            torch.exp(-hardness),
            torch.exp(volume) / COULOMB,
            height,
            place,
            slope,
            (ANGSTROM / VOLT) * turn,
        )
        return AtomicResponse(own, *(x.double() for x in found))
