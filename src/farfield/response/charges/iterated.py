"""The inverse of hardness + Coulomb matrix without a matrix: conjugate gradients on ``Coulomb.operator``."""

import torch
from torch import Tensor

from farfield.coulomb.functions.gaussians import gaussian_self_hardness
from farfield.errors import ConvergenceError
from farfield.response.charges.functional import ChargeFunctional
from farfield.response.charges.groups import ChargeGroups
from farfield.response.charges.messages import refuse_no_minimum
from farfield.response.solvers.conjugate_gradient import Linear, NotPositiveDefinite, conjugate_gradient
from farfield.response.solvers.screening_preconditioner import ScreeningPreconditioners
from farfield.system import per_atom, per_system

MOST = 500
"""Steps."""

TURNS = 30
"""Of a direction without a minimum, before the atoms are named that charge runs between."""


def matrix_of(functional: ChargeFunctional) -> Linear:
    """Prepare the map of charges ``(atoms,)`` in e to (J + A)·q in V, without a graph."""
    with torch.no_grad():
        fixed = functional.at([x.detach() for x in functional.variables])
        potential = fixed.coulomb.operator(fixed.system, fixed.widths, plan=fixed.plan)
        hardness = fixed.hardness

    def apply(charges: Tensor) -> Tensor:
        with torch.no_grad():
            return hardness * charges + potential(charges)

    return apply


def diagonal_of(functional: ChargeFunctional) -> Tensor:
    """Add the hardness of each charge and its Gaussian's ``(atoms,)``, V/e."""
    hardness = functional.hardness.detach()
    if functional.widths is None:
        return hardness
    widths = torch.as_tensor(functional.widths).detach().to(hardness)
    return hardness + gaussian_self_hardness(widths.expand(len(hardness)))


def _positive(diagonal: Tensor) -> Tensor:
    """Raise a diagonal for a preconditioner, which has to be positive even where the matrix is not."""
    return torch.maximum(diagonal, 0.1 * diagonal.abs().mean()) if len(diagonal) else diagonal


class IteratedInverse:
    """Potentials ``(atoms,)`` in V to the charges ``(atoms,)`` in e that raise them, at fixed totals.

    Raises:
        InputError: a system without a minimum.
        ConvergenceError: too many steps.
    """

    def __init__(self, functional: ChargeFunctional, groups: ChargeGroups, tolerance: float) -> None:
        """Prepare the iteration; ``groups`` says which totals are fixed, ``tolerance`` is in V."""
        self._system, self._groups, self._tolerance = functional.system, groups, tolerance
        self.matrix, self._diagonal = matrix_of(functional), _positive(diagonal_of(functional))
        slope = functional.slope.detach()
        self._scale = max(float(self.along(slope).abs().max()), tolerance) if len(slope) else 1.0
        widths = torch.as_tensor(0.0 if functional.widths is None else functional.widths).to(self._diagonal)
        variance = widths.detach().square().expand(len(self._diagonal))
        self._preconditioner = self._constrained(ScreeningPreconditioners(functional.system, self._diagonal, variance))
        self.steps = 0

    def to_tolerance(self, potential: Tensor) -> Tensor:
        """Invert to the tolerance, however small the potentials are: they are what a good start has left."""
        return self._solved(potential, self._tolerance)

    def __call__(self, potential: Tensor) -> Tensor:
        """Invert to as many digits as the charges have; symmetric, hence its own adjoint."""
        size = float(self.along(potential).abs().max())
        return self._solved(potential, size * self._tolerance / self._scale)

    def _solved(self, potential: Tensor, tolerance: float) -> Tensor:
        try:
            return self._solve(potential, tolerance, self._preconditioner)
        except ConvergenceError:  # the smooth inverse was too rough a guess, as in some very uneven densities
            return self._solve(potential, tolerance, self._constrained(lambda residual: residual / self._diagonal))

    def along(self, potential: Tensor) -> Tensor:
        """Take off what moves no charge: the mean potential of those that share a total."""
        return self._groups.without_mean(potential)

    def _solve(self, potential: Tensor, tolerance: float, preconditioner: Linear) -> Tensor:
        try:
            found = conjugate_gradient(
                self.matrix,
                potential,
                preconditioner=preconditioner,
                tolerance=tolerance,
                most=MOST,
                dot=self._dot,
                project=self.along,
            )
        except NotPositiveDefinite as failure:
            k = int(self._system.system_index[failure.direction.abs().argmax()])
            mine = self._system.system_index == k
            refuse_no_minimum(self._system, k, self._downwards(torch.where(mine, failure.direction, 0.0))[mine])
        except ConvergenceError as failure:
            raise ConvergenceError(
                f'{failure}; solver="dense" is exact, and a larger tolerance sooner met'
            ) from failure
        self.steps += found.steps
        return found.values

    def _downwards(self, direction: Tensor) -> Tensor:
        """Turn towards the least eigenvalue: the iteration stops at any direction that curves downwards."""
        for _ in range(TURNS):
            direction = direction / torch.linalg.vector_norm(direction)
            image = self.along(self.matrix(direction))
            rest = self._preconditioner(image - (direction @ image) * direction)
            rest = rest - (direction @ rest) * direction
            size = torch.linalg.vector_norm(rest)
            if not float(size) > 1e-9:
                break
            plane = torch.stack([direction, rest / size])
            curves = plane @ torch.stack([image, self.matrix(plane[1])], 1)
            direction = torch.linalg.eigh(0.5 * (curves + curves.T))[1][:, 0] @ plane
        return direction

    def _dot(self, one: Tensor, two: Tensor) -> Tensor:
        return per_atom(per_system(one * two, self._system), self._system)

    def _constrained(self, inverse: Linear) -> Linear:
        """Restrict to charges whose totals are zero."""
        along = self._groups.without_mean  # not of ``self``, which keeps what is made here
        return lambda residual: along(inverse(along(residual)))
