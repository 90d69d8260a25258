"""The inverse of hardness + Coulomb matrix without a matrix: conjugate gradients on ``Coulomb.operator``."""

import torch
from torch import Tensor

from farfield.coulomb.coulomb import own_hardness
from farfield.errors import ConvergenceError
from farfield.response.charges.functional import ChargeForm
from farfield.response.charges.groups import Conserved
from farfield.response.charges.messages import refuse
from farfield.response.solvers.conjugate_gradient import Linear, NotPositiveDefinite, conjugate_gradient
from farfield.response.solvers.screening_preconditioner import SmoothInverses
from farfield.system import per_atom, per_system

MOST = 500
"""Steps."""

TURNS = 30
"""Of a direction without a minimum, before the atoms are named that charge runs between."""


def matrix_of(form: ChargeForm) -> Linear:
    """Charges ``(atoms,)`` in e to (J + A)·q in V, without a graph."""
    with torch.no_grad():
        fixed = form.at([x.detach() for x in form.variables])
        potential, hardness = form.coulomb.operator(fixed.system, fixed.widths, plan=form.plan), fixed.hardness

    def apply(charges: Tensor) -> Tensor:
        with torch.no_grad():
            return hardness * charges + potential(charges)

    return apply


def diagonal_of(form: ChargeForm) -> Tensor:
    """Hardness of each charge, its Gaussian's included ``(atoms,)``, V/e."""
    hardness = form.hardness.detach()
    if form.widths is None:
        return hardness
    return hardness + own_hardness(torch.as_tensor(form.widths).detach().to(hardness).expand(len(hardness)))


def _positive(diagonal: Tensor) -> Tensor:
    """For a preconditioner, which has to be positive even where the matrix is not."""
    return torch.maximum(diagonal, 0.1 * diagonal.abs().mean()) if len(diagonal) else diagonal


class IteratedInverse:
    """Potentials ``(atoms,)`` in V to the charges ``(atoms,)`` in e that raise them, at fixed totals.

    Raises:
        InputError: a system without a minimum.
        ConvergenceError: too many steps.
    """

    def __init__(self, form: ChargeForm, conserved: Conserved, tolerance: float) -> None:
        """``conserved`` says which totals are fixed; ``tolerance`` in V."""
        self._system, self._conserved, self._tolerance = form.system, conserved, tolerance
        self.matrix, self._diagonal = matrix_of(form), _positive(diagonal_of(form))
        self._scale = max(float(self.along(form.slope.detach()).abs().max()), tolerance) if len(form.slope) else 1.0
        self._first = True
        widths = torch.as_tensor(0.0 if form.widths is None else form.widths).to(self._diagonal)
        variance = widths.detach().square().expand(len(self._diagonal))
        self._preconditioner = self._constrained(SmoothInverses(form.system, self._diagonal, variance))
        self.steps = 0

    def __call__(self, potential: Tensor) -> Tensor:
        """Symmetric: its own adjoint.

        The first call, from wherever it starts, is held to the tolerance, later ones to as many digits of their own.
        """
        size = float(self.along(potential).abs().max())
        tolerance = self._tolerance if self._first else size * self._tolerance / self._scale
        self._first = False
        try:
            return self._solve(potential, tolerance, self._preconditioner)
        except ConvergenceError:  # the smooth inverse was too rough a guess, as in some very uneven densities
            return self._solve(potential, tolerance, self._constrained(lambda residual: residual / self._diagonal))

    def along(self, potential: Tensor) -> Tensor:
        """Less what moves no charge: the mean of those that share a total."""
        return self._conserved.without_mean(potential)

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
            refuse(self._system, k, self._downwards(torch.where(mine, failure.direction, 0.0))[mine])
        except ConvergenceError as failure:
            raise ConvergenceError(
                f'{failure}; solver="dense" is exact, and a larger tolerance sooner met'
            ) from failure
        self.steps += found.steps
        return found.values

    def _downwards(self, direction: Tensor) -> Tensor:
        """Turned towards the least eigenvalue: the iteration stops at any direction that curves downwards."""
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
        """The same within the charges whose totals are zero."""
        along = self._conserved.without_mean  # not of ``self``, which keeps what is made here
        return lambda residual: along(inverse(along(residual)))
