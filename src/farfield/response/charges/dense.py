"""The inverse of hardness + Coulomb matrix by Cholesky factors, a block a system.

Where atoms share a fixed total, the first of their charges is that less the others; what is left has the reduced matrix
R_ij = M_ij - M_if - M_gj + M_gf with g and f the first atoms that i and j share their totals with, positive definite
exactly where the minimum exists.
"""

import torch
from torch import Tensor

from farfield.coulomb.padding import Padding, plus_diagonal
from farfield.response.charges.functional import ChargeFunctional
from farfield.response.charges.groups import ChargeGroups
from farfield.response.charges.messages import refuse_no_minimum


class DenseInverse:
    """Potentials ``(atoms,)`` in V to the charges ``(atoms,)`` in e that raise them, at fixed totals.

    Raises:
        InputError: a system without a minimum.
    """

    def __init__(self, functional: ChargeFunctional, groups: ChargeGroups) -> None:
        """Factor the matrix; ``groups`` says which totals are fixed."""
        self.padding = padding = Padding.of(functional.system)
        with torch.no_grad():
            matrix, mask = functional.coulomb.padded_matrix(functional.system, functional.widths, plan=functional.plan)
            self.block = matrix = plus_diagonal(matrix, padding.pad(functional.hardness.detach()))
            self.held = padding.pad(groups.held_atoms.to(matrix.dtype))
            self.first, free = _first(groups, padding, mask)
            self.free = free.to(matrix.dtype)
            self.factor = self._factor(self._reduced(), functional)

    def matrix(self, charges: Tensor) -> Tensor:
        """Evaluate M·charges ``(atoms,)`` in V, without a graph."""
        return self.padding.unpad((self.block @ self.padding.pad(charges)[..., None])[..., 0])

    def to_tolerance(self, potential: Tensor) -> Tensor:
        """Invert to rounding, whatever the tolerance."""
        return self(potential)

    def __call__(self, potential: Tensor) -> Tensor:
        """Invert; symmetric, hence its own adjoint."""
        block = self.padding.pad(potential)
        return self.back(torch.cholesky_solve(self.forward(block)[..., None], self.factor)[..., 0])

    def along(self, potential: Tensor) -> Tensor:
        """Take off what moves no charge: the potential of the first atom of those that share a total."""
        return self.padding.unpad(self.forward(self.padding.pad(potential)))

    def forward(self, block: Tensor) -> Tensor:
        """Project potentials on each free charge, at the expense of the first that shares its total; padded."""
        return (block - self.held * block.gather(1, self.first)) * self.free

    def back(self, block: Tensor) -> Tensor:
        """Complete charges ``(atoms,)`` from the free ones, padded."""
        block = block * self.free
        return self.padding.unpad(block.scatter_add(1, self.first, -self.held * block))

    def _reduced(self) -> Tensor:
        """R; the identity where nothing is free."""
        # in place, for temporaries of this size cost more than what is done to them
        reduced = self.block - self.held.unsqueeze(2) * self._of_first(self.block, 1)
        reduced -= self.held.unsqueeze(1) * self._of_first(reduced, 2).clone()
        reduced *= self.free.unsqueeze(1)
        reduced *= self.free.unsqueeze(2)
        reduced.diagonal(dim1=1, dim2=2).add_(1 - self.free)
        return reduced

    def _of_first(self, matrix: Tensor, dim: int) -> Tensor:
        """Rows or columns of the first atoms, in the place of all that share their totals."""
        if not bool(self.first.any()):
            return matrix.narrow(dim, 0, 1)
        return matrix.gather(dim, self.first.unsqueeze(3 - dim).expand_as(matrix))

    def _factor(self, reduced: Tensor, functional: ChargeFunctional) -> Tensor:
        factor: Tensor
        factor, failed = torch.linalg.cholesky_ex(reduced)
        pivots = factor.diagonal(dim1=1, dim2=2).square().amin(1)
        # a pivot that is rounding of the matrix is no pivot; the first row has its size
        largest = self.block[:, 0].abs().amax(1)
        lost = pivots <= 8 * reduced.shape[1] * torch.finfo(reduced.dtype).eps * largest
        wrong = (failed != 0) | lost | ~torch.isfinite(pivots)
        if wrong.any():
            k = int(wrong.nonzero()[0])
            lowest = torch.zeros_like(reduced[:, 0])
            lowest[k] = torch.linalg.eigh(reduced[k])[1][:, 0]
            refuse_no_minimum(functional.system, k, self.back(lowest)[functional.system.system_index == k])
        return factor


def _first(groups: ChargeGroups, padding: Padding, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Find in its row the first atom that shares an atom's total, and the charges that are free; padded."""
    group, slots = groups.group, padding.slots
    first = torch.full((len(groups.total),), len(mask) * padding.longest, device=slots.device)
    first = first.scatter_reduce(0, group, slots, "amin")[group]
    free = mask.clone()
    free.view(-1)[slots] = ~groups.held_atoms | (first != slots)
    return padding.pad(first % padding.longest), free
