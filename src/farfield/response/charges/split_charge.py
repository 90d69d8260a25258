"""Charges that flow along bonds only: the split-charge model, which lets go of separated fragments.

    q_i = z_i + Σ_j p_ji,   p_ij = -p_ji,   min over p of χ·q + ½ q·(J + A)·q + Σ_bonds ½ p²/s

A bond of softness s, in e/V, costs p²/2s; s goes to zero smoothly at the cutoff, so that no charge flows between
fragments further apart, and each keeps the sum of its formal charges z: integers, where those are (Nistor, Polihronov,
Müser and Mosey, J. Chem. Phys. 125, 094108 (2006); Verstraelen, Ayers, Van Speybroeck and Waroquier, J. Chem. Phys.
138, 074108 (2013), whose ACKS2 is this form's dual). In p = √s y nothing is singular where a bond ends:

    (1 + Xᵀ (J + A) X) y = -Xᵀ (χ + (J + A) z),   X y = what the bonds bring to each atom

a matrix that is never less than 1, and whose condition does not grow with the system.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farfield.response.charges.dense import DenseInverse
from farfield.response.charges.functional import ChargeFunctional, minimum
from farfield.response.charges.functional_derivatives import Gradients, GradientsByAutograd
from farfield.response.charges.groups import ChargeGroups
from farfield.response.charges.iterated import diagonal_of, matrix_of
from farfield.response.charges.messages import refuse_infinite, refuse_no_minimum
from farfield.response.solvers.conjugate_gradient import NotPositiveDefinite, conjugate_gradient
from farfield.system import System

DENSE_UP_TO = 1000
"""Atoms of a system up to which a matrix and its factor cost less than iterations."""

MOST = 500
"""Steps of the iteration."""


@dataclass(frozen=True)
class Bonds:
    """Pairs of atoms that hand charge to one another, each once."""

    i: Tensor  # (bonds,)
    j: Tensor  # (bonds,)
    root: Tensor  # (bonds,), √softness, √(e/V)
    pull: Tensor  # (bonds,), V, what a charge gains besides on its way from i to j: -E·(R_j + image - R_i)


@dataclass(frozen=True)
class SplitCharges:
    """Charges that flowed along bonds."""

    charges: Tensor  # (atoms,), e
    handed: Tensor  # (bonds,), e, from i to j
    energy: Tensor  # (systems,), eV: the functional at its minimum
    steps: int  # applications of the matrix in the iteration; 0 for the dense solve


@dataclass(frozen=True)
class BondFunctional:
    """Functional of y, with p = √s y."""

    charges: ChargeFunctional
    formal: Tensor  # (atoms,), e
    bonds: Bonds

    @property
    def system(self) -> System:
        """Systems whose energy it is."""
        return self.charges.system

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """Roots and pulls of the bonds, and the variables of the charges' form."""
        return (self.bonds.root, self.bonds.pull, *self.charges.variables)

    def at(self, variables: Sequence[Tensor]) -> "BondFunctional":
        """Replace the variables."""
        root, pull, *others = variables
        return replace(self, charges=self.charges.at(others), bonds=replace(self.bonds, root=root, pull=pull))

    def energy(self, unknowns: Tensor) -> Tensor:
        """``(systems,)`` eV; differentiable."""
        return self.charges.energy(self.formal + self.brought(unknowns)) + self._of_bonds(unknowns)

    def gradients(self, unknowns: Tensor) -> Gradients:
        """Differentiate the energy, where the variables are leaves."""
        return GradientsByAutograd.of(self, unknowns)

    def energy_of(self, unknowns: Tensor, potential: Tensor) -> Tensor:
        """Energy ``(systems,)`` where the potential (J + A)·q ``(atoms,)`` in V of the charges is at hand."""
        return self.charges.energy_of(self.formal + self.brought(unknowns), potential) + self._of_bonds(unknowns)

    def _of_bonds(self, unknowns: Tensor) -> Tensor:
        own = unknowns * (0.5 * unknowns + self.bonds.root * self.bonds.pull)
        return own.new_zeros(self.system.n_systems).index_add(0, self.system.system_index[self.bonds.i], own)

    def brought(self, unknowns: Tensor) -> Tensor:
        """Sum X y: what the bonds bring to each atom ``(atoms,)``, e."""
        handed = self.bonds.root * unknowns
        nothing = handed.new_zeros(self.system.n_atoms)
        return nothing.index_add(0, self.bonds.j, handed).index_add(0, self.bonds.i, -handed)

    def along(self, potential: Tensor) -> Tensor:
        """Evaluate Xᵀ φ ``(bonds,)``: differences of potentials along bonds."""
        return self.bonds.root * (potential[self.bonds.j] - potential[self.bonds.i])


