"""The real-space half of Ewald and mesh sums, E = ½ Σ' q_i q_j erfc(αr)/r in e²/Å, closed under differentiation.

Gaussians replace erfc(αr)/r by (erf(ar) - erf(αr))/r, a = 1/√(2(σ₁²+σ₂²)). On a processor energies, first and second
derivatives are compiled sums over the list; what lies beyond (third derivatives, derivatives by widths, multipoles,
other devices) is autograd over plain torch, which is also what the compiled sums are tested against.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from farfield.compiled import Array, has_loops, numbers
from farfield.coulomb.functions.pair_tensors import pair_energies
from farfield.coulomb.functions.radial import pair_rate, screened, screened_orders, smeared, smeared_orders
from farfield.coulomb.kernels.numba import pair_matrix, pair_sums
from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.box import summed_cell
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import Charged
from farfield.coulomb.sums.pairs import HalfPairs, half_pairs, pair_list
from farfield.coulomb.sums.third_derivatives import bends
from farfield.geometry import listed_rows
from farfield.geometry.neighbors import CLOSEST, find_neighbors, search_rows
from farfield.geometry.rows import NeighborRows
from farfield.system import NeighborList, System
from farfield.units import COULOMB


def energy(charged: Charged, plan: Plan) -> Tensor:
    """Energy ``(systems, channels)`` in e²/Å; differentiable to any order.

    Raises:
        InputError: two atoms, or two point charges, on top of each other.
    """
    system, charges = charged.system, charged.charges
    if plan.reach == 0:
        return charges.new_zeros(system.n_systems, charges.shape[1])
    if not _compiled(charged):
        return energy_reference(charged, plan)
    near = Near(charged, plan)
    total: Tensor = _Energy.apply(system.positions, system.cell, charges, near)  # type: ignore[no-untyped-call]
    return total


def response(charged: Charged, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    """Potential ``(sources, channels)``, field ``(…, 3)`` and dE/dstrain ``(systems, channels, 3, 3)``; no graph."""
    if plan.reach == 0:
        charges = charged.charges
        nothing = charges.new_zeros(charged.system.n_systems, charges.shape[1], 3, 3)
        return torch.zeros_like(charges), charges.new_zeros(*charges.shape, 3), nothing
    if not has_loops(charged.charges):
        return _response_reference(charged, plan)
    first = Near(charged, plan).first_order
    lattice = summed_cell(charged.system, plan.box).transpose(1, 2).unsqueeze(1)
    return first.potential, first.field, lattice @ first.by_cell - first.moment


def matrix(charged: Charged, plan: Plan, padding: Padding) -> Tensor:
    """B_0 of the pairs of each system ``(systems, longest, longest)``; of an image with its source, on the diagonal."""
    n, charges = padding.longest, charged.charges
    if plan.reach == 0:
        return charges.new_zeros(padding.systems, n, n)
    pairs = half_pairs(charged, plan.cutoff)
    kernel = pair_kernel(charged, plan, pairs)
    row, column = padding.slots[pairs.i], padding.slots[pairs.j]
    flat = charges.new_zeros(padding.systems * n * n)
    flat = flat.index_add(0, row * n + column % n, kernel).index_add(0, column * n + row % n, kernel)
    return flat.reshape(padding.systems, n, n)


def add_matrix(charged: Charged, plan: Plan, padding: Padding, block: Array) -> None:
    """Add K times the same, in V/e, by compiled loops."""
    if plan.reach > 0:
        pair_matrix.add_dense(Near(charged, plan).matrix(), COULOMB, padding.slots.numpy(), block)


def operator(charged: Charged, plan: Plan) -> Callable[[Tensor], Tensor]:
    """Charges ``(sources, channels)`` to potentials in e/Å; pairs are evaluated once, for however many follow."""
    if fixed(charged):
        near = Near(charged, plan)
        matrix = near.matrix()
        return _Product.of(lambda x: torch.from_numpy(pair_matrix.times(matrix, numbers(x), near.listed)).to(x.dtype))
    pairs = half_pairs(charged, plan.cutoff)
    kernel = pair_kernel(charged, plan, pairs).unsqueeze(1)

    def potential(charges: Tensor) -> Tensor:
        total = torch.zeros_like(charges).index_add(0, pairs.i, kernel * charges.index_select(0, pairs.j))
        return total.index_add(0, pairs.j, kernel * charges.index_select(0, pairs.i))

    return potential


def energy_reference(charged: Charged, plan: Plan) -> Tensor:
    """``energy`` in plain torch."""
    system, charges = charged.system, charged.charges
    pairs = half_pairs(charged, plan.cutoff)
    if (moments := charged.moments).rank > 0:
        kernels = pair_kernels(charged, plan, pairs, 2 * moments.rank)
        products = pair_energies(moments.at(pairs.i), moments.at(pairs.j), pairs.vector, kernels)
    else:
        kernel = pair_kernel(charged, plan, pairs)
        products = charges.index_select(0, pairs.i) * charges.index_select(0, pairs.j) * kernel.unsqueeze(1)
    total = charges.new_zeros(system.n_systems, charges.shape[1])
    return total.index_add(0, system.system_index[pairs.i], products)


def pair_kernel(charged: Charged, plan: Plan, pairs: HalfPairs, order: int = 0) -> Tensor:
    """Real-space kernel B_n of pairs ``(pairs,)``, in 1/Å^(2n+1)."""
    split = plan.splitting[charged.system.system_index[pairs.i]]
    if charged.widths is None:
        return screened(pairs.squared, split, order)
    variance = charged.widths.square()
    rate = pair_rate(variance.index_select(0, pairs.i), variance.index_select(0, pairs.j))
    return smeared(pairs.squared, rate, order) - smeared(pairs.squared, split, order)


def pair_kernels(charged: Charged, plan: Plan, pairs: HalfPairs, highest: int) -> list[Tensor]:
    """Real-space kernels B_0 to B_highest of pairs, each ``(pairs,)``."""
    split = plan.splitting[charged.system.system_index[pairs.i]]
    if charged.widths is None:
        return screened_orders(pairs.squared, split, highest)
    variance = charged.widths.square()
    rate = pair_rate(variance.index_select(0, pairs.i), variance.index_select(0, pairs.j))
    both = (smeared_orders(pairs.squared, one, highest) for one in (rate, split))
    return [near - far for near, far in zip(*both)]


@dataclass(frozen=True)
class _FirstOrder:
    potential: Tensor  # (sources, channels), e/Å
    field: Tensor  # (sources, channels, 3), e/Å²
    by_cell: Tensor  # (systems, channels, 3, 3), dE/dcell at fixed positions, e²/Å²
    moment: Tensor  # (systems, channels, 3, 3), Σ r⊗qE, e²/Å


class Near:
    """Pairs, and what of them is not differentiated."""

    def __init__(self, charged: Charged, plan: Plan) -> None:
        self.charged, self.plan = charged, plan
        system = charged.system
        variances = torch.zeros(0) if charged.widths is None else charged.widths.square()
        self._charges = pair_sums.Charges(
            numbers(system.positions), numbers(charged.charges), numbers(variances), system.system_index.numpy()
        )
        self._cells = pair_sums.Cells(numbers(system.cell), numbers(plan.splitting), numbers(plan.cutoff))
        self.listed = _rows(charged, plan.reach)

    def matrix(self) -> pair_matrix.PairMatrix:
        """B_0 of all pairs."""
        matrix, closest = pair_matrix.pair_matrix(self._charges, self._cells, self.listed)
        self._refuse(closest)
        return matrix

    @cached_property
    def first_order(self) -> _FirstOrder:
        """What every charge feels."""
        found = pair_sums.first_order(self._charges, self._cells, self.listed)
        self._refuse(found.closest)
        dtype = self.charged.charges.dtype
        felt, by_cell, moment = (torch.from_numpy(x).to(dtype) for x in (found.felt, found.by_cell, found.moment))
        return _FirstOrder(felt[..., 0], felt[..., 1:], by_cell, moment)

    def _refuse(self, closest: float) -> None:
        if closest < CLOSEST**2:
            half_pairs(self.charged, self.plan.cutoff)  # raises, if they must not be so close

    def second_order(self, positions: Tensor, cell: Tensor, charges: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        """Gradient by positions, cell, charges and weight of the derivative of Σ weight·E along a direction."""
        along = pair_sums.Direction(*map(numbers, (positions, charges, cell, weight)))
        found = pair_sums.second_order(self._charges, self._cells, self.listed, along)
        to_positions, to_charges, to_cell, to_weight = (torch.from_numpy(x).to(weight.dtype) for x in found)
        return to_positions, to_cell, to_charges, to_weight

    def reference(self, positions: Tensor, cell: Tensor, charges: Tensor) -> Tensor:
        """The same energy, differentiable without end."""
        system = replace(self.charged.system, positions=positions, cell=cell)
        return energy_reference(replace(self.charged, system=system, charges=charges), self.plan)


class _Energy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, positions: Tensor, cell: Tensor, charges: Tensor, near: Near) -> Tensor:
        ctx.near, ctx.first = near, near.first_order
        ctx.save_for_backward(positions, cell, charges)
        owner, systems = near.charged.system.system_index, len(cell)
        half = 0.5 * charges * ctx.first.potential
        return charges.new_zeros(systems, charges.shape[1]).index_add(0, owner, half)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        slopes = _Slopes.apply(grad, *ctx.saved_tensors, ctx.near, ctx.first)  # type: ignore[no-untyped-call]
        return (*slopes, None)


class _Slopes(torch.autograd.Function):
    """Σ weight·E differentiated by positions, cell and charges."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, positions: Tensor, cell: Tensor, charges: Tensor, near: Near, first: _FirstOrder
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.near = near
        ctx.save_for_backward(weight, positions, cell, charges)
        owner = near.charged.system.system_index
        own = weight[owner]
        by_positions = -((own * charges).unsqueeze(-1) * first.field).sum(1)
        by_cell = (weight[..., None, None] * first.by_cell).sum(1)
        return by_positions, by_cell, own * first.potential

    @staticmethod
    def backward(ctx: Any, *along: Tensor) -> tuple[Tensor | None, ...]:
        if not torch.is_grad_enabled():
            to_positions, to_cell, to_charges, to_weight = ctx.near.second_order(*along, ctx.saved_tensors[0])
            return to_weight, to_positions, to_cell, to_charges, None, None
        weight, *inputs = ctx.saved_tensors
        return (*bends(ctx.near.reference, weight, inputs, along, ctx.needs_input_grad[:4]), None, None)


