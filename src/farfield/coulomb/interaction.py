"""Charges and dipoles to the potentials and fields they make: prepared once, applied as often as an iteration wants.

With s = (q, μ) of every source the energy is ½ s·W·s; what is applied here is W, its blocks of pairs

    W_ij = | B_0       -B_1 dᵀ         |   d = r_j - r_i
           | B_1 d   B_1 1 - B_2 d dᵀ  |

(pair_tensors.py), its waves or its mesh. Differentiable to any order in positions, cell, widths and sources.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from farfield.coulomb import scaling
from farfield.coulomb.functions.pair_tensors import pair_blocks
from farfield.coulomb.padding import Padding
from farfield.coulomb.scaling import PairScaling
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.linear_map import LinearMap, written_map
from farfield.units import COULOMB


@dataclass(frozen=True)
class Interaction:
    """The charges and dipoles of a batch on one another, Gaussian self-energies left out."""

    whole: LinearMap
    scaled: LinearMap | None  # what scaled pairs are short of

    def __call__(
        self,
        charges: Tensor | None,  # (atoms,) or (atoms, channels), e
        dipoles: Tensor,  # (atoms, 3) or (atoms, channels, 3), e·Å
    ) -> tuple[Tensor, Tensor]:  # like charges, V; like dipoles, V/Å
        """Evaluate the potential dE/dq and the field -dE/dμ at every source."""
        bare = dipoles.ndim == 2
        vectors = dipoles.unsqueeze(1) if bare else dipoles
        scalars = vectors.new_zeros(vectors.shape[:2]) if charges is None else charges.reshape(vectors.shape[:2])
        gradient = self.gradient(torch.cat([scalars.unsqueeze(1), vectors.transpose(1, 2)], 1))
        potential, field = gradient[:, 0], -gradient[:, 1:].transpose(1, 2)
        return (potential.squeeze(1), field.squeeze(1)) if bare else (potential, field)

    def dipole_matrix(self, padding: Padding) -> Tensor | None:
        """Write down d²E/dμdμ ``(systems, 3·longest, 3·longest)`` in V/(e·Å²); None where a term has no matrix."""
        if self.whole.dipoles is None:
            return None
        matrix = self.whole.dipoles(padding)
        if self.scaled is not None and self.scaled.dipoles is not None:
            matrix = matrix + self.scaled.dipoles(padding)
        return COULOMB * matrix.flatten(3).flatten(1, 2)

    def gradient(self, columns: Tensor) -> Tensor:
        """Evaluate dE/d(q, μ) ``(atoms, 4, channels)``, V and V/Å, of (q, μ) ``(atoms, 4, channels)``."""
        found = self.whole(columns)
        return COULOMB * (found if self.scaled is None else found + self.scaled(columns))


def scaled_map(placed: PlacedSources, pairs: PairScaling) -> LinearMap:
    """Prepare what scaled pairs are short of.

    Raises:
        InputError: sources that are not there or in different systems, too few factors.
    """
    vector, kernels = scaling.missing(placed, pairs)
    return written_map(pairs.i, pairs.j, pair_blocks(vector, kernels))
