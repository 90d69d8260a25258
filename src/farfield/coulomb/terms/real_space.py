"""The real-space half of Ewald and mesh sums, E = ½ Σ' L_i L_j erfc(αr)/r in e²/Å, over pairs within the cutoff.

Gaussians replace erfc(αr)/r by (erf(ar) - erf(αr))/r, a = 1/√(2(σ₁²+σ₂²)). Charges have loops (pair_loops.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from farfield.compiled import numbers
from farfield.coulomb.functions.pair_tensors import pair_blocks
from farfield.coulomb.kernels.numba import pair_matrix
from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums import pair_loops
from farfield.coulomb.sums.linear_map import LinearMap, Operator, map_of_pairs
from farfield.coulomb.sums.pair_loops import PairLoops, fixed, has_pair_loops, pair_kernel, pair_kernels
from farfield.coulomb.sums.pairs import half_pairs
from farfield.coulomb.sums.points import real_space_potential
from farfield.coulomb.sums.second_derivatives import Gradient
from farfield.coulomb.terms.term import PotentialAndField, Term
from farfield.system import per_system


@dataclass(frozen=True)
class RealSpace(Term):
    """Pairs closer than the cutoff, images among them.

    Raises:
        InputError: when asked anything, of two atoms, or two point charges, on top of each other.
    """

    placed: PlacedSources
    plan: Plan

    def energy(self) -> Tensor:
        """Sum the pairs' energies; those of dipoles by the loops that iterations on dipoles run through."""
        placed = self.placed
        if not has_pair_loops(placed, rank=1):
            return pair_loops.energy(placed, self.plan)
        columns = placed.moments.columns()
        return 0.5 * torch.as_tensor(per_system((columns * self.interaction()(columns)).sum(1), placed.system))

    def potential_and_field(self) -> PotentialAndField:
        """Sum the pairs' potentials and fields."""
        return PotentialAndField(*pair_loops.potential_and_field(self.placed, self.plan))

    def operator(self) -> Operator:
        """Evaluate pairs once, for however many charges follow."""
        placed, plan = self.placed, self.plan
        if fixed(placed):
            loops = PairLoops(placed, plan)
            matrix, rows = loops.matrix(), loops.listed
            return _Product.of(lambda x: torch.from_numpy(pair_matrix.times(matrix, numbers(x), rows)).to(x.dtype))
        pairs = half_pairs(placed, plan.cutoff)
        kernel = pair_kernel(placed, plan, pairs).unsqueeze(1)

        def potential(charges: Tensor) -> Tensor:
            total = torch.zeros_like(charges).index_add(0, pairs.i, kernel * charges.index_select(0, pairs.j))
            return total.index_add(0, pairs.j, kernel * charges.index_select(0, pairs.i))

        return potential

    def interaction(self) -> LinearMap:
        """Evaluate pairs once, for however many dipoles follow."""
        placed, plan = self.placed, self.plan
        pairs = half_pairs(placed, plan.cutoff)

        def blocks(vector: Tensor) -> Tensor:
            there = replace(pairs, vector=vector, squared=torch.linalg.vecdot(vector, vector))
            return pair_blocks(vector, pair_kernels(placed, plan, there, 2))

        split = plan.splitting[placed.system.system_index[pairs.i]]
        return map_of_pairs(placed, pairs, split, blocks)

    def potential_at(self, points: PlacedSources) -> Tensor:
        """Sum pairs of points and sources."""
        return real_space_potential(self.placed, self.plan, points)

    def matrix(self, padding: Padding) -> Tensor:
        """Write down the pairs' kernels; those of an image with its source on the diagonal."""
        placed, n, charges = self.placed, padding.longest, self.placed.charges
        if fixed(placed):
            block = charges.new_zeros(padding.systems, n, n, dtype=torch.float64)
            pair_matrix.add_dense(PairLoops(placed, self.plan).matrix(), 1.0, padding.slots.numpy(), block.numpy())
            return block.to(charges.dtype)
        pairs = half_pairs(placed, self.plan.cutoff)
        kernel = pair_kernel(placed, self.plan, pairs)
        row, column = padding.slots[pairs.i], padding.slots[pairs.j]
        flat = charges.new_zeros(padding.systems * n * n)
        flat = flat.index_add(0, row * n + column % n, kernel).index_add(0, column * n + row % n, kernel)
        return flat.reshape(padding.systems, n, n)

    def second_derivatives(self) -> "PairDerivatives | None":
        """Derivatives by loops, where there are some and nobody differentiates by cells."""
        if not fixed(self.placed, only_cell=True):
            return None
        return PairDerivatives(self.placed.double(), self.plan.double())


@dataclass(frozen=True)
class PairDerivatives:
    """First and second derivatives of one channel of charges."""

    placed: PlacedSources
    plan: Plan

    @cached_property
    def _loops(self) -> PairLoops:
        return PairLoops(self.placed, self.plan)

    def gradient(self) -> Gradient:
        """Gradient of the energy."""
        first = self._loops.first_order
        return first.potential[:, 0], -self.placed.charges * first.field[:, 0]

    def hessian_vector(self, scale: Tensor, charges: Tensor, positions: Tensor) -> Gradient:
        """Gradient of the derivative of Σ scale·E along charges and positions."""
        still = torch.zeros_like(self.placed.system.cell)
        found = self._loops.hessian_vector(positions, still, charges.unsqueeze(1), scale.unsqueeze(1))
        return found[2][:, 0], found[0]


class _Product(torch.autograd.Function):
    """A symmetric matrix, which is its own adjoint."""

    @staticmethod
    def of(apply: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda values: _Product.apply(values, apply)  # type: ignore[no-untyped-call]

    @staticmethod
    def forward(ctx: Any, values: Tensor, apply: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.product = apply
        return apply(values)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _Product.apply(grad, ctx.product), None  # type: ignore[no-untyped-call]
