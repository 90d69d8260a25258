"""Damping, lest dipoles that induce one another run away: Gaussians of the atoms' own size, or Thole's factors.

A Gaussian of width σ has the self-energy K μ²/(12√π σ³). With σ³ = α/(6√π) that is ½ K μ²/α, the price of a dipole on
an atom of polarizability α: the functional of induced dipoles is then the electrostatic energy of a charge density,
which is positive, whatever the geometry. Points have no such bound: two of them run away from r = (4α₁α₂)^(1/6) on, and
Thole's damping (Chem. Phys. 59, 341 (1981); the exponential form of Ren and Ponder, J. Phys. Chem. B 107, 5933 (2003))
puts that off but does not rule it out.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from farfield.coulomb import PairScaling
from farfield.geometry.neighbors import find_neighbors
from farfield.system import System

Damping = Literal["gaussian", "thole", "none"]

THOLE = 0.39
"""Ren and Ponder's strength a of the damping."""

FADED = 30.0
"""The a·u³ at which e^(-a u³) no longer counts."""


def gaussian_widths(polarizability: Tensor) -> Tensor:
    """σ = (α/6√π)^(1/3) in Å, of polarizabilities in Å³ of any shape (their largest eigenvalues where anisotropic)."""
    return (polarizability / (6 * math.sqrt(math.pi))).pow(1 / 3)


def thole_scaling(
    system: System,
    polarizability: Tensor,  # (atoms,), Å³
    strength: float = THOLE,
) -> PairScaling:
    """Factors 1 of charges on charges, 1 - e^(-au³) of B_1 and 1 - (1 + au³) e^(-au³) of B_2, u = r/(α_i α_j)^(1/6).

    Of all pairs, through images too, that are near enough to feel it; differentiable in positions and polarizabilities.
    """
    reach = float((FADED / strength * polarizability.detach().max()).pow(1 / 3))
    pairs = find_neighbors(system, reach, half=True)
    product = polarizability.index_select(0, pairs.i) * polarizability.index_select(0, pairs.j)
    rate = strength / product.sqrt()

    def factors(squared: Tensor) -> Tensor:
        cubed = rate * squared * squared.sqrt()
        fading = torch.exp(-cubed)
        return torch.stack([torch.ones_like(fading), 1 - fading, 1 - (1 + cubed) * fading], 1)

    return PairScaling(pairs.i, pairs.j, factors, pairs.shift)
