"""Self-consistent density: charges and dipoles of atoms that answer to the potential and field that all of them make.

SCFNN (Gao & Remsing, Nat. Commun. 13, 1572 (2022)), BpopNN (Xie, Persson & Small, JCTC 16, 4256 (2020)) and
self-consistent MACE (Baldwin et al.; Thomas et al., 2024-25) in one form. Each atom has a free energy w(h; v, F) in the
potential v and field F of everything, concave and not only quadratic (response/density/); its slope is the
atom's density, (q, -μ) = ∂w/∂(v, F), and v and F are those of this density. As a minimum of

    E = Σ ε(h) + min over ρ of [Σ max over (v, F) of (w - q v + μ·F) + ½ ρ·A·ρ] at Σ q = Q

forces need no adjoint, and dipoles are slopes of the energy by the field. With ``scheme: readout`` the energy is
Σ ε(h, ρ, v, F) + ½ ρ·A·ρ of the same density instead: forces get dE/dρ·dρ/dR by an adjoint solve. A field then
adds what it adds to the functional, whose slope the dipole is.
"""

import math
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from farfield.backbone.contract import Features, Widths
from farfield.backbone.heads import AtomicEnergy
from farfield.chemistry import ElementCharges, formal_charges, likely_charges
from farfield.conditions import under
from farfield.coulomb import Coulomb
from farfield.coulomb.functions.gaussians import gaussian_dipole_self_hardness, gaussian_self_hardness
from farfield.coulomb.plan.plan import Plan
from farfield.data.statistics import Statistics
from farfield.errors import InputError
from farfield.field import (
    along_lattice,
    dipole_of_charges,
    external_potential,
    field_across,
    field_energy,
)
from farfield.paradigms.contract import Paradigm, Prediction
from farfield.paradigms.scf.atoms import VOLT, ResponseHeads
from farfield.paradigms.scf.config import ScfConfig
from farfield.paradigms.shared.charge_conservation import mean_square_shift
from farfield.paradigms.shared.element_widths import widths_of_elements
from farfield.response.density.self_consistent import Density, Iteration, self_consistent
from farfield.system import System, per_system

READ = 3
"""Numbers of an atom's density that ``readout`` looks at: charge, potential, square of the field."""


