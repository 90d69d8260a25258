"""Charges in real space, E = ½ Σ' q_i q_j erfc(αr)/r in e²/Å, by loops over pairs, closed under differentiation.

Gaussians replace erfc(αr)/r by (erf(ar) - erf(αr))/r, a = 1/√(2(σ₁²+σ₂²)). On a processor energies, first and second
derivatives are compiled sums over the list; what lies beyond (third derivatives, derivatives by widths, multipoles,
other devices) is autograd over plain torch, which is also what the compiled sums are tested against.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from farfield.compiled import has_loops, numbers
from farfield.coulomb.functions.pair_tensors import pair_energies
from farfield.coulomb.functions.radial import screened, screened_orders, smeared, smeared_orders
from farfield.coulomb.kernels.numba import pair_matrix, pair_sums
from farfield.coulomb.plan.box import summed_cell
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.pairs import HalfPairs, half_pairs, pair_list, rates_of
from farfield.coulomb.sums.third_derivatives import hessian_vector
from farfield.geometry import listed_rows
from farfield.geometry.half_list import RowsNeighborList
from farfield.geometry.neighbors import CLOSEST, search_rows
from farfield.geometry.rows import NeighborRows
from farfield.system import NeighborList


def energy(placed: PlacedSources, plan: Plan) -> Tensor:
    """Energy ``(systems, channels)`` in e²/Å; differentiable to any order.

    Raises:
        InputError: two atoms, or two point charges, on top of each other.
    """
    system, charges = placed.system, placed.charges
    if plan.reach == 0:
        return charges.new_zeros(system.n_systems, charges.shape[1])
    if not has_pair_loops(placed):
        return energy_reference(placed, plan)
    pairs = PairLoops(placed, plan)
    total: Tensor = _PairEnergy.apply(system.positions, system.cell, charges, pairs)  # type: ignore[no-untyped-call]
    return total


def potential_and_field(placed: PlacedSources, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    """Potential ``(sources, channels)``, field ``(…, 3)`` and dE/dstrain ``(systems, channels, 3, 3)``; no graph."""
    if plan.reach == 0:
        charges = placed.charges
        nothing = charges.new_zeros(placed.system.n_systems, charges.shape[1], 3, 3)
        return torch.zeros_like(charges), charges.new_zeros(*charges.shape, 3), nothing
    if not has_loops(placed.charges):
        return _potential_and_field_reference(placed, plan)
    first = PairLoops(placed, plan).first_order
    lattice = summed_cell(placed.system, plan.wave_cell).transpose(1, 2).unsqueeze(1)
    return first.potential, first.field, lattice @ first.grad_cell - first.moment


def energy_reference(placed: PlacedSources, plan: Plan) -> Tensor:
    """Sum ``energy`` in plain torch."""
    system, charges = placed.system, placed.charges
    pairs = half_pairs(placed, plan.cutoff)
    if (moments := placed.moments).rank > 0:
        kernels = pair_kernels(placed, plan, pairs, 2 * moments.rank)
        products = pair_energies(moments.at(pairs.i), moments.at(pairs.j), pairs.vector, kernels)
    else:
        kernel = pair_kernel(placed, plan, pairs)
        products = charges.index_select(0, pairs.i) * charges.index_select(0, pairs.j) * kernel.unsqueeze(1)
    total = charges.new_zeros(system.n_systems, charges.shape[1])
    return total.index_add(0, system.system_index[pairs.i], products)


def pair_kernel(placed: PlacedSources, plan: Plan, pairs: HalfPairs, order: int = 0) -> Tensor:
    """Real-space kernel B_n of pairs ``(pairs,)``, in 1/Å^(2n+1)."""
    split = plan.splitting[placed.system.system_index[pairs.i]]
    if placed.widths is None:
        return screened(pairs.squared, split, order)
    rate = rates_of(placed.widths, pairs.i, pairs.j)
    return smeared(pairs.squared, rate, order) - smeared(pairs.squared, split, order)


def pair_kernels(placed: PlacedSources, plan: Plan, pairs: HalfPairs, highest: int) -> list[Tensor]:
    """Real-space kernels B_0 to B_highest of pairs, each ``(pairs,)``."""
    split = plan.splitting[placed.system.system_index[pairs.i]]
    if placed.widths is None:
        return screened_orders(pairs.squared, split, highest)
    rate = rates_of(placed.widths, pairs.i, pairs.j)
    both = (smeared_orders(pairs.squared, one, highest) for one in (rate, split))
    return [near - far for near, far in zip(*both)]


@dataclass(frozen=True)
class _FirstOrder:
    potential: Tensor  # (sources, channels), e/Å
    field: Tensor  # (sources, channels, 3), e/Å²
    grad_cell: Tensor  # (systems, channels, 3, 3), dE/dcell at fixed positions, e²/Å²
    moment: Tensor  # (systems, channels, 3, 3), Σ r⊗qE, e²/Å


class PairLoops:
    """Pairs of a real-space sum, and what of them is not differentiated."""

    def __init__(self, placed: PlacedSources, plan: Plan) -> None:
        self.placed, self.plan = placed, plan
        system = placed.system
        variances = torch.zeros(0) if placed.widths is None else placed.widths.square()
        self._charges = pair_sums.PairCharges(
            numbers(system.positions), numbers(placed.charges), numbers(variances), system.system_index.numpy()
        )
        self._cells = pair_sums.PairCells(numbers(system.cell), numbers(plan.splitting), numbers(plan.cutoff))
        self.listed = _rows(placed, plan.reach)

    def matrix(self) -> pair_matrix.PairMatrix:
        """Evaluate B_0 of all pairs."""
        matrix, closest = pair_matrix.pair_matrix(self._charges, self._cells, self.listed)
        self._refuse(closest)
        return matrix

    @cached_property
    def first_order(self) -> _FirstOrder:
        """Potentials and fields at every charge."""
        found = pair_sums.first_order(self._charges, self._cells, self.listed)
        self._refuse(found.closest)
        dtype = self.placed.charges.dtype
        potentials, grad_cell, moment = (
            torch.from_numpy(x).to(dtype) for x in (found.potentials, found.grad_cell, found.moment)
        )
        return _FirstOrder(potentials[..., 0], potentials[..., 1:], grad_cell, moment)

    def _refuse(self, closest: float) -> None:
        if closest < CLOSEST**2:
            half_pairs(self.placed, self.plan.cutoff)  # raises, if they must not be so close

    def hessian_vector(self, positions: Tensor, cell: Tensor, charges: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        """Gradient by positions, cell, charges and weight of the derivative of Σ weight·E along a direction."""
        along = pair_sums.Direction(*map(numbers, (positions, charges, cell, weight)))
        found = pair_sums.hessian_vector(self._charges, self._cells, self.listed, along)
        grad_positions, grad_charges, grad_cell, grad_weight = (torch.from_numpy(x).to(weight.dtype) for x in found)
        return grad_positions, grad_cell, grad_charges, grad_weight

    def reference(self, positions: Tensor, cell: Tensor, charges: Tensor) -> Tensor:
        """Sum the energy in plain torch, differentiable without end."""
        system = replace(self.placed.system, positions=positions, cell=cell)
        return energy_reference(replace(self.placed, system=system, charges=charges), self.plan)


class _PairEnergy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, positions: Tensor, cell: Tensor, charges: Tensor, pairs: PairLoops) -> Tensor:
        ctx.pairs, ctx.first = pairs, pairs.first_order
        ctx.save_for_backward(positions, cell, charges)
        owner, systems = pairs.placed.system.system_index, len(cell)
        half = 0.5 * charges * ctx.first.potential
        return charges.new_zeros(systems, charges.shape[1]).index_add(0, owner, half)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gradient = _PairEnergyGradient.apply(grad, *ctx.saved_tensors, ctx.pairs, ctx.first)  # type: ignore[no-untyped-call]
        return (*gradient, None)


class _PairEnergyGradient(torch.autograd.Function):
    """Σ weight·E differentiated by positions, cell and charges."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, positions: Tensor, cell: Tensor, charges: Tensor, pairs: PairLoops, first: _FirstOrder
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.pairs = pairs
        ctx.save_for_backward(weight, positions, cell, charges)
        owner = pairs.placed.system.system_index
        own = weight[owner]
        grad_positions = -((own * charges).unsqueeze(-1) * first.field).sum(1)
        grad_cell = (weight[..., None, None] * first.grad_cell).sum(1)
        return grad_positions, grad_cell, own * first.potential

    @staticmethod
    def backward(ctx: Any, *along: Tensor) -> tuple[Tensor | None, ...]:
        if not torch.is_grad_enabled():
            grad_positions, grad_cell, grad_charges, grad_weight = ctx.pairs.hessian_vector(
                *along, ctx.saved_tensors[0]
            )
            return grad_weight, grad_positions, grad_cell, grad_charges, None, None
        weight, *inputs = ctx.saved_tensors
        return (*hessian_vector(ctx.pairs.reference, weight, inputs, along, ctx.needs_input_grad[:4]), None, None)


