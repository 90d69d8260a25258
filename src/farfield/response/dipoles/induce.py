"""Induced dipoles: min over μ of Σ (½ K μ·α⁻¹·μ - μ·F) - ½ μ·T·μ, F the field that is there without them.

Applequist, Carl and Fung, J. Am. Chem. Soc. 94, 2952 (1972). With K α⁻¹ - T positive definite the minimum is where
μ = α (F + T μ)/K: every dipole follows the field of all the others. The energy *is* the minimised functional, so that
its first derivatives need no adjoint; dipoles carry theirs to second order (implicit.py).
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Literal, NoReturn

import torch
from ase.data import chemical_symbols
from torch import Tensor

from farfield.coulomb.interaction import Interaction
from farfield.coulomb.padding import Padding
from farfield.errors import ConvergenceError, InputError
from farfield.response.solvers.conjugate_gradient import NotPositiveDefinite, Solution, conjugate_gradient
from farfield.response.solvers.implicit import implicit_energy_correction, implicit_gradient
from farfield.system import System, per_system
from farfield.units import COULOMB

Linear = Callable[[Tensor], Tensor]

DENSE_UP_TO = 64
"""Atoms of the largest system up to which a matrix and its factor cost less than iterations; measured."""

RELATIVE = 1e-8
"""Residual of an iteration over what it started from, at most."""

PROBE = 1e-4
"""V/Å left of a random field of 1 V/Å: less than the share of any mode among 10⁶ atoms."""

COLUMNS = 48
"""Unit dipoles of which the matrix is made at once."""


@dataclass(frozen=True)
class Induced:
    """Dipoles that respond to a field and to one another."""

    dipoles: Tensor  # (atoms, 3), e·Å
    energy: Tensor  # (systems,), eV: the functional at its minimum
    residual: Tensor  # (systems,), V/Å: largest gradient left
    steps: int  # iterations; 0 for the dense solve


def induce(
    system: System,
    polarizability: Tensor,  # (atoms,) or (atoms, 3, 3) symmetric, Å³, positive
    field: Tensor,  # (atoms, 3), V/Å, of everything but the induced dipoles
    interaction: Interaction,  # of the dipoles with one another, as Coulomb(…).interaction prepares it
    *,
    solver: Literal["auto", "dense", "cg"] = "auto",
    tolerance: float = 1e-9,  # V/Å, of the iteration
    start: Tensor | None = None,  # (atoms, 3), e·Å, where an iteration starts
    probe: bool = True,  # whether an iteration looks for dipoles that run away; Gaussians of the atoms' size never do
) -> Induced:
    """Find dipoles and energy, twice differentiable in field, polarizability and what the interaction depends on.

    ``dense`` factors the matrix; ``cg`` iterates without one; ``auto`` takes what is faster.

    Raises:
        InputError: shapes, values that are not finite, a polarizability that is not positive, an unknown solver.
        ConvergenceError: dipoles that run away (the polarization catastrophe of points too close to one another, with
            the atoms it happens to), or an iteration that stops short.
    """
    if solver not in ("auto", "dense", "cg"):
        raise InputError(f'induce(solver={solver!r}): there are "auto", "dense" and "cg"')
    stiffness = _stiffness(system, polarizability, field)

    def restoring_field(dipoles: Tensor) -> Tensor:
        """Gradient of the functional without F, V/Å."""
        return stiffness(dipoles) - interaction(None, dipoles)[1]

    if solver == "auto":
        solver = "dense" if int(system.atoms_per_system.max()) <= DENSE_UP_TO else "cg"
    size = COULOMB / _mean(polarizability.detach())
    solve: _DenseDipoles | _IteratedDipoles
    with torch.no_grad():
        if solver == "dense":
            solve = _DenseDipoles(system, restoring_field, size, _dipole_matrix(system, stiffness, interaction))
        else:
            solve = _IteratedDipoles(system, restoring_field, size, tolerance)
            if probe:
                solve.probe()
        dipoles = solve(field, start)
        dipoles = dipoles + solve(field - restoring_field(dipoles))  # takes off what rounding left
    image = restoring_field(dipoles)
    slope = image - field
    inverse = solve.for_derivatives()
    energy = per_system((dipoles * (0.5 * image - field) + implicit_energy_correction(slope, inverse)).sum(1), system)
    dipoles = implicit_gradient(dipoles, lambda at: restoring_field(at) - field, inverse, known=slope)
    left = slope.detach().abs().amax(1)
    residual = left.new_zeros(system.n_systems).scatter_reduce(0, system.system_index, left, "amax")
    return Induced(dipoles, energy, residual, solve.steps)


def _dipole_matrix(system: System, stiffness: Linear, interaction: Interaction) -> Tensor | None:
    """Write down the Hessian ``(systems, 3·longest, 3·longest)``, V/(e·Å²), where the interaction has a matrix."""
    padding = Padding.of(system)
    matrix = interaction.dipole_matrix(padding)
    if matrix is None:
        return None
    own = padding.pad(stiffness(torch.eye(3).to(matrix).expand(system.n_atoms, 3, 3)))
    blocks = matrix.reshape(padding.systems, padding.longest, 3, padding.longest, 3)
    blocks.diagonal(dim1=1, dim2=3).add_(own.permute(0, 2, 3, 1))
    return matrix


class _DenseDipoles:
    """Factored once; the factor exists exactly where the minimum does."""

    steps = 0

    def __init__(self, system: System, restoring_field: Linear, size: Tensor, matrix: Tensor | None) -> None:
        """``matrix`` is the matrix of the slopes, where there is one."""
        self._padding = Padding.of(system)
        self._scale = size.rsqrt().unsqueeze(1)  # brings the diagonal near 1
        matrix = self._by_columns(system, restoring_field) if matrix is None else self._scaled(matrix)
        self._factor, failed = torch.linalg.cholesky_ex(matrix)
        pivots = self._factor.diagonal(dim1=1, dim2=2).square().amin(1)
        # a pivot that is rounding of the matrix is no pivot
        lost = (failed != 0) | (pivots <= 8 * matrix.shape[1] * torch.finfo(matrix.dtype).eps) | ~pivots.isfinite()
        if lost.any():
            k = int(lost.nonzero()[0])
            lowest = torch.linalg.eigh(matrix[k]).eigenvectors[:, 0].reshape(-1, 3)
            refuse_catastrophe(system, k, lowest[: int(system.atoms_per_system[k])].norm(dim=1))

    def __call__(self, right: Tensor, _start: Tensor | None = None) -> Tensor:
        block = self._padding.pad(self._scale * right).flatten(1).unsqueeze(2)
        found = torch.cholesky_solve(block, self._factor).reshape(self._padding.systems, -1, 3)
        return self._scale * self._padding.unpad(found)

    def for_derivatives(self) -> "_DenseDipoles":
        """Serve derivatives as it serves dipoles."""
        return self

    def _scaled(self, matrix: Tensor) -> Tensor:
        """Scale a matrix; the identity where padded."""
        scale = self._padding.pad(self._scale).repeat_interleave(3, 1)[:, :, 0]
        missing = (~self._padding.mask()).to(scale).repeat_interleave(3, 1)
        return scale.unsqueeze(2) * matrix * scale.unsqueeze(1) + torch.diag_embed(missing)

    def _by_columns(self, system: System, restoring_field: Linear) -> Tensor:
        """``(systems, 3·longest, 3·longest)``, the identity where padded: all systems' k-th columns together."""
        padding, count = self._padding, 3 * self._padding.longest
        place = (padding.slots % padding.longest).to(system.numbers)
        matrix = torch.diag_embed((~padding.mask()).to(self._scale).repeat_interleave(3, 1))
        for first in range(0, count, COLUMNS):
            columns = torch.arange(first, min(first + COLUMNS, count), device=place.device)
            unit = (place[:, None, None] * 3 + torch.arange(3, device=place.device)) == columns[:, None]
            images = self._scale.unsqueeze(2) * restoring_field(unit * self._scale.unsqueeze(2))
            block = padding.pad(images.transpose(1, 2)).flatten(1, 2)
            matrix[:, :, first : first + len(columns)] += block
        return 0.5 * (matrix + matrix.transpose(1, 2))