class Scf(Paradigm):
    """A density of charges and dipoles that is a fixed point of its own potential."""

    Config: ClassVar = ScfConfig
    takes = frozenset({"external_field", "external_charges", "fermi_level"})
    trained_on: ClassVar = frozenset({"charges", "dipoles", "dipole", "quadrupole", "born_charges", "polarizability"})
    highest_order: ClassVar = 1
    equilibrates: ClassVar = True
    widths: Tensor

    def __init__(self, config: ScfConfig, *, widths: Widths, species: tuple[int, ...]) -> None:
        super().__init__(config, widths=widths, species=species)
        self.config, self.species = config, species
        self.read_out = config.scheme == "readout"
        self.gives = Paradigm.gives | {"charges", "dipoles", "dipole", "quadrupole"}
        if config.steps is None:
            self.gives |= {"born_charges", "polarizability"}
        self.coulomb = Coulomb(error=config.coulomb_error)
        self.how = Iteration(config.tolerance, config.mixing, config.memory, steps=config.steps)
        self.atomic_energy = AtomicEnergy(replace(widths, scalars=widths.scalars + (READ if self.read_out else 0)))
        self.response = ResponseHeads(
            widths, channels=config.channels, hardness=config.hardness, polarizability=config.polarizability
        )
        self.register_buffer("widths", widths_of_elements(config.width, species).to(torch.get_default_dtype()))
        self._start_from(0.5 * formal_charges(species, given=config.formal_charges))

    def prepare(self, statistics: Statistics) -> None:
        """Scale the energies; start from likely charges, those of single ions exact."""
        self.atomic_energy.prepare(statistics)
        given, ions = self.config.formal_charges, statistics.ion_charge
        started = likely_charges(self.species, statistics.piece_counts, statistics.piece_charge, given=given, ions=ions)
        self._start_from(started)
        self.element_charges = ElementCharges.of(self.species, started, given=given, ions=ions, stay=False)

    def _start_from(self, charges: Tensor) -> None:
        with torch.no_grad():
            self.response.element_charge[list(self.species)] = charges.to(self.response.element_charge)

    def reach(self, system: System) -> float:
        """Cutoff of the real-space Coulomb sum."""
        self._check(system)
        return self._plan(system).reach

    def forward(self, system: System, features: Features) -> Prediction:
        """Energy and self-consistent density."""
        self._check(system)
        exact = system.to(dtype=torch.float64)  # as sums and solves are
        widths = self.widths[system.numbers].double()
        response = self.response(system, features, _own(widths))
        plan = self._plan(exact)
        outside = external_potential(exact, self.coulomb, widths, order=1)
        acting = None
        if outside is not None and outside.gradient is not None:
            acting = torch.cat([outside.values.unsqueeze(1), outside.gradient], 1)
        found = self_consistent(exact, response, widths, self.coulomb, plan, self.how, acting)
        dipole = dipole_of_charges(found.charges, exact) + per_system(found.dipoles, exact)
        external, electrostatic = exact.external_field, found.energy
        if external is not None and bool(along_lattice(exact).any()):
            electrostatic = electrostatic + field_energy(dipole, external - field_across(exact))
        if self.read_out:
            alone = found
            if external is not None or outside is not None:  # what a field adds is the functional's, as dipoles are
                without = replace(exact, external_field=None)
                alone = self_consistent(without, response, widths, self.coulomb, plan, self.how)
                electrostatic = electrostatic - alone.energy
            own = 0.5 * (response.self_term * torch.cat([alone.charges.unsqueeze(1), alone.dipoles], 1).square()).sum(1)
            added = alone.coulomb - per_system(own, exact)
            electrostatic = added if alone is found else electrostatic + added
            features = self._with_density(features, response.of_others(alone.potentials), alone)
        asked = per_system(response.charge, exact)
        residual = system.charge - asked
        if system.fermi_level is not None:
            residual = torch.where(system.fermi_level.isnan(), residual, 0.0)
        return Prediction(
            energy=per_system(self.atomic_energy(system, features).double(), system) + electrostatic,
            charges=found.charges.to(features.scalars),
            dipole=dipole,
            dipoles=found.dipoles,
            energy_coulomb=electrostatic,
            charge_residual=residual,
        )

    def _plan(self, system: System) -> Plan:
        return self.coulomb.plan(system, self.widths[system.numbers].to(system.positions), rank=1)

    def _with_density(self, features: Features, felt: tuple[Tensor, Tensor], density: Density) -> Features:
        """Scalars, and charge, potential and field of the others beside them; alone, the preferred charge and none."""
        u, e = felt
        weight = math.sqrt(features.scalars.shape[1])
        read = torch.stack([density.charges, u / (3 * VOLT), e.square().sum(1) / VOLT**2], 1).to(features.scalars)
        charge = self.response.element_charge[list(self.species)]
        nothing = torch.nn.functional.pad(charge.unsqueeze(1), (0, READ - 1))
        return replace(
            features,
            scalars=torch.cat([features.scalars, weight * read], 1),
            alone=torch.cat([features.alone, weight * nothing], 1),
        )

    def penalty(self, prediction: Prediction, system: System) -> Tensor | None:
        """Preferred charges that add up leave nothing to flow between fragments far apart but what their fields ask."""
        if prediction.charge_residual is None:
            return None
        return self.config.residual_weight * mean_square_shift(prediction.charge_residual, system)

    def _check(self, system: System) -> None:
        """Complain of what this choice of keys cannot be under."""
        given = [name for name in sorted(self.takes) if name in system.conditions]
        if self.config.steps is not None and (asked := [n for n in given if under(n, system.conditions[n]).any()]):
            raise InputError(  # its dipole is not the slope of its energy
                f"scf with steps: {self.config.steps} takes no {asked[0]}: leave info[{asked[0]!r}] away, or train scf "
                "without steps, to convergence"
            )
        if self.read_out and system.fermi_level is not None and not bool(system.fermi_level.isnan().all()):
            raise InputError(
                "scf with scheme: readout takes no fermi_level: leave info['fermi_level'] away, or train scf with "
                "scheme: energy"
            )


def _own(widths: Tensor) -> Tensor:
    """d²E/dq² and d²E/dμ² of Gaussians with themselves ``(atoms, 4)``, V/e and V/(e·Å²)."""
    charge, dipole = gaussian_self_hardness(widths), gaussian_dipole_self_hardness(widths)
    return torch.stack([charge, *[dipole] * 3], 1)
