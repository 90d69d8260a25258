"""The inverse Jacobian of densities that respond to the potential they make, by conjugate gradients."""

from functools import cached_property

import torch
from torch import Tensor

from farfield.response.density.functional import DensityFunctional
from farfield.response.solvers.conjugate_gradient import conjugate_gradient
from farfield.response.solvers.screening_preconditioner import ScreeningPreconditioners
from farfield.system import per_atom, per_system

MOST = 300
"""Steps of a solve."""


class Jacobian:
    """The inverse of [[1 + S A, S₀], [Σ, 0]], S₀ the column of S that μ moves; its transpose as well.

    With S = LLᵀ and c the row of L that is charge, both come down to (1 + LᵀAL) y + c μ = r at given c·y. Where the
    total is fixed y is sought across c: along it, as with other charged slabs and wires, A need not be positive.
    """

    def __init__(self, functional: DensityFunctional, values: Tensor, relative: float) -> None:
        """Linearise at ``values``; ``relative`` is the residual of each solve over its right-hand side."""
        self._functional, self._system, self._relative, self._values = functional, functional.system, relative, values
        self._size, self.steps = 0.0, 0

    @cached_property
    def _susceptibility(self) -> Tensor:
        functional = self._functional
        density, chemical_potential = functional.parted(self._values)
        potentials = functional.potentials(functional.induced_potential(density), chemical_potential)
        return functional.response.susceptibility(potentials)

    @cached_property
    def _factor(self) -> Tensor:
        factor: Tensor = torch.linalg.cholesky(self._susceptibility)
        return factor

    @cached_property
    def _inverse(self) -> Tensor:
        """Invert 1 + LᵀAL atom by atom."""
        self_term = self._factor.transpose(1, 2) @ (self._functional.response.self_term.unsqueeze(2) * self._factor)
        inverse: Tensor = torch.linalg.inv(self_term + torch.eye(4).to(self_term))
        return inverse

    @cached_property
    def _charge(self) -> Tensor:
        return self._factor[:, 0]

    @cached_property
    def _whole(self) -> Tensor:
        return self._sum(self._charge, self._charge)

    @cached_property
    def _turned(self) -> tuple[Tensor, Tensor]:
        turned = self._preconditioner(self._charge)
        return turned, self._sum(self._charge, turned)

    def __call__(self, right: Tensor) -> Tensor:
        """Solve J x = ``right``, in the order of the functional's ``values`` (4·atoms + systems,)."""
        functional = self._functional
        density, excess = functional.parted(right)
        asked = torch.where(functional.held, (excess - per_system(density[:, 0], self._system)) / self._whole, -excess)
        density = density + self._susceptibility[:, :, 0] * self._at(asked)
        right = -self._up(functional.induced_potential(density))
        found = self._solved(right)
        chemical_potential = self._sum(self._charge, right - self._image(found)) / self._whole - asked
        density = density + self._down(found)
        return torch.cat([density.flatten(), torch.where(functional.held, chemical_potential, excess)])

    def transposed(self, right: Tensor) -> Tensor:
        """Solve Jᵀ x = ``right``."""
        functional = self._functional
        density, excess = functional.parted(right)
        along = self._charge * self._at(torch.where(functional.held, excess / self._whole, 0.0))
        right = self._up(density)
        found = along + self._solved(right - self._image(along))
        chemical_potential = self._sum(self._charge, right - self._image(found)) / self._whole
        chemical_potential = torch.where(functional.held, chemical_potential, 0.0)
        moved = self._down(found)
        density = density - functional.induced_potential(moved)
        density = density - torch.nn.functional.pad(self._at(chemical_potential).expand(len(found), 1), (0, 3))
        free = excess - per_system(moved[:, 0], self._system)
        return torch.cat([density.flatten(), torch.where(functional.held, chemical_potential, free)])

    def _solved(self, right: Tensor) -> Tensor:
        """Apply (1 + LᵀAL)⁻¹, across c where the total is fixed."""
        right = self._across(right)
        size = float(right.abs().max()) if right.numel() else 0.0
        # what rounding left of the one before (implicit.py) is not solved anew; one after that is small by itself
        rest = size <= 100 * self._relative * self._size
        found = conjugate_gradient(
            self._image, right, preconditioner=self._constrained, project=self._across,
            tolerance=self._relative * (self._size if rest else size),
            most=MOST, dot=lambda one, two: self._at(self._sum(one, two)),
        )  # fmt: skip
        self._size = 0.0 if rest else size
        self.steps += found.steps
        return found.values

    def _image(self, values: Tensor) -> Tensor:
        return values + self._up(self._functional.induced_potential(self._down(values)))

    def _across(self, values: Tensor) -> Tensor:
        share = torch.where(self._functional.held, self._sum(self._charge, values) / self._whole, 0.0)
        return values - self._charge * self._at(share)

    @cached_property
    def _waves(self) -> ScreeningPreconditioners:
        softness = (self._charge * self._self_screening(self._charge)).sum(1)  # of charges that feel their own Gaussian
        return ScreeningPreconditioners(self._system, 1 / softness, self._functional.widths.square())

    def _self_screening(self, values: Tensor) -> Tensor:
        """Apply the inverse atom by atom."""
        return (self._inverse @ values.unsqueeze(2)).squeeze(2)

    def _preconditioner(self, values: Tensor) -> Tensor:
        """Apply about the inverse: atom by atom, and the screening of long waves."""
        found = self._self_screening(values)
        screened = self._waves.screening((self._charge * found).sum(1)).unsqueeze(1)
        return found - self._self_screening(self._charge) * screened

    def _constrained(self, values: Tensor) -> Tensor:
        found = self._preconditioner(values)
        turned, whole = self._turned
        share = torch.where(self._functional.held, self._sum(self._charge, found) / whole, 0.0)
        return found - turned * self._at(share)

    def _down(self, values: Tensor) -> Tensor:
        return (self._factor @ values.unsqueeze(2)).squeeze(2)

    def _up(self, values: Tensor) -> Tensor:
        return (values.unsqueeze(1) @ self._factor).squeeze(1)

    def _sum(self, one: Tensor, two: Tensor) -> Tensor:
        return per_system((one * two).sum(1), self._system)

    def _at(self, values: Tensor) -> Tensor:
        return per_atom(values, self._system).reshape(-1, 1)