class _IteratedDipoles:
    """Conjugate gradients, every system at its own length."""

    def __init__(self, system: System, restoring_field: Linear, size: Tensor, tolerance: float) -> None:
        self._system, self._restoring_field = system, restoring_field
        self._size, self._tolerance = size.unsqueeze(1), tolerance
        self.steps, self._left, self._forward = 0, 0.0, True

    def __call__(self, right: Tensor, start: Tensor | None = None) -> Tensor:
        largest = float(right.abs().max())
        # gradients of a loss can be small: what the solve before did not leave (implicit.py) gets digits of its own
        rest = largest <= 10 * self._left
        wanted = self._left if rest else min(self._tolerance, RELATIVE * largest)
        found = self._solution(right, wanted, start)
        self.steps, self._left = max(self.steps, found.steps), wanted if self._forward or not rest else 0.0
        return found.values

    def for_derivatives(self) -> "_IteratedDipoles":
        """Serve derivatives, of sizes that have nothing to do with each other but for the rests of one another."""
        other = copy(self)
        other._forward = False
        return other

    def probe(self) -> None:
        """Raise where a mode runs away: it keeps its share of a field with a share of every mode until it is found."""
        system, generator = self._system, torch.Generator().manual_seed(0)
        field = torch.randn(system.n_atoms, 3, generator=generator).to(self._size)
        dipoles = self._solution(field, PROBE).values
        # the softest mode is at most as stiff as this; stiffness that is rounding of the matrix is none
        quotient = self._dot(dipoles, field) / self._dot(dipoles, self._size * dipoles)
        if (flat := quotient[:, 0] <= 24 * system.n_atoms * torch.finfo(field.dtype).eps).any():
            self._refuse(torch.where(flat.unsqueeze(1), dipoles, 0.0))

    def _solution(self, right: Tensor, tolerance: float, start: Tensor | None = None) -> Solution:
        try:
            return conjugate_gradient(
                self._restoring_field,
                right,
                preconditioner=lambda left: left / self._size,
                start=start,
                tolerance=tolerance,
                dot=self._dot,
            )
        except NotPositiveDefinite as failure:
            self._refuse(failure.direction)

    def _refuse(self, mode: Tensor) -> NoReturn:
        weight = (self._size.sqrt() * mode).norm(dim=1)
        owner = int(self._system.system_index[weight.argmax()])
        refuse_catastrophe(self._system, owner, weight[self._system.system_index == owner])

    def _dot(self, one: Tensor, two: Tensor) -> Tensor:
        total = per_system((one * two).sum(1, keepdim=True), self._system)
        return total[self._system.system_index]


