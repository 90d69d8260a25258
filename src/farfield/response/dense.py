"""The inverse of hardness + Coulomb matrix by Cholesky factors, a block a system.

Where the total charge is fixed, the first charge of a system is the total less the others; what is left has the reduced
matrix R_ij = M_ij - M_i0 - M_0j + M_00, positive definite exactly where the minimum exists.
"""

import torch
from torch import Tensor

from farfield.coulomb.padding import Padding
from farfield.response.form import ChargeForm
from farfield.response.refusal import refuse


class DenseInverse:
    """Potentials ``(atoms,)`` in V to the charges ``(atoms,)`` in e that raise them, at fixed total where ``held``.

    Raises:
        InputError: a system without a minimum.
    """

    def __init__(self, form: ChargeForm, held: Tensor) -> None:
        """``held`` (systems,): the total charge is fixed."""
        self.padding, self.held = Padding.of(form.system), held.to(torch.float64)[:, None]
        with torch.no_grad():
            matrix, mask = form.coulomb.padded_matrix(form.system, form.widths, plan=form.plan)
            matrix = matrix + torch.diag_embed(self.padding.pad(form.hardness.detach()))
            self.block = matrix
            free = mask.clone()
            free[:, 0] &= ~held
            self.factor = _factor(_reduced(matrix, self.held, free), matrix, form, held)
        self.free = free.to(matrix.dtype)

    def matrix(self, charges: Tensor) -> Tensor:
        """M·charges ``(atoms,)`` in V, without a graph."""
        return self.padding.unpad((self.block @ self.padding.pad(charges)[..., None])[..., 0])

    def __call__(self, potential: Tensor) -> Tensor:
        """Symmetric: its own adjoint."""
        block = self.padding.pad(potential)
        return self.back(torch.cholesky_solve(self.forward(block)[..., None], self.factor)[..., 0])

    def along(self, potential: Tensor) -> Tensor:
        """Less what moves no charge: that of the first atom where the total is fixed."""
        return self.padding.unpad(self.forward(self.padding.pad(potential)))

    def forward(self, block: Tensor) -> Tensor:
        """Potentials towards each free charge, at the expense of the first where the total is fixed; padded."""
        return (block - self.held * block[:, :1]) * self.free

    def back(self, block: Tensor) -> Tensor:
        """Charges ``(atoms,)`` from the free ones, padded."""
        block = block * self.free
        first = block[:, :1] - self.held * block.sum(1, keepdim=True)
        return self.padding.unpad(torch.cat([first, block[:, 1:]], 1))


def _reduced(matrix: Tensor, held: Tensor, free: Tensor) -> Tensor:
    """R; the identity where nothing is free."""
    row = held[:, :, None] * matrix[:, :1]
    reduced = matrix - row - row.transpose(1, 2) + row[:, :, :1]
    eye = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    return torch.where(free[:, None] & free[:, :, None], reduced, eye)


def _largest(matrix: Tensor) -> Tensor:
    """Size of the entries ``(systems,)``, for rounding: that of the first row will do."""
    return matrix[:, 0].abs().amax(1)


def _factor(reduced: Tensor, matrix: Tensor, form: ChargeForm, held: Tensor) -> Tensor:
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(reduced)
    pivots = factor.diagonal(dim1=1, dim2=2).square().amin(1)
    # a pivot that is rounding of the matrix is no pivot
    lost = pivots <= 8 * matrix.shape[1] * torch.finfo(matrix.dtype).eps * _largest(matrix)
    wrong = (failed != 0) | lost | ~torch.isfinite(pivots)
    if wrong.any():
        k = int(wrong.nonzero()[0])
        lowest = torch.linalg.eigh(reduced[k])[1][:, 0]
        if bool(held[k]):
            lowest[0] = -lowest[1:].sum()
        refuse(form.system, k, lowest[: int(form.system.atoms_per_system[k])])
    return factor