_kept: WeakKeyDictionary[NeighborList, NeighborRows] = WeakKeyDictionary()


def _rows(placed: PlacedSources, reach: float) -> NeighborRows:
    """Find pairs as compiled sums read them: of the attached list, once for as long as it is attached, or searched."""
    system, attached = placed.system, placed.system.neighbors
    if attached is None or attached.cutoff < reach:
        found = search_rows(system, reach)
        if found is not None:
            return found
    elif isinstance(attached, RowsNeighborList):
        return attached.rows
    elif attached in _kept:
        return _kept[attached]
    listed = pair_list(placed, reach)
    i, j, shift = (column.contiguous().numpy() for column in (listed.i, listed.j, listed.shift.detach()))
    rows = listed_rows.listed_once(i, j, shift, sources=system.n_atoms, twice=listed.twice)
    if attached is not None and attached.i is listed.i:
        _kept[attached] = rows
    return rows


def fixed(placed: PlacedSources, *, only_cell: bool = False) -> bool:
    """Tell whether there are loops for these sources, and nobody differentiates by places and cells (or by cells)."""
    places = (placed.system.cell,) if only_cell else (placed.system.positions, placed.system.cell)
    return has_pair_loops(placed) and not (torch.is_grad_enabled() and any(x.requires_grad for x in places))