def refuse_catastrophe(system: System, k: int, weight: Tensor) -> NoReturn:
    """Name the two atoms of structure k that have most of the ``weight`` (its atoms,) of a mode without a minimum.

    Raises:
        ConvergenceError: always.
    """
    numbers = system.numbers[system.system_index == k]
    worst = weight.argsort(descending=True)[:2].tolist()
    names = " and ".join(f"{chemical_symbols[int(numbers[i])]}{i}" for i in sorted(worst))
    raise ConvergenceError(
        f"structure {k}: induced dipoles run away (the polarization catastrophe), most of all those of {names}, which "
        "are too close for polarizable points: use damping: gaussian, or smaller polarizabilities"
    )


def _stiffness(system: System, polarizability: Tensor, field: Tensor) -> Linear:
    """Dipoles ``(atoms, …, 3)`` to K α⁻¹ μ."""
    count = system.n_atoms
    if tuple(polarizability.shape) not in ((count,), (count, 3, 3)):
        raise InputError(
            f"polarizability has shape {tuple(polarizability.shape)}, expected ({count},) or ({count}, 3, 3)"
        )
    if tuple(field.shape) != (count, 3):
        raise InputError(f"field has shape {tuple(field.shape)}, expected ({count}, 3)")
    for name, values in (("polarizability", polarizability), ("field", field)):
        if not torch.isfinite(values.detach()).all():
            raise InputError(f"{name} has values that are not finite")
    tensor = polarizability.ndim == 3
    smallest = torch.linalg.eigvalsh(polarizability.detach())[:, 0] if tensor else polarizability.detach()
    if (smallest <= 0).any():
        atom = int(smallest.argmin())
        raise InputError(
            f"the polarizability of atom {atom} of the batch is {polarizability[atom].tolist()} Å³: it must be positive"
        )
    if not tensor:
        return lambda dipoles: COULOMB * dipoles / polarizability.reshape(-1, *[1] * (dipoles.ndim - 1))
    inverse = COULOMB * torch.linalg.inv(polarizability)
    return lambda dipoles: torch.einsum("iab,i...b->i...a", inverse, dipoles)


def _mean(polarizability: Tensor) -> Tensor:
    """A third of the trace ``(atoms,)``."""
    if polarizability.ndim == 1:
        return polarizability
    return polarizability.diagonal(dim1=1, dim2=2).mean(1)