_kept: WeakKeyDictionary[NeighborList, NeighborRows] = WeakKeyDictionary()


def _rows(charged: Charged, reach: float) -> NeighborRows:
    """The pairs as compiled sums read them: of the attached list, once for as long as it is attached, or searched."""
    system, attached = charged.system, charged.system.neighbors
    if attached is None or attached.cutoff < reach:
        found = search_rows(system, reach)
        if found is not None:
            return found
    elif isinstance(attached, _Unwritten):
        return attached.rows
    elif attached in _kept:
        return _kept[attached]
    listed = pair_list(charged, reach)
    i, j, shift = (column.contiguous().numpy() for column in (listed.i, listed.j, listed.shift.detach()))
    rows = listed_rows.listed_once(i, j, shift, sources=system.n_atoms, twice=listed.twice)
    if attached is not None and attached.i is listed.i:
        _kept[attached] = rows
    return rows


def attached(system: System, reach: float) -> System:
    """The system with its pairs closer than ``reach`` Å, found once for all the sums that follow."""
    known = system.neighbors
    if reach == 0 or (known is not None and known.cutoff >= reach):
        return system
    rows = search_rows(system, reach) if has_loops(system.positions) else None
    if rows is None:
        return replace(system, neighbors=find_neighbors(system, reach, half=True, may_touch=True))
    return replace(system, neighbors=_Unwritten(rows, reach, system.positions.dtype))