def split_charges(
    functional: ChargeFunctional, formal: Tensor, bonds: Bonds, *, dense: bool, tolerance: float
) -> SplitCharges:
    """Find charges, transfers and energy, twice differentiable in the bonds and what ``functional`` depends on.

    ``tolerance`` is in V, of the iteration where not ``dense``.

    Raises:
        InputError: values that are not finite; hardness + Coulomb matrix (dense), or what of it the bonds feel, is not
            positive definite: the atoms are named.
        ConvergenceError: an iteration that stops short.
    """
    bonds = replace(bonds, root=bonds.root.double(), pull=bonds.pull.double())
    refuse_infinite("electronegativity", functional.slope)
    refuse_infinite("hardness", functional.hardness)
    refuse_infinite("formal charge", formal)
    refuse_infinite("softness or field", bonds.root + bonds.pull, of="bond")
    split = BondFunctional(functional, formal.double(), bonds)
    inverse = _DenseBonds(split) if dense else _IteratedBonds(split, tolerance)
    with torch.no_grad():
        potential = functional.slope + inverse.matrix(split.formal)
        unknowns = -inverse(split.along(potential) + bonds.root * bonds.pull)
        energy = split.energy_of(unknowns, inverse.matrix(split.formal + split.brought(unknowns)))
    unknowns, energy = minimum(split, unknowns, energy, inverse)
    return SplitCharges(split.formal + split.brought(unknowns), bonds.root * unknowns, energy, inverse.steps)


class _DenseBonds:
    """(1 + XᵀMX)⁻¹ = 1 - XᵀG (1 + GᵀLG)⁻¹ GᵀX, GGᵀ the reduced M and L = XXᵀ without its first row and column."""

    steps = 0

    def __init__(self, functional: BondFunctional) -> None:
        system = functional.system
        self._functional = functional
        self._inverse = DenseInverse(functional.charges, ChargeGroups.of(replace(system, fermi_level=None)))
        self.matrix, padding = self._inverse.matrix, self._inverse.padding
        i, j = padding.slots[functional.bonds.i], padding.slots[functional.bonds.j] % padding.longest
        softness, n = functional.bonds.root.detach().square(), padding.longest
        flat = softness.new_zeros(padding.systems * n * n)
        row, column = i * n + j, (i - i % n + j) * n + i % n
        flat = flat.index_add(0, torch.cat([row, column]), -softness.repeat(2))
        between = flat.reshape(padding.systems, n, n)
        between = between - torch.diag_embed(between.sum(2))
        free, factor = self._inverse.free, self._inverse.factor
        between = between * free[:, None] * free[:, :, None]
        whole = torch.eye(n).to(factor) + factor.transpose(1, 2) @ between @ factor
        self._whole = torch.linalg.cholesky(whole)

    def __call__(self, right: Tensor) -> Tensor:
        padding, factor = self._inverse.padding, self._inverse.factor
        brought = padding.pad(self._functional.brought(right)) * self._inverse.free
        inner = torch.cholesky_solve(factor.transpose(1, 2) @ brought[..., None], self._whole)
        potential = padding.unpad(((factor @ inner)[..., 0]) * self._inverse.free)
        return right - self._functional.along(potential)


class _IteratedBonds:
    def __init__(self, functional: BondFunctional, tolerance: float) -> None:
        self._functional = functional.at([x.detach() for x in functional.variables])
        self.matrix, self._tolerance = matrix_of(functional.charges), tolerance
        stiff = diagonal_of(functional.charges)
        bonds = self._functional.bonds
        self._over = 1 / (1 + 0.5 * bonds.root.square() * (stiff[bonds.i] + stiff[bonds.j]))
        self._scale: float | None = None
        self.steps = 0

    def __call__(self, right: Tensor) -> Tensor:
        size = float(right.abs().max()) if len(right) else 0.0
        self._scale = self._scale or max(size, self._tolerance)
        try:
            found = conjugate_gradient(
                lambda y: y + self._functional.along(self.matrix(self._functional.brought(y))),
                right.detach(),
                preconditioner=lambda residual: residual * self._over,
                tolerance=size * self._tolerance / self._scale,
                most=MOST,
            )
        except NotPositiveDefinite as failure:
            direction, owner = self._functional.brought(failure.direction), self._functional.system.system_index
            k = int(owner[direction.abs().argmax()])
            refuse_no_minimum(self._functional.system, k, direction[owner == k])
        self.steps += found.steps
        return found.values
