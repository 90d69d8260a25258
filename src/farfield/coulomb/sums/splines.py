"""Moments of sources to a mesh and back by B-splines: each is the other's adjoint, closed under differentiation.

    spread:  mesh(g) = Σ_i Σ_o m_io ∂ᵒ W(g - x_i)
    gather:  value_io = Σ_g ∂ᵒ W(g - x_i) mesh(g)

W is the product of cardinal B-splines of order p along the axes (Essmann et al., J. Chem. Phys. 103, 8577 (1995)), ∂ᵒ
takes ``o = (a, b, c)`` derivatives by the source's fractional coordinates. The gradient of either by the coordinates is
a gather of higher orders, so that autograd runs to any order the spline is smooth enough for: p - 2 along an axis.
Charges have the one order (0, 0, 0), a dipole's components the three first ones, a quadrupole's the six second ones.

Both are registered with torch as ``farfield::spread`` and ``farfield::gather``: compiled loops on the processor, plain
torch elsewhere.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from farfield.compiled import Array, has_loops, numbers
from farfield.coulomb.kernels.numba import mesh_sums
from farfield.errors import InputError

Orders = Sequence[tuple[int, int, int]]

CHARGES: Orders = ((0, 0, 0),)
"""No derivative at all."""

SLOPES: Orders = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
"""First derivatives."""

CURVATURES: Orders = ((2, 0, 0), (0, 2, 0), (0, 0, 2), (1, 1, 0), (1, 0, 1), (0, 1, 1))
"""Second derivatives, in the order of ``multipoles.SYMMETRIC``."""

BLOCK = 1 << 24
"""Weights that the plain-torch reference writes out at once."""


def spread(
    fractional: Tensor,  # (sources, 3)
    moments: Tensor,  # (sources, orders, channels)
    orders: Orders,
    *,
    shape: Sequence[int],
    spline: int,
) -> Tensor:  # (channels, *shape)
    """Moments to the mesh; differentiable in the coordinates and the moments.

    Raises:
        InputError: more derivatives than the spline is smooth enough for.
    """
    _refuse_rough(orders, spline)
    if not torch.is_grad_enabled():
        return _spread_values(fractional, moments, _flat(orders), list(shape), spline)
    return torch.ops.farfield.spread(fractional, moments, _flat(orders), list(shape), spline)  # type: ignore[no-any-return]


def gather(
    fractional: Tensor,  # (sources, 3)
    mesh: Tensor,  # (channels, *shape)
    orders: Orders,
    *,
    spline: int,
) -> Tensor:  # (sources, orders, channels)
    """The mesh at the sources; differentiable in the coordinates and the mesh.

    Raises:
        InputError: more derivatives than the spline is smooth enough for.
    """
    _refuse_rough(orders, spline)
    if not torch.is_grad_enabled():
        return _gather_values(fractional, mesh, _flat(orders), spline)
    return torch.ops.farfield.gather(fractional, mesh, _flat(orders), spline)  # type: ignore[no-any-return]


def spread_reference(
    fractional: Tensor, moments: Tensor, orders: Orders, *, shape: Sequence[int], spline: int
) -> Tensor:
    """``spread`` in plain torch, on any device."""
    mesh = moments.new_zeros(moments.shape[2], int(np.prod(shape)))
    for some, at, weights in _weights(fractional, orders, shape, spline):
        values = torch.einsum("ipo,ioc->cip", weights, moments[some])
        mesh.index_add_(1, at.flatten(), values.flatten(1))
    return mesh.reshape(-1, *shape)


def gather_reference(fractional: Tensor, mesh: Tensor, orders: Orders, *, spline: int) -> Tensor:
    """``gather`` in plain torch, on any device."""
    flat = mesh.flatten(1)
    found = [
        torch.einsum("ipo,cip->ioc", weights, flat[:, at.flatten()].reshape(-1, *at.shape))
        for _, at, weights in _weights(fractional, orders, mesh.shape[1:], spline)
    ]
    return torch.cat(found)


def _weights(fractional: Tensor, orders: Orders, shape: Sequence[int], spline: int) -> Any:
    """Runs of sources, the points ``(sources, p³)`` they touch and their weights ``(sources, p³, orders)``."""
    step = max(BLOCK // (spline**3 * len(orders)), 1)
    for first in range(0, max(len(fractional), 1), step):
        some = slice(first, first + step)
        axes = [_along(fractional[some, a], shape[a], spline, max(o[a] for o in orders)) for a in range(3)]
        (x, wx), (y, wy), (z, wz) = axes
        at = ((x[:, :, None, None] * shape[1] + y[:, None, :, None]) * shape[2] + z[:, None, None, :]).flatten(1)
        weights = [torch.einsum("ix,iy,iz->ixyz", wx[a], wy[b], wz[c]).flatten(1) for a, b, c in orders]
        yield some, at, torch.stack(weights, -1)


def _along(fraction: Tensor, points: int, spline: int, highest: int) -> tuple[Tensor, list[Tensor]]:
    """Mesh points ``(sources, p)`` along one axis and their weights, derivative after derivative."""
    place = (fraction - torch.floor(fraction)) * points - 0.5 * spline
    floor = torch.floor(place)
    offset = (place - floor - 0.5).unsqueeze(1)
    form = mesh_sums.spline(spline, highest)
    pieces = torch.from_numpy(form.pieces).to(fraction).reshape(highest + 1, spline, -1)[..., :spline]
    weights = []
    for d, piece in enumerate(pieces):
        value = piece[0].expand(len(fraction), spline)
        for coefficients in piece[1:]:
            value = value * offset + coefficients
        weights.append(value * float(points) ** d)
    steps = torch.arange(1, spline + 1, device=fraction.device)
    return (floor.long().unsqueeze(1) + steps) % points, weights


def _refuse_rough(orders: Orders, spline: int) -> None:
    most = max(max(order) for order in orders)
    if most > spline - 2:
        raise InputError(
            f"derivative {most} of a mesh of splines of order {spline} was asked, which has {spline - 2} continuous "
            'ones; use Coulomb(method="ewald"), or a smaller error=…, which takes smoother splines'
        )


def _flat(orders: Orders) -> list[int]:
    return [n for order in orders for n in order]


def _triples(orders: Sequence[int]) -> list[tuple[int, int, int]]:
    return [(orders[k], orders[k + 1], orders[k + 2]) for k in range(0, len(orders), 3)]


def _raised(orders: Orders) -> list[tuple[int, int, int]]:
    """One derivative more, along each axis in turn."""
    return [(a + x, b + y, c + z) for (a, b, c), (x, y, z) in product(orders, SLOPES)]


@lru_cache(maxsize=64)
def _terms(orders: tuple[int, ...]) -> mesh_sums.SplineTerms:
    triples = np.array(_triples(orders), dtype=np.int64)
    return mesh_sums.SplineTerms(triples, int(triples.sum(1).max()), orders == (*_flat(CHARGES), *_flat(SLOPES)))


@lru_cache(maxsize=64)
def _scale(orders: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """Derivatives by fractional coordinates over those by mesh spacings ``(orders, 1)``."""
    return np.array([[float(np.prod(np.power(shape, triple)))] for triple in _triples(orders)])


def _spread_values(fractional: Tensor, moments: Tensor, orders: list[int], shape: list[int], spline: int) -> Tensor:
    if not has_loops(fractional):
        return spread_reference(fractional, moments, _triples(orders), shape=shape, spline=spline)
    scaled = numbers(moments) * _scale(tuple(orders), tuple(shape))
    size = (shape[0], shape[1], shape[2])
    mesh = mesh_sums.spread(numbers(fractional), scaled, _terms(tuple(orders)), size, spline)
    return torch.from_numpy(mesh).to(moments.dtype)


def _gather_values(fractional: Tensor, mesh: Tensor, orders: list[int], spline: int) -> Tensor:
    if not has_loops(fractional):
        return gather_reference(fractional, mesh, _triples(orders), spline=spline)
    values = mesh_sums.gather(numbers(fractional), mesh.detach().numpy(), _terms(tuple(orders)), spline)
    return torch.from_numpy(values * _scale(tuple(orders), tuple(mesh.shape[1:]))).to(mesh.dtype)


_spread = torch.library.custom_op("farfield::spread", _spread_values, mutates_args=())
_gather = torch.library.custom_op("farfield::gather", _gather_values, mutates_args=())


@_spread.register_fake
def _(fractional: Tensor, moments: Tensor, orders: list[int], shape: list[int], spline: int) -> Tensor:  # noqa: ARG001
    as_summed = has_loops(fractional) and moments.dtype == torch.float64
    overhang = mesh_sums.overhang(spline) if as_summed else 0
    return moments.new_empty(moments.shape[2], *shape[:2], shape[2] + overhang)[..., : shape[2]]


@_gather.register_fake
def _(fractional: Tensor, mesh: Tensor, orders: list[int], spline: int) -> Tensor:  # noqa: ARG001
    return mesh.new_empty(len(fractional), len(orders) // 3, len(mesh))


def _along_axes(gradients: Tensor) -> Tensor:
    """Orders raised along each axis, ``(sources, orders, 3, channels)``."""
    return gradients.reshape(len(gradients), -1, 3, gradients.shape[2])


def _spread_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    fractional, moments = ctx.saved_tensors
    orders, spline = ctx.orders, ctx.spline
    grad_fractional = grad_moments = None
    if ctx.needs_input_grad[0]:
        found = gather(fractional, grad, [*orders, *_raised(orders)], spline=spline)
        grad_moments, gradients = found[:, : len(orders)], found[:, len(orders) :]
        grad_fractional = (_along_axes(gradients) * moments.unsqueeze(2)).sum((1, 3))
    elif ctx.needs_input_grad[1]:
        grad_moments = gather(fractional, grad, orders, spline=spline)
    return grad_fractional, grad_moments, None, None, None


def _gather_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    fractional, mesh = ctx.saved_tensors
    orders, spline = ctx.orders, ctx.spline
    grad_fractional = grad_mesh = None
    if ctx.needs_input_grad[0]:
        gradients = gather(fractional, mesh, _raised(orders), spline=spline)
        grad_fractional = (_along_axes(gradients) * grad.unsqueeze(2)).sum((1, 3))
    if ctx.needs_input_grad[1]:
        grad_mesh = spread(fractional, grad, orders, shape=mesh.shape[1:], spline=spline)
    return grad_fractional, grad_mesh, None, None


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001
    ctx.save_for_backward(inputs[0], inputs[1])
    ctx.orders, ctx.spline = _triples(inputs[2]), inputs[-1]


_spread.register_autograd(_spread_backward, setup_context=_remember)
_gather.register_autograd(_gather_backward, setup_context=_remember)
