"""Charges that plain equilibration leaves on atoms infinitely far apart: fractions, where there should be integers."""

import torch
from torch import Tensor

from farfield.coulomb.functions.gaussians import gaussian_self_hardness


def charges_apart(
    electronegativity: Tensor,  # (atoms,), V
    hardness: Tensor,  # (atoms,), V/e
    widths: Tensor | float | None = None,  # (atoms,), Å, of Gaussians, whose self-energy adds to the hardness
    total: float = 0.0,  # e
) -> Tensor:  # (atoms,), e
    """q_i = (μ - χ_i)/J_i at Σq = total, for however many atoms without any interaction; differentiable.

    Two atoms keep (χ₂ - χ₁)/(J₁ + J₂) at any distance, though the work to charge them is what their ionization energy
    and electron affinity leave, and they should be neutral: the failure of every quadratic energy without bonds
    (Perdew, Parr, Levy and Balduz, Phys. Rev. Lett. 49, 1691 (1982)). ``transfer: split_charge`` has none of it.
    """
    stiff = hardness
    if widths is not None:
        stiff = hardness + gaussian_self_hardness(torch.as_tensor(widths).to(hardness).expand_as(hardness))
    soft = 1 / stiff
    common = (total + (electronegativity * soft).sum()) / soft.sum()
    return (common - electronegativity) * soft
