"""Charge equilibration: min over q of Σ(χ_i q_i + ½ J_i q_i²) + ½ q·A·q + φ_ext·q at Σq = Q, A the Coulomb matrix.

Mortier, Ghosh and Shankar, J. Am. Chem. Soc. 108, 4315 (1986); Rappé and Goddard, J. Phys. Chem. 95, 3358 (1991).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from farfield.coulomb import Coulomb
from farfield.coulomb.padding import Padding
from farfield.coulomb.plan import Plan
from farfield.errors import InputError
from farfield.geometry.neighbors import with_neighbors
from farfield.response.linear import constrained_minimum
from farfield.system import System, per_system


@dataclass(frozen=True)
class Equilibrium:
    """Charges at which every atom of a system has the same chemical potential."""

    charges: Tensor  # (atoms,), e
    energy: Tensor  # (systems,), eV: the functional at its minimum
    residual: Tensor  # (systems,), V: largest difference of chemical potentials left
    steps: int  # iterations; 0 for the dense solve


def equilibrate(
    system: System,
    electronegativity: Tensor,  # (atoms,), V
    hardness: Tensor,  # (atoms,), V/e
    widths: Tensor | float | None = None,  # (atoms,), Å; their self-energy is part of A, not of the hardness
    external_potential: Tensor | float | None = None,  # (atoms,), V
    solver: Literal["auto", "dense", "cg"] = "auto",
    tolerance: float = 1e-8,  # V, of the iteration
    coulomb: Coulomb | None = None,
) -> Equilibrium:
    """Charges and energy, twice differentiable in every argument, positions, cell and total charge.

    ``auto`` and ``dense`` factor the matrix; ``cg`` iterates on it.

    Raises:
        InputError: shapes, values that are not finite, an unknown solver.
        ConvergenceError: no minimum at fixed total charge, or an iteration that stops short.
    """
    if solver not in ("auto", "dense", "cg"):
        raise InputError(f'equilibrate(solver={solver!r}): there are "auto", "dense" and "cg"')
    slope = _per_atom("electronegativity", electronegativity, system)
    if external_potential is not None:
        slope = slope + _per_atom("external_potential", external_potential, system)
    hardness = _per_atom("hardness", hardness, system)
    coulomb, padding = coulomb or Coulomb(), Padding.of(system)
    system, plan = _prepared(system, widths, coulomb)
    with torch.no_grad():
        matrix, mask = coulomb.padded_matrix(system, widths, plan=plan)
        matrix = matrix + torch.diag_embed(padding.pad(hardness))
    potential = coulomb.operator(system, widths, plan=plan)

    def level(block: Tensor) -> Tensor:
        """Chemical potentials at the charges of a padded block."""
        charges = padding.unpad(block)
        return padding.pad(slope + hardness * charges + potential(charges))

    method: Literal["dense", "cg"] = "cg" if solver == "cg" else "dense"
    found = constrained_minimum(matrix, system.charge, mask, level, method=method, tolerance=tolerance)
    charges = padding.unpad(found.values)
    energy = per_system(charges * (slope + 0.5 * (hardness * charges + potential(charges))), system)
    return Equilibrium(charges, energy, found.residual, found.steps)


def _prepared(system: System, widths: Tensor | float | None, coulomb: Coulomb) -> tuple[System, Plan]:
    """One plan and one neighbour search for the matrix and all its applications."""
    plan = coulomb.plan(system, widths, dense=True)
    known = system.neighbors
    if plan.reach > 0 and (known is None or known.cutoff < plan.reach):
        system = with_neighbors(system, plan.reach)
    return system, plan


def _per_atom(name: str, values: Tensor | float, system: System) -> Tensor:
    values = torch.as_tensor(values, dtype=system.positions.dtype, device=system.positions.device)
    if tuple(values.shape) not in ((), (system.n_atoms,)):
        raise InputError(f"{name} has shape {tuple(values.shape)}, expected ({system.n_atoms},)")
    if not torch.isfinite(values.detach()).all():
        raise InputError(f"{name} has values that are not finite")
    return values.expand(system.n_atoms)
