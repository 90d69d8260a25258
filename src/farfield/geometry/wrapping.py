"""Vectors brought near the origin by vectors of a lattice."""

import torch
from torch import Tensor


def nearest_to_origin(
    vectors: Tensor,  # (vectors, 3), Å
    lattice: Tensor,  # (vectors, 3, 3), Å, rows of each vector's own lattice; zero along open axes
) -> Tensor:
    """Take off the nearest lattice vectors, axis by axis ``(vectors, 3)``; differentiable, but for which these are."""
    with torch.no_grad():
        whole = torch.einsum("na,nab->nb", vectors, torch.linalg.pinv(lattice.nan_to_num(0.0, 0.0, 0.0))).round()
    return vectors - torch.einsum("na,nab->nb", whole, lattice)
