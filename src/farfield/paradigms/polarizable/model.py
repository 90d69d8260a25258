"""Induced dipoles: E = Σ ε(h) + E_C[q, m] + min over μ of [Σ ½ K μ·α⁻¹·μ - μ·F - ½ μ·T·μ], F the field of q and m.

Applequist, Carl & Fung, JACS 94, 2952 (1972); Thole, Chem. Phys. 59, 341 (1981); Ponder et al., J. Phys. Chem. B 114,
2549 (2010) (AMOEBA). Charges q are local and conserved, m and μ permanent and induced dipoles, α positive. The energy
is the minimised functional itself, so its forces need no adjoint. In a field E, F gets E, and the energy is
F(E) = E(R) - d·E with d of charges and dipoles, at its minimum too.
"""

from typing import ClassVar

import torch
from torch import Tensor

from farfield.backbone.contract import Features, Widths
from farfield.backbone.heads import CHARGE_START, AtomicVector
from farfield.coulomb.interaction import Interaction
from farfield.coulomb.plan.plan import Plan
from farfield.field import external_potential, field_energy
from farfield.paradigms.contract import Prediction
from farfield.paradigms.polarizable.config import PolarizableConfig
from farfield.paradigms.shared.atomic_polarizability import AtomicPolarizability, Response
from farfield.paradigms.shared.local_charges import LocalCharges
from farfield.response.dipoles.damping import gaussian_widths, thole_scaling
from farfield.response.dipoles.induce import induce
from farfield.system import System, per_system


class Polarizable(LocalCharges):
    """Charges and dipoles from the surroundings, and dipoles that follow the field of the whole system."""

    Config: ClassVar = PolarizableConfig
    trained_on: ClassVar = frozenset(
        {"charges", "dipoles", "dipole", "quadrupole", "born_charges", "polarization", "polarizability"}
    )
    cells_polarize: ClassVar = True
    iterated_quantity: ClassVar = "dipoles"

    def __init__(self, config: PolarizableConfig, *, widths: Widths, species: tuple[int, ...]) -> None:
        super().__init__(config, widths=widths, species=species)
        self.config = config
        self.gives |= {"dipoles", "polarizability"}
        anisotropic = config.polarizability == "anisotropic"
        self.polarizability = AtomicPolarizability(widths, species, start=config.start, anisotropic=anisotropic)
        self.permanent = AtomicVector(widths, start=CHARGE_START) if config.permanent_dipoles else None

    @classmethod
    def order_of(cls, config: PolarizableConfig) -> int:
        """Tensors for anisotropic polarizabilities, vectors for permanent dipoles."""
        return 2 if config.polarizability == "anisotropic" else int(config.permanent_dipoles)

    def reach(self, system: System) -> float:
        """Cutoff of the real-space Coulomb sum."""
        return self._plan(system).reach

    def forward(self, system: System, features: Features, start: Tensor | None = None) -> Prediction:
        """Charges, dipoles, and the energy at which these are induced."""
        found, response = self.charges(system, features), self.polarizability(system, features)
        short_range = per_system(self.atomic_energy(system, features), system)
        system, charges = system.to(dtype=torch.float64), found.charges.double()  # as sums and solves are
        permanent = torch.zeros_like(system.positions) if self.permanent is None else self.permanent(features).double()

        interaction = self._interaction(system, response)
        potential, field = interaction(charges, permanent)
        coulomb = 0.5 * per_system(charges * potential - (permanent * field).sum(1), system)
        outside = external_potential(system, self.coulomb, self._widths(response), order=1)
        if outside is not None and outside.gradient is not None:
            coulomb = coulomb + outside.energy(system, charges, permanent)
            field = field - outside.gradient
        external = system.external_field
        if external is not None:
            field = field + external[system.system_index]
        induced_before = None if start is None else start - permanent.detach()
        induced = induce(
            system, response.tensor.double(), field, interaction,
            solver=self.config.solver, start=induced_before, probe=self.config.damping != "gaussian",
        )  # fmt: skip
        coulomb = coulomb + induced.energy - field_energy(per_system(induced.dipoles, system), external)

        dipoles = permanent + induced.dipoles
        dipole = found.dipole.double() + per_system(dipoles, system)
        return Prediction(
            energy=short_range.double() + coulomb + field_energy(dipole, external),
            charges=found.charges,
            ion_charges=found.ions,
            dipole=dipole,
            dipoles=dipoles,
            energy_coulomb=coulomb,
            charge_residual=found.residual,
        )

    def _interaction(self, system: System, response: Response) -> Interaction:
        plan = self._plan(system)
        widths = self._widths(response)
        if widths is not None:
            return self.coulomb.interaction(system, widths, plan=plan)
        pairs = None
        if self.config.damping == "thole":
            pairs = thole_scaling(system, response.mean.double(), self.config.thole)
        return self.coulomb.interaction(system, pairs=pairs, plan=plan)

    def _widths(self, response: Response) -> Tensor | None:
        """Gaussian widths ``(atoms,)``, Å, where it is by these that the interaction is damped."""
        return gaussian_widths(response.largest.double()) if self.config.damping == "gaussian" else None

    def _plan(self, system: System) -> Plan:
        """Plan for the widest Gaussians there could be: the sum is then cut alike wherever the atoms are."""
        widest: Tensor | None = None
        if self.config.damping == "gaussian":
            # as if it were learned: no width is exactly this, and none may be left out of the near half as such
            widest = gaussian_widths(self.polarizability.bound(system)).to(system.positions.dtype).requires_grad_()
        return self.coulomb.plan(system, widest, rank=1)
