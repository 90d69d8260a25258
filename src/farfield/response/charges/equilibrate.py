"""Charge equilibration: min over q of Σ(χ_i q_i + ½ J_i q_i²) + ½ q·A·q + φ_ext·q at Σq = Q, A the Coulomb matrix.

Mortier, Ghosh and Shankar, J. Am. Chem. Soc. 108, 4315 (1986); Rappé and Goddard, J. Phys. Chem. 95, 3358 (1991).
Systems with a Fermi level E_F, the energy of an electron in a reservoir, take as many as they like: Σq is free, and
what is least is the grand potential Ω = E + E_F Σq (Siepmann and Sprik, J. Chem. Phys. 102, 511 (1995)).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from farfield.coulomb import Coulomb
from farfield.errors import ConvergenceError, InputError
from farfield.response.charges.dense import DenseInverse
from farfield.response.charges.functional import ChargeFunctional, minimum
from farfield.response.charges.groups import ChargeGroups
from farfield.response.charges.iterated import IteratedInverse
from farfield.response.charges.messages import refuse_infinite
from farfield.system import System, per_atom

DENSE_UP_TO = 500
"""Atoms of a system up to which ``auto`` factors matrices: a step of training then takes less time; measured."""


@dataclass(frozen=True)
class Equilibrium:
    """Charges at which every atom of a system has the same chemical potential."""

    charges: Tensor  # (atoms,), e
    energy: Tensor  # (systems,), eV: the functional at its minimum; Ω of systems with a Fermi level
    residual: Tensor  # (systems,), V: largest deviation of a chemical potential from its system's
    steps: int  # applications of the matrix in the iteration; 0 for the dense solve


def equilibrate(
    system: System,
    electronegativity: Tensor,  # (atoms,), V
    hardness: Tensor,  # (atoms,), V/e
    widths: Tensor | float | None = None,  # (atoms,), Å; their self-energy is part of A, not of the hardness
    external_potential: Tensor | float | None = None,  # (atoms,), V
    solver: Literal["auto", "dense", "cg"] = "auto",
    tolerance: float = 1e-8,  # V, of the iteration
    coulomb: Coulomb | None = None,
    start: Tensor | None = None,  # (atoms,), e, where an iteration starts: ``ChargeExtrapolation`` knows one
    fragments: Tensor | None = None,  # (atoms,) integers: each keeps its total charge, not the system as a whole
    fragment_charges: Tensor | None = None,  # (fragments,), e
) -> Equilibrium:
    """Find charges and energy, twice differentiable in every argument, positions, cell, total charge, Fermi level.

    ``dense`` factors the matrix; ``cg`` iterates without one, in time linear in the atoms; ``auto`` takes it for
    systems of more than 500. All is counted in double precision, and given back in that of the system. With
    ``fragments`` no charge flows between them, however near they are: states that an unconstrained minimum would leave.

    Raises:
        InputError: shapes, values that are not finite, an unknown solver, no minimum: the atoms are named; fragments
            that span two systems, whose charges do not add up, or beside a Fermi level.
        ConvergenceError: an iteration that stops short.
    """
    if solver not in ("auto", "dense", "cg"):
        raise InputError(f'equilibrate(solver={solver!r}): there are "auto", "dense" and "cg"')
    slope = _per_atom("electronegativity", electronegativity, system)
    groups = _groups(system, fragments, fragment_charges)
    if external_potential is not None:
        slope = slope + _per_atom("external_potential", external_potential, system)
    if system.fermi_level is not None:
        slope = slope + per_atom(torch.where(system.fermi_level.isnan(), 0.0, system.fermi_level), system)
    if solver == "auto":
        solver = "cg" if system.n_systems and int(system.atoms_per_system.max()) > DENSE_UP_TO else "dense"
    hardness, dense = _per_atom("hardness", hardness, system), solver == "dense"
    functional = ChargeFunctional.of(system, slope, hardness, widths, coulomb or Coulomb(), dense=dense, groups=groups)
    assert functional.groups is not None
    inverse: DenseInverse | IteratedInverse
    with torch.no_grad():
        charges = _feasible(functional, None if start is None or dense else _per_atom("start", start, system))
        inverse = DenseInverse(functional, groups) if dense else IteratedInverse(functional, groups, tolerance)
        potential = inverse.matrix(charges)
        # the second solve takes off what rounding left, which single precision does not show
        for _ in range(2 if dense and system.positions.dtype == torch.float64 else 1):
            charges = charges - inverse.to_tolerance(potential + functional.slope)
            potential = inverse.matrix(charges)
        energy = functional.energy_of(charges, potential)
        left = _largest(inverse.along(potential + functional.slope), system)
    if not torch.isfinite(left).all():
        raise ConvergenceError("the charges are not finite: look at positions, hardness and widths")
    steps = 0 if isinstance(inverse, DenseInverse) else inverse.steps + 1
    charges, energy = minimum(functional, charges, energy, inverse)
    total, dtype = functional.groups.total, system.positions.dtype
    if total.requires_grad:
        charges = charges + groups.spread(total - total.detach())
    return Equilibrium(charges.to(dtype), energy.to(dtype), left.to(dtype), steps)


def _groups(system: System, fragments: Tensor | None, charges: Tensor | None) -> ChargeGroups:
    if fragments is not None and charges is not None:
        return ChargeGroups.of_fragments(system, fragments, charges)
    if fragments is not None or charges is not None:
        raise InputError("fragments and fragment_charges go together: give both, or neither")
    return ChargeGroups.of(system)


def _feasible(functional: ChargeFunctional, start: Tensor | None) -> Tensor:
    """Bring a start to the right totals by moving it as little as can be."""
    assert functional.groups is not None
    start = torch.zeros_like(functional.slope) if start is None else start.double()
    return start + functional.groups.spread(functional.groups.total - functional.groups.sums(start))


def _largest(potential: Tensor, system: System) -> Tensor:
    zero = potential.new_zeros(system.n_systems)
    return zero.scatter_reduce(0, system.system_index, potential.abs(), "amax")


def _per_atom(name: str, values: Tensor | float, system: System) -> Tensor:
    values = torch.as_tensor(values, dtype=system.positions.dtype, device=system.positions.device)
    if tuple(values.shape) not in ((), (system.n_atoms,)):
        raise InputError(f"{name} has shape {tuple(values.shape)}, expected ({system.n_atoms},)")
    refuse_infinite(name, values)
    return values.expand(system.n_atoms)
