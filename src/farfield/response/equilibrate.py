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
from farfield.response.carried import carried
from farfield.response.dense import DenseInverse
from farfield.response.form import ChargeForm, energy_at_minimum, has_gradient, level, spread_evenly
from farfield.response.iterated import IteratedInverse
from farfield.system import System, per_atom, per_system

DENSE_UP_TO = 1000
"""Atoms of a system up to which ``auto`` factors matrices: n² numbers and n³ operations, but one factor for all."""


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
    start: Tensor | None = None,  # (atoms,), e, where the iteration starts: ``ChargeExtrapolation`` knows one
) -> Equilibrium:
    """Charges and energy, twice differentiable in every argument, positions, cell, total charge and Fermi level.

    ``dense`` factors the matrix; ``cg`` iterates without one, in time linear in the atoms; ``auto`` takes it for
    systems of more than 1,000. All is counted in double precision, and given back in that of the system.

    Raises:
        InputError: shapes, values that are not finite, an unknown solver, no minimum: the atoms are named.
        ConvergenceError: an iteration that stops short.
    """
    if solver not in ("auto", "dense", "cg"):
        raise InputError(f'equilibrate(solver={solver!r}): there are "auto", "dense" and "cg"')
    slope, held = _per_atom("electronegativity", electronegativity, system), _held(system)
    if external_potential is not None:
        slope = slope + _per_atom("external_potential", external_potential, system)
    if system.fermi_level is not None:
        slope = slope + per_atom(torch.where(held, 0.0, system.fermi_level), system)
    if solver == "auto":
        solver = "cg" if system.n_systems and int(system.atoms_per_system.max()) > DENSE_UP_TO else "dense"
    hardness = _per_atom("hardness", hardness, system)
    form = ChargeForm.of(system, slope, hardness, widths, coulomb or Coulomb(), dense=solver == "dense")
    first = _feasible(form.system, held, None if start is None else _per_atom("start", start, system))
    inverse: DenseInverse | IteratedInverse
    with torch.no_grad():
        if solver == "dense":
            inverse = DenseInverse(form, held)
            for _ in range(2):  # the second takes off what rounding left
                first = first - inverse(inverse.matrix(first) + form.slope)
            steps = 0
        else:
            inverse = IteratedInverse(form, held, tolerance)
            first = first - inverse(inverse.matrix(first) + form.slope)
            steps = inverse.steps + 1
        left = _largest(inverse.along(inverse.matrix(first) + form.slope), form.system)
    if not torch.isfinite(left).all():
        raise ConvergenceError("the charges are not finite: look at positions, hardness and widths")
    charges, energy = _with_derivatives(form, held, first, inverse)
    dtype = system.positions.dtype
    return Equilibrium(charges.to(dtype), energy.to(dtype), left.to(dtype), steps)


def _with_derivatives(
    form: ChargeForm, held: Tensor, charges: Tensor, inverse: DenseInverse | IteratedInverse
) -> tuple[Tensor, Tensor]:
    total = form.system.charge
    if not has_gradient(total, *form.variables):
        return charges, form.energy(charges)
    charges = charges + spread_evenly(torch.where(held, total - total.detach(), 0.0), form.system)
    charges = carried(charges, lambda values: level(form, values), inverse)
    return charges, energy_at_minimum(form, charges, torch.where(held, total, torch.nan))


def _held(system: System) -> Tensor:
    """Which systems ``(systems,)`` keep their total charge."""
    return torch.ones_like(system.spin, dtype=torch.bool) if system.fermi_level is None else system.fermi_level.isnan()


def _feasible(system: System, held: Tensor, start: Tensor | None) -> Tensor:
    """Charges of the right total, as near to the start as can be."""
    start = torch.zeros_like(system.positions[:, 0]) if start is None else start.detach().double()
    missing = torch.where(held, system.charge.detach() - per_system(start, system), 0.0)
    return start + spread_evenly(missing, system)


def _largest(potential: Tensor, system: System) -> Tensor:
    zero = potential.new_zeros(system.n_systems)
    return zero.scatter_reduce(0, system.system_index, potential.abs(), "amax")


def _per_atom(name: str, values: Tensor | float, system: System) -> Tensor:
    values = torch.as_tensor(values, dtype=system.positions.dtype, device=system.positions.device)
    if tuple(values.shape) not in ((), (system.n_atoms,)):
        raise InputError(f"{name} has shape {tuple(values.shape)}, expected ({system.n_atoms},)")
    if not torch.isfinite(values.detach()).all():
        raise InputError(f"{name} has values that are not finite")
    return values.expand(system.n_atoms)
