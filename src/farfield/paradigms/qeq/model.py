"""Charge equilibration: E = Σ ε(h) + min_q [χ(h)·q + ½ q·(J + A)·q] at Σq = Q.

Rappé & Goddard, J. Phys. Chem. 95, 3358 (1991); Ghasemi et al., PRB 92, 045131 (2015) (CENT); Ko et al., Nat. Commun.
12, 398 (2021) (4G-HDNNP). The energy is the minimised functional itself, so its forces need no adjoint.

A field adds -E·R to χ as far as it has a potential: all of it in molecules, the part across the lattice in slabs. The
rest pulls at the charges that are there without it.

The network gives the charge q°(h) that an atom would take if it were not for the others, χ = -(J + A_ii) q°, and
energies count from there: the same functional, but a hardness can change without moving every charge.
"""

import math
from typing import ClassVar

import torch
from ase.data import covalent_radii
from torch import Tensor, nn

from farfield.backbone.contract import Features, Widths
from farfield.backbone.heads import CHARGE_START, AtomicEnergy, AtomicScalar
from farfield.coulomb import Coulomb
from farfield.data.statistics import Statistics
from farfield.field import dipole_of_charges, field_across, field_energy
from farfield.paradigms.contract import Paradigm, Prediction
from farfield.paradigms.qeq.config import QEqConfig
from farfield.response import equilibrate
from farfield.response.conservation import mean_square_shift
from farfield.response.formal import formal_charges, likely_charges
from farfield.system import System, per_system
from farfield.units import COULOMB


class QEq(Paradigm):
    """Electronegativity from the surroundings, hardness from the element, charges from the whole system."""

    Config: ClassVar = QEqConfig
    gives = Paradigm.gives | {"charges", "dipole", "born_charges", "polarizability"}
    takes: ClassVar = frozenset({"external_field"})
    reads: ClassVar = frozenset({"charges", "dipole", "born_charges", "polarizability"})
    widths: Tensor

    def __init__(self, config: QEqConfig, *, widths: Widths, species: tuple[int, ...]) -> None:
        super().__init__(config, widths=widths, species=species)
        self.config, self.species = config, species
        self.coulomb = Coulomb(error=config.coulomb_error)
        self.atomic_energy = AtomicEnergy(widths)
        self.preference = AtomicScalar(widths, start=CHARGE_START)
        self.element_preference = nn.Parameter(torch.zeros(119))  # e
        self.log_hardness = nn.Parameter(torch.full((119,), math.log(config.hardness)))
        radii = torch.tensor(covalent_radii) if config.width == "covalent" else torch.full((119,), config.width)
        self.register_buffer("widths", radii[:119].to(torch.get_default_dtype()))
        self._start_from(0.5 * formal_charges(species, given=config.formal_charges))

    def prepare(self, statistics: Statistics) -> None:
        """Scale the energies; start from likely charges, those of single ions exact."""
        self.atomic_energy.prepare(statistics)
        given = self.config.formal_charges
        likely = likely_charges(self.species, statistics.piece_counts, statistics.piece_charge, given=given)
        self._start_from(torch.where(statistics.ion_charge.isnan(), likely, statistics.ion_charge))

    def _start_from(self, charges: Tensor) -> None:
        with torch.no_grad():
            self.element_preference[list(self.species)] = charges.to(self.element_preference)

    def reach(self, system: System) -> float:
        """Cutoff of the real-space Coulomb sum."""
        return self.coulomb.reach(system, self.widths[system.numbers])

    def forward(self, system: System, features: Features) -> Prediction:
        """Energy and equilibrated charges."""
        numbers = system.numbers
        preferred = self.element_preference[numbers] + self.preference(features)
        hardness, widths = self.log_hardness[numbers].exp(), self.widths[numbers]
        stiffness = hardness + COULOMB / (math.sqrt(math.pi) * widths)
        across = field_across(system)
        found = equilibrate(
            system,
            -stiffness * preferred,
            hardness,
            widths=widths,
            external_potential=-(across[system.system_index] * system.positions).sum(1),
            coulomb=self.coulomb,
        )
        dipole = dipole_of_charges(found.charges, system)
        electrostatic = found.energy - field_energy(dipole, across)
        electrostatic = electrostatic + per_system(0.5 * stiffness * preferred.square(), system)
        short_range = per_system(self.atomic_energy(system, features), system)
        return Prediction(
            energy=short_range + electrostatic + field_energy(dipole, system.external_field),
            charges=found.charges,
            dipole=dipole,
            energy_coulomb=electrostatic,
            charge_residual=system.charge - per_system(preferred, system),
        )

    def penalty(self, prediction: Prediction, system: System) -> Tensor | None:
        """Preferred charges that add up leave nothing to flow between fragments far apart but what their fields ask."""
        if prediction.charge_residual is None:
            return None
        return self.config.residual_weight * mean_square_shift(prediction.charge_residual, system)