class _Unwritten(NeighborList):
    """Rows as compiled sums read them; the columns of the list are written once somebody asks for one."""

    rows: NeighborRows
    dtype: torch.dtype

    def __init__(self, rows: NeighborRows, cutoff: float, dtype: torch.dtype) -> None:
        vars(self).update(rows=rows, cutoff=cutoff, half=True, dtype=dtype)

    def __getattr__(self, name: str) -> Any:
        if name not in ("i", "j", "shift"):
            raise AttributeError(name)
        i, j, shift = (torch.from_numpy(column) for column in listed_rows.listing(self.rows))
        vars(self).update(i=i, j=j, shift=shift.to(self.dtype))
        return vars(self)[name]


def fixed(charged: Charged, *, only_cell: bool = False) -> bool:
    """Whether there are loops for these sources, and nobody differentiates by where they are (or by the cell only)."""
    places = (charged.system.cell,) if only_cell else (charged.system.positions, charged.system.cell)
    return _compiled(charged) and not (torch.is_grad_enabled() and any(x.requires_grad for x in places))


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


def _compiled(charged: Charged) -> bool:
    by_widths = charged.widths is not None and charged.widths.requires_grad
    return has_loops(charged.charges) and not by_widths and charged.moments.rank == 0


def _response_reference(charged: Charged, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    system, charges = charged.system, charged.charges
    potential = torch.zeros_like(charges)
    field = charges.new_zeros(*charges.shape, 3)
    virial = charges.new_zeros(system.n_systems, charges.shape[1], 3, 3)
    pairs = half_pairs(charged, plan.cutoff)
    kernel, steeper = (pair_kernel(charged, plan, pairs, order).unsqueeze(1) for order in (0, 1))
    at_i, at_j = charges[pairs.i], charges[pairs.j]
    potential.index_add_(0, pairs.i, kernel * at_j).index_add_(0, pairs.j, kernel * at_i)
    pull = (steeper * pairs.vector).unsqueeze(1)  # (pairs, 1, 3)
    field.index_add_(0, pairs.i, -at_j.unsqueeze(-1) * pull).index_add_(0, pairs.j, at_i.unsqueeze(-1) * pull)
    moment = -(at_i * at_j)[..., None, None] * (pull.unsqueeze(-1) * pairs.vector[:, None, None, :])
    virial.index_add_(0, system.system_index[pairs.i], moment)
    return potential, field, virial
