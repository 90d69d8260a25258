"""Ions and Wannier centroids: E = Σ ε(h) + E_C[Z at R, -n at R + w(h)], Gaussians.

Deep potential long range: Zhang et al., J. Chem. Phys. 156, 124107 (2022); deep Wannier: Zhang et al., Phys. Rev. B
102, 041121 (2020). An ion and its own electrons do not interact here, nor does a Gaussian with itself: DPLR's energy
keeps both, which are constants and a smooth function of |w| alone, and ε(h) learns them. In a field F(E) = E(R) - d·E
with d = Σ Z R - Σ n (R + w): whole charges, so that the dipole of a crystal has one value but for e × lattice vectors.
"""

from typing import ClassVar

import torch
from ase.data import chemical_symbols
from torch import Tensor

from farfield.backbone.contract import Features, Widths
from farfield.backbone.heads import AtomicEnergy, AtomicVector
from farfield.chemistry import ElementCharges, only_total, share_of_elements
from farfield.coulomb import Coulomb
from farfield.data.statistics import Statistics
from farfield.errors import InputError
from farfield.field import dipole_of_charges, field_energy
from farfield.paradigms.contract import Paradigm, Prediction
from farfield.paradigms.wannier.config import WannierConfig
from farfield.paradigms.wannier.elements import ElectronCounts
from farfield.paradigms.wannier.ions_and_electrons import IonsAndElectrons
from farfield.system import System, per_system

TYPICAL = 0.05
"""Å; displacements start in this unit where the data has none."""


class Wannier(Paradigm):
    """Ions of whole charge, and electrons at centroids that learned vectors displace."""

    Config: ClassVar = WannierConfig
    gives = Paradigm.gives | {
        "wannier_displacement", "charges", "dipoles", "quadrupoles", "dipole", "quadrupole", "polarization",
        "born_charges",
    }  # fmt: skip
    takes = frozenset({"external_field", "external_charges"})
    trained_on: ClassVar = frozenset({"wannier_displacement", "dipole", "quadrupole", "polarization", "born_charges"})
    highest_order: ClassVar = 1
    net: Tensor
    electrons: Tensor
    scale: Tensor

    def __init__(self, config: WannierConfig, *, widths: Widths, species: tuple[int, ...]) -> None:
        super().__init__(config, widths=widths, species=species)
        self.config, self.species = config, species
        self.atomic_energy = AtomicEnergy(widths)
        self.displacement = AtomicVector(widths)
        self.coulomb = Coulomb(error=config.coulomb_error)
        self.register_buffer("net", torch.zeros(119))  # by element: e,
        self.register_buffer("electrons", torch.zeros(119))  # how many,
        self.register_buffer("scale", torch.full((119,), TYPICAL))  # Å
        self._count(ElectronCounts.of(species, config))

    def _count(self, found: ElectronCounts) -> None:
        rows = list(self.species)
        self.net[rows], self.electrons[rows] = found.net.to(self.net), found.electrons.to(self.electrons)

    def prepare(self, statistics: Statistics) -> None:
        """Scale energies and displacements to the data; count electrons by its labels and total charges."""
        self.atomic_energy.prepare(statistics)
        self._count(found := ElectronCounts.of(self.species, self.config, statistics))
        typical = statistics.displacement.nan_to_num(TYPICAL).clamp_min(0.1 * TYPICAL)
        self.scale[list(statistics.species)] = typical.to(self.scale)
        self.element_charges = ElementCharges.of(
            self.species, found.net, given=self.config.ions, ions=statistics.ion_charge, stay=True
        )

    def only_charge(self, numbers: Tensor) -> float | None:
        """The sum of ions and electrons: they are counted."""
        return only_total(self.net, numbers)

    def forward(self, system: System, features: Features) -> Prediction:
        """Displacements of the centroids, and the energy and dipole that ions and electrons have.

        Raises:
            InputError: a total charge that is not that of the ions and electrons.
        """
        displacement = (self.scale[system.numbers, None] * self.displacement(features)).double()
        short_range = per_system(self.atomic_energy(system, features), system)
        system = system.to(dtype=torch.float64)  # as sums are
        net, electrons = share_of_elements(self.net, system).double(), self.electrons[system.numbers].double()
        _refuse_other_totals(system, net)
        sources = IonsAndElectrons.of(system, net, electrons, displacement)
        coulomb = sources.energy(system, self.coulomb, self.config.width)
        dipole = dipole_of_charges(net, system) + per_system(sources.dipoles, system)
        return Prediction(
            energy=short_range.double() + coulomb + field_energy(dipole, system.external_field),
            wannier_displacement=torch.where(electrons[:, None] > 0, displacement, torch.nan),
            charges=net,
            dipoles=sources.dipoles,
            quadrupoles=sources.quadrupoles,
            dipole=dipole,
            energy_coulomb=coulomb,
        )

    def remarks(self) -> list[str]:
        """Say which elements have centroids, and of how many electrons."""
        rows = [(chemical_symbols[z], int(self.electrons[z]), int(self.net[z])) for z in self.species]
        said = [f"{symbol}, {count} electrons around {net + count:+d} e" for symbol, count, net in rows if count]
        return [f"Wannier centroids: {'; '.join(said)}."] if said else []


def _refuse_other_totals(system: System, net: Tensor) -> None:
    found = per_system(net, system)
    if (wrong := (found - system.charge).abs() > 1e-3).any():
        first = int(wrong.nonzero()[0])
        raise InputError(
            f"the ions and electrons of structure {first} sum to {found[first].item():+g} e, but its total charge is "
            f"{system.charge[first].item():+g} e: charges or latent with conservation: shift take any"
        )
