"""Gaussian charges of ions on the atoms and of electrons beside them, and what they do to each other.

With Z the charge of an ion, n its electrons and w where their centroid is from it, an atom has the net charge Z - n,
the dipole -n w and the quadrupole -n ½ (3 w⊗w - w²) besides: exactly the moments of the two.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farfield.coulomb import Coulomb, PairScaling, Sources
from farfield.field import external_potential
from farfield.system import System


@dataclass(frozen=True)
class IonsAndElectrons:
    """Every atom's ion, then the electrons of those that have any."""

    positions: Tensor  # (ions + centroids, 3), Å
    charges: Tensor  # (ions + centroids,), e
    system_index: Tensor  # (ions + centroids,)
    owner: Tensor  # (centroids,) the atoms they belong to
    dipoles: Tensor  # (atoms, 3), e·Å, -n w
    quadrupoles: Tensor  # (atoms, 3, 3), e·Å², traceless

    @classmethod
    def of(
        cls,
        system: System,
        net: Tensor,  # (atoms,), e
        electrons: Tensor,  # (atoms,), how many; 0 where there is no centroid
        displacement: Tensor,  # (atoms, 3), Å
    ) -> "IonsAndElectrons":
        """Place them; differentiable."""
        owner = (electrons > 0).nonzero()[:, 0]
        own, places, index = displacement[owner], system.positions, system.system_index
        square = displacement.unsqueeze(2) * displacement.unsqueeze(1)
        trace = square.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
        return cls(
            torch.cat([places, places[owner] + own]),
            torch.cat([net + electrons, -electrons[owner]]),
            torch.cat([index, index[owner]]),
            owner,
            -electrons[:, None] * displacement,
            -0.5 * electrons[:, None, None] * (3 * square - trace * torch.eye(3).to(square)),
        )

    def energy(self, system: System, coulomb: Coulomb, width: float) -> Tensor:
        """Sum the energies ``(systems,)``, eV, of all with all but an ion with its own electrons, and external charges.

        An atom's two Gaussians are left out as self-energies are: they can lie on top of each other, and what they do
        depends on |w| alone.
        """
        sources = Sources(self.positions, self.system_index, self.charges, widths=width)
        ions = len(self.positions) - len(self.owner)
        within = PairScaling(self.owner, ions + torch.arange(len(self.owner)).to(self.owner), 0.0 * self.charges[ions:])
        energy = coulomb.energy(system, sources=sources, self_energy=False, pairs=within if len(self.owner) else None)
        if system.external_charges is None:
            return energy
        sites, order = system.with_sites(self.positions, self.system_index)
        sites = replace(sites, external_charges=system.external_charges)
        outside = external_potential(sites, coulomb, width)
        assert outside is not None
        return energy + outside.energy(sites, self.charges[order])
