"""Universal screened repulsion of nuclei, which keeps atoms apart where no training frame is.

    E = Σ_pairs K Z_i Z_j / r · φ(r/a),  a = 0.46850 Å / (Z_i^0.23 + Z_j^0.23)

(Ziegler, Biersack, Littmark, The Stopping and Range of Ions in Solids, 1985), switched off smoothly where the covalent
radii (Cordero et al., Dalton Trans. 2008) end to touch: chemistry beyond is the network's. In its turn the network sees
no distance much below half of that, so that what it makes up there stays bounded and the nuclei win.
"""

import torch
from ase.data import covalent_radii
from torch import Tensor, nn

from farfield.backbone.radial import envelope
from farfield.geometry.neighbors import Pairs
from farfield.system import System, per_system
from farfield.units import COULOMB

AMPLITUDE = (0.18175, 0.50986, 0.28022, 0.02817)
DECAY = (3.19980, 0.94229, 0.40290, 0.20162)
UNKNOWN_RADIUS = 1.5
"""Å, for the elements that no one has measured (ASE writes 0.2 for them)."""


def covalent_radius(like: Tensor) -> Tensor:
    """Å, ``(119,)`` by atomic number, in the type of a tensor."""
    radii = torch.tensor(covalent_radii[:119])
    radii[radii <= 0.2] = UNKNOWN_RADIUS
    return radii.to(like)


def softened(
    distance: Tensor,  # (pairs,), Å
    touching: Tensor,  # (pairs,), sum of the covalent radii, Å
) -> Tensor:  # (pairs,), Å
    """The distance down to about half of ``touching``, and no less: (r⁸ + (touching/2)⁸)^(1/8)."""
    inner = 0.5 * touching
    return inner * (1 + (distance / inner) ** 8) ** 0.125


class Repulsion(nn.Module):
    """Ziegler-Biersack-Littmark repulsion within touching covalent radii; nothing to train."""

    radius: Tensor
    strength: Tensor

    def __init__(self, cutoff: float) -> None:
        """``cutoff`` of the pairs it will be given, Å: it ends there where radii reach further."""
        super().__init__()
        self.cutoff = cutoff
        power = torch.arange(119, dtype=torch.float64) ** 0.23
        self.register_buffer("strength", power.to(torch.get_default_dtype()), persistent=False)  # Z^0.23
        self.register_buffer("radius", covalent_radius(self.strength), persistent=False)  # Å

    def forward(self, system: System, pairs: Pairs) -> Tensor:
        """``(systems,)`` eV; pairs come twice."""
        z_i, z_j = system.numbers[pairs.i], system.numbers[pairs.j]
        touching = (self.radius[z_i] + self.radius[z_j]).clamp_max(self.cutoff)
        near = pairs.distance.detach() < touching
        z_i, z_j, r, touching = z_i[near], z_j[near], pairs.distance[near], touching[near]
        x = r * (self.strength[z_i] + self.strength[z_j]) / 0.46850
        screening = torch.stack([a * torch.exp(-b * x) for a, b in zip(AMPLITUDE, DECAY)]).sum(0)
        pair = 0.5 * COULOMB * (z_i * z_j) / r * screening * envelope(r / touching)
        atom = pair.new_zeros(system.n_atoms).index_add(0, pairs.i[near], pair)
        return per_system(atom, system)
