"""Charge equilibration: E = Σ ε(h) + min_q [χ(h)·q + ½ q·(J + A)·q] at Σq = Q.

Rappé & Goddard, J. Phys. Chem. 95, 3358 (1991); Ghasemi et al., PRB 92, 045131 (2015) (CENT). The energy is the
minimised functional itself, so its forces need no adjoint. In the 4G scheme (Ko et al., Nat. Commun. 12, 398 (2021))
the energy is Σ ε(h, q) + ½ q·A·q of the same charges, which do not minimise it: forces get dE/dq·dq/dR by an adjoint
solve.

A field adds -E·R to χ as far as it has a potential: all of it in molecules, the part across the lattice in slabs. The
rest pulls at the charges that are there without it. Where charge flows along bonds every field has its potential along
them. In the 4G scheme charges do not answer to a field: F would not be least, and its slope no dipole.

The network gives the charge q°(h) that an atom would take if it were not for the others, χ = -(J + A_ii) q°, and
energies count from there: the same functional, but a hardness can change without moving every charge.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from ase.data import chemical_symbols
from torch import Tensor, nn

from farfield.backbone.contract import Features, Widths
from farfield.backbone.heads import CHARGE_START, AtomicEnergy, AtomicScalar
from farfield.chemistry import ElementCharges, formal_charges, likely_charges, only_total, share_of_elements
from farfield.coulomb import Coulomb
from farfield.coulomb.functions.gaussians import gaussian_self_hardness
from farfield.data.statistics import Statistics
from farfield.errors import InputError
from farfield.field import (
    ExternalPotential,
    along_lattice,
    dipole_of_charges,
    dipole_of_transfers,
    external_potential,
    field_across,
    field_energy,
)
from farfield.paradigms.contract import Paradigm, Prediction
from farfield.paradigms.qeq.config import QEqConfig
from farfield.paradigms.qeq.softness import BondSoftness
from farfield.paradigms.shared.charge_conservation import mean_square_shift
from farfield.paradigms.shared.element_widths import widths_of_elements
from farfield.response import charges_apart, equilibrate
from farfield.response.charges.fragments import fragments_of
from farfield.response.charges.functional import ChargeFunctional
from farfield.response.charges.groups import ChargeGroups
from farfield.response.charges.split_charge import DENSE_UP_TO, split_charges
from farfield.system import System, per_atom, per_system

TOLERANCE = 1e-8
"""V, of solves by iteration."""


@dataclass(frozen=True)
class _Answer:
    """Charges that minimise the functional, in a field."""

    charges: Tensor  # (atoms,), e
    dipole: Tensor  # (systems, 3), e·Å
    energy: Tensor  # (systems,), eV, of the functional with the whole field


class QEq(Paradigm):
    """Electronegativity from the surroundings, charges from the whole system or from what flows along bonds."""

    Config: ClassVar = QEqConfig
    takes = frozenset({"external_field", "external_charges", "fermi_level"})
    equilibrates: ClassVar = True
    iterated_quantity: ClassVar = "charges"
    trained_on: ClassVar = frozenset(
        {"charges", "dipole", "quadrupole", "born_charges", "polarizability", "polarization"}
    )
    widths: Tensor

    def __init__(self, config: QEqConfig, *, widths: Widths, species: tuple[int, ...]) -> None:
        super().__init__(config, widths=widths, species=species)
        self.config, self.species = config, species
        self.split, self.reads_charges = config.transfer == "split_charge", config.scheme == "4g"
        self.gives = Paradigm.gives | {"charges", "dipole", "quadrupole", "born_charges"}
        self.gives |= {"polarization"} if self.split else set()
        self.gives |= set() if self.reads_charges else {"polarizability"}
        self.coulomb = Coulomb(error=config.coulomb_error)
        self.atomic_energy = AtomicEnergy(replace(widths, scalars=widths.scalars + self.reads_charges))
        self.preference = AtomicScalar(widths, start=CHARGE_START)
        self.element_preference = nn.Parameter(torch.zeros(119), requires_grad=not self.split)  # e
        self.log_hardness = nn.Parameter(torch.full((119,), math.log(config.hardness)))
        if config.hardness_from == "environment":
            self.hardening = AtomicScalar(widths, start=CHARGE_START)
        if self.split:
            self.softness = BondSoftness(widths)
        self.register_buffer("widths", widths_of_elements(config.width, species).to(torch.get_default_dtype()))
        formal = formal_charges(species, given=config.formal_charges)
        self._start_from(formal if self.split else 0.5 * formal)

    @property
    def keeps_fragments(self) -> bool:
        """With ``transfer: fragments``."""
        return self.config.transfer == "fragments"

    def prepare(self, statistics: Statistics) -> None:
        """Scale the energies; start from likely charges, those of single ions exact.

        Raises:
            InputError: ``split_charge`` and no charge per element adds up to the totals.
        """
        self.atomic_energy.prepare(statistics)
        given, counts, charge = self.config.formal_charges, statistics.piece_counts, statistics.piece_charge
        if self.split:
            started = formal_charges(self.species, given=given, counts=counts, charge=charge, exact=True)
        else:
            started = likely_charges(self.species, counts, charge, given=given, ions=statistics.ion_charge)
        self._start_from(started)
        self.element_charges = ElementCharges.of(
            self.species, started, given=given, ions=statistics.ion_charge, stay=self.split
        )

    def _start_from(self, charges: Tensor) -> None:
        with torch.no_grad():
            self.element_preference[list(self.species)] = charges.to(self.element_preference)

    def reach(self, system: System) -> float:
        """Cutoff of the real-space Coulomb sum, which counts in double precision."""
        self._check(system)
        exact = replace(system, positions=system.positions.double(), cell=system.cell.double())
        return self.coulomb.reach(exact, self.widths[system.numbers].double())

    def forward(self, system: System, features: Features, start: Tensor | None = None) -> Prediction:
        """Energy and equilibrated charges."""
        self._check(system)
        formal = self.element_preference[system.numbers]
        if self.split:
            formal = share_of_elements(self.element_preference, system)
        preferred = formal + self.preference(features)
        asked = replace(system, external_field=None, external_charges=None) if self.reads_charges else system
        found = (
            self._split(asked, features, preferred, formal)
            if self.split
            else self._free(asked, features, preferred, start)
        )
        residual = None if self.split else system.charge - per_system(preferred, system)
        if residual is not None and system.fermi_level is not None:
            residual = torch.where(system.fermi_level.isnan(), residual, 0.0)
        if self.reads_charges:
            electrostatic = self.coulomb.energy(
                system, charges=found.charges, widths=self.widths[system.numbers], self_energy=False
            ) + field_energy(found.dipole, system.external_field)
            outside = self._outside(system)
            electrostatic = electrostatic if outside is None else electrostatic + outside.energy(system, found.charges)
            features = self._with_charges(features, found.charges)
        else:
            electrostatic = found.energy
        return Prediction(
            energy=per_system(self.atomic_energy(system, features), system) + electrostatic,
            charges=found.charges,
            ion_charges=formal if self.split else None,
            dipole=found.dipole,
            energy_coulomb=electrostatic,
            charge_residual=residual,
        )

    def _free(self, system: System, features: Features, preferred: Tensor, start: Tensor | None) -> _Answer:
        """Charges of the whole system."""
        hardness, stiffness = self._hardness(system, features)
        outside = self._outside(system)
        potential = None if outside is None else outside.values
        if system.external_field is not None:
            of_field = -(per_atom(field_across(system), system) * system.positions).sum(1)
            potential = of_field if potential is None else potential + of_field
        fragments, charges = fragments_of(system) if self.config.transfer == "fragments" else (None, None)
        found = equilibrate(
            system, -stiffness * preferred, hardness, widths=self.widths[system.numbers], external_potential=potential,
            coulomb=self.coulomb, tolerance=TOLERANCE, start=start, fragments=fragments,
            fragment_charges=charges,
        )  # fmt: skip
        dipole = dipole_of_charges(found.charges, system)
        energy = found.energy + per_system(0.5 * stiffness * preferred.square(), system)
        if system.external_field is not None and bool(along_lattice(system).any()):
            energy = energy + field_energy(dipole, system.external_field - field_across(system))
        return _Answer(found.charges, dipole, energy)

    def _split(self, system: System, features: Features, preferred: Tensor, formal: Tensor) -> _Answer:
        """Formal charges and what bonds handed on."""
        hardness, stiffness = self._hardness(system, features)
        field = torch.zeros_like(system.cell[:, 0]) if system.external_field is None else system.external_field
        bonds, vector = self.softness(features, per_atom(field, system).expand(system.n_atoms, 3))
        dense = int(system.atoms_per_system.max()) <= DENSE_UP_TO
        outside = self._outside(system)
        slope = -stiffness * preferred if outside is None else outside.values - stiffness * preferred
        form = ChargeFunctional.of(system, slope, hardness, self.widths[system.numbers], self.coulomb, dense=dense)
        found = split_charges(form, formal, bonds, dense=dense, tolerance=TOLERANCE)
        charges, handed, energy = (x.to(preferred.dtype) for x in (found.charges, found.handed, found.energy))
        of_ions = dipole_of_charges(formal, system)
        dipole = of_ions + dipole_of_transfers(handed, vector, bonds.i, system)
        energy = energy + per_system(0.5 * stiffness * preferred.square(), system)
        return _Answer(charges, dipole, energy + field_energy(of_ions, system.external_field))

    def _outside(self, system: System) -> ExternalPotential | None:
        return external_potential(system, self.coulomb, self.widths[system.numbers])

    def _hardness(self, system: System, features: Features) -> tuple[Tensor, Tensor]:
        """Without and with that of the Gaussians ``(atoms,)``, V/e."""
        hardness = self.log_hardness[system.numbers].exp()
        if self.config.hardness_from == "environment":
            hardness = hardness * (2 * torch.tanh(0.5 * self.hardening(features))).exp()
        return hardness, hardness + gaussian_self_hardness(self.widths[system.numbers])

    def _with_charges(self, features: Features, charges: Tensor) -> Features:
        """Scalars and the charge beside them, of as much weight as all of them together; alone, the preferred one."""
        weight = math.sqrt(features.scalars.shape[1])
        alone = self.element_preference[list(self.species)]
        one, two = (
            torch.cat([scalars, weight * column[:, None]], 1)
            for scalars, column in ((features.scalars, charges), (features.alone, alone))
        )
        return replace(features, scalars=one, alone=two)

    def penalty(self, prediction: Prediction, system: System) -> Tensor | None:
        """Preferred charges that add up leave nothing to flow between fragments far apart but what their fields ask."""
        if prediction.charge_residual is None:
            return None
        return self.config.residual_weight * mean_square_shift(prediction.charge_residual, system)

    def only_charge(self, numbers: Tensor) -> float | None:
        """The sum of the formal charges where charge flows along bonds only."""
        return only_total(self.element_preference, numbers) if self.split else None

    def remarks(self) -> list[str]:
        """The pair of elements that keeps the most charge when torn apart."""
        if self.config.transfer != "free":
            return []
        kept = {(a, b): self._kept(a, b) for a in self.species for b in self.species if a < b}
        worst = max(kept, key=lambda pair: abs(kept[pair] - round(kept[pair])), default=None)
        if worst is None or abs(kept[worst] - round(kept[worst])) < 0.05:
            return []
        one, two = (chemical_symbols[z] for z in worst)
        return [
            f"Torn apart, a neutral pair of {one} and {two} keeps {kept[worst]:+.2f} e on {one}, where it should keep "
            "a whole number; transfer: split_charge lets fragments go with their formal charges."
        ]

    def _kept(self, one: int, two: int) -> float:
        """Charge in e that atoms of two elements keep infinitely far apart, as ``response.charges_apart``."""
        with torch.no_grad():
            pair = [one, two]
            widths, hardness = self.widths[pair], self.log_hardness[pair].exp()
            stiffness = hardness + gaussian_self_hardness(widths)
            return float(charges_apart(-stiffness * self.element_preference[pair], hardness, widths)[0])

    def _check(self, system: System) -> None:
        """Complain of what this choice of keys cannot be under."""
        open_to_electrons = system.fermi_level is not None and not bool(system.fermi_level.isnan().all())
        bound = self.config.transfer != "free"
        if open_to_electrons and (bound or self.reads_charges):
            key = f"transfer: {self.config.transfer}" if bound else "scheme: 4g"
            raise InputError(
                f"qeq with {key} takes no fermi_level: leave info['fermi_level'] away, or train qeq with "
                "transfer: free and scheme: energy"
            )
        if self.config.transfer == "fragments":
            ChargeGroups.of_fragments(system, *fragments_of(system))
        if self.split:
            missing = (system.charge - per_system(share_of_elements(self.element_preference, system), system)).detach()
            if (wrong := missing.abs() > 1e-3).any():
                first = int(wrong.nonzero()[0])
                asked = float(system.charge[first])
                raise InputError(
                    f"transfer: split_charge gives structure {first} the charge {asked - float(missing[first]):+.3f} "
                    f"e, the sum of its formal charges, but its total charge is {asked:+g} e: use transfer: free"
                )