def has_pair_loops(placed: PlacedSources, *, rank: int = 0) -> bool:
    """Tell whether pairs of sources of this rank are summed by loops: where nobody differentiates by widths."""
    by_widths = placed.widths is not None and placed.widths.requires_grad
    return placed.moments.rank == rank and not by_widths and has_loops(placed.charges)


def _potential_and_field_reference(placed: PlacedSources, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    system, charges = placed.system, placed.charges
    potential = torch.zeros_like(charges)
    field = charges.new_zeros(*charges.shape, 3)
    virial = charges.new_zeros(system.n_systems, charges.shape[1], 3, 3)
    pairs = half_pairs(placed, plan.cutoff)
    kernel, steeper = (pair_kernel(placed, plan, pairs, order).unsqueeze(1) for order in (0, 1))
    at_i, at_j = charges[pairs.i], charges[pairs.j]
    potential.index_add_(0, pairs.i, kernel * at_j).index_add_(0, pairs.j, kernel * at_i)
    pull = (steeper * pairs.vector).unsqueeze(1)  # (pairs, 1, 3)
    field.index_add_(0, pairs.i, -at_j.unsqueeze(-1) * pull).index_add_(0, pairs.j, at_i.unsqueeze(-1) * pull)
    moment = -(at_i * at_j)[..., None, None] * (pull.unsqueeze(-1) * pairs.vector[:, None, None, :])
    virial.index_add_(0, system.system_index[pairs.i], moment)
    return potential, field, virial
