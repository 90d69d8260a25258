"""Gaussians by themselves, K [q²/(2√πσ) + μ²/(12√πσ³) + Θ:Θ/(180√πσ⁵)]: what the sums over pairs leave out."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from farfield.coulomb.functions.gaussians import (
    gaussian_dipole_self_hardness,
    gaussian_self_energy,
    gaussian_self_hardness,
)
from farfield.coulomb.padding import Padding
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.linear_map import LinearMap, Operator
from farfield.coulomb.sums.second_derivatives import Gradient
from farfield.coulomb.terms.term import PotentialAndField, Term
from farfield.system import per_atom, per_system
from farfield.units import COULOMB


@dataclass(frozen=True)
class GaussianSelf(Term):
    """Each Gaussian with itself; points have none."""

    placed: PlacedSources
    widths: Tensor  # (sources,), Å

    def energy(self) -> Tensor:
        """Sum squares over widths."""
        placed = self.placed
        energy = 0.5 * self._hardness * placed.charges.square()
        if placed.moments.rank > 0:
            energy = energy + gaussian_self_energy(placed.moments, self.widths) / COULOMB
        return per_system(energy, placed.system)

    def potential_and_field(self) -> PotentialAndField:
        """Evaluate each Gaussian's potential on itself."""
        system, charges = self.placed.system, self.placed.charges
        nothing = charges.new_zeros(system.n_systems, charges.shape[1], 3, 3)
        return PotentialAndField(self._hardness * charges, None, nothing)

    def operator(self) -> Operator:
        """Prepare the hardness."""
        hardness = self._hardness
        return lambda charges: hardness * charges

    def interaction(self) -> LinearMap:
        """Prepare the hardness of charges and dipoles."""
        charge, dipole = self._hardness.squeeze(1), gaussian_dipole_self_hardness(self.widths) / COULOMB
        hardness = torch.stack([charge, *[dipole] * 3], 1).unsqueeze(2)

        def dipoles(padding: Padding) -> Tensor:
            diagonal = padding.pad(hardness[:, 1:, 0]).flatten(1)
            return torch.diag_embed(diagonal).reshape(-1, *2 * (padding.longest, 3))

        return LinearMap(lambda columns: hardness * columns, dipoles)

    def potential_at(self, points: PlacedSources) -> Tensor:
        """Give nothing: points are other places."""
        return points.charges.new_zeros(len(points.charges), self.placed.charges.shape[1])

    def matrix(self, padding: Padding) -> Tensor:
        """Write the hardness on the diagonal."""
        return torch.diag_embed(padding.pad(self._hardness.squeeze(1)))

    def second_derivatives(self) -> "GaussianDerivatives | None":
        """Derivatives at fixed widths."""
        if self.widths.requires_grad:
            return None
        return GaussianDerivatives(self.placed.double(), self._hardness.squeeze(1).double())

    @cached_property
    def _hardness(self) -> Tensor:
        return gaussian_self_hardness(self.widths).unsqueeze(1) / COULOMB


@dataclass(frozen=True)
class GaussianDerivatives:
    """First and second derivatives of one channel of charges."""

    placed: PlacedSources
    hardness: Tensor  # (sources,), e/Å per e

    def gradient(self) -> Gradient:
        """Gradient of the energy."""
        return self.hardness * self.placed.charges[:, 0], torch.zeros_like(self.placed.system.positions)

    def hessian_vector(self, scale: Tensor, charges: Tensor, positions: Tensor) -> Gradient:
        """Gradient of the derivative of Σ scale·E along charges and positions."""
        return per_atom(scale, self.placed.system) * self.hardness * charges, torch.zeros_like(positions)
