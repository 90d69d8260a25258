"""The compiled sums as torch operators. Each is multilinear, and its derivatives are sums of the same family.

``gather``, ``slope_of_sent`` and ``slope_of_bonds`` are the derivatives of Σ R · Y · sent · density with respect to
the density, to what is sent, and to R and Y; ``couple`` and ``slope_of_weights`` those of
Σ coefficient · weight · a · b · d with respect to one of the last three, and to the weights. So autograd runs through
them to any order.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from farfield.backbone.kernels import loops
from farfield.compiled import shares, together

LEFT, RIGHT, OUT = 1, 2, 3
"""The three factors of a coupling by their place in its table; the path has place 0."""

BLOCKS = 16
"""Parts in which atoms are summed for their weights; the sum depends on it, so it does not follow the threads."""

WORTHWHILE = 64
"""Atoms or bonds below which a loop is not divided further."""

Slopes = tuple[Tensor | None, ...]


@torch.library.custom_op("farfield::density", mutates_args=(), device_types="cpu")
def gather(radial: Tensor, harmonics: Tensor, sent: Tensor, ends: Tensor, visits: Tensor, start: Tensor) -> Tensor:
    """Densities ``(atoms, m, channels)``."""
    density = sent.new_empty(len(sent), harmonics.shape[1], sent.shape[1])
    _run(loops.gather, len(sent), density, radial, harmonics, sent, visits, start)
    return density


@torch.library.custom_op("farfield::slope_of_sent", mutates_args=(), device_types="cpu")
def slope_of_sent(
    density: Tensor, radial: Tensor, harmonics: Tensor, ends: Tensor, visits: Tensor, start: Tensor
) -> Tensor:
    """``(atoms, channels)``."""
    slope = density.new_empty(len(density), density.shape[2])
    _run(loops.slope_of_sent, len(density), slope, density, radial, harmonics, visits, start)
    return slope


@torch.library.custom_op("farfield::slope_of_bonds", mutates_args=(), device_types="cpu")
def slope_of_bonds(
    density: Tensor, radial: Tensor, harmonics: Tensor, sent: Tensor, ends: Tensor, visits: Tensor, start: Tensor
) -> tuple[Tensor, Tensor]:
    """Differentiate by radial functions ``(bonds, orders, channels)`` and by harmonics ``(bonds, m)``."""
    to_radial, to_harmonics = radial.new_empty(radial.shape), harmonics.new_empty(harmonics.shape)
    _run(loops.slope_of_bonds, len(ends), to_radial, to_harmonics, density, radial, harmonics, sent, ends)
    return to_radial, to_harmonics


@torch.library.custom_op("farfield::couple", mutates_args=(), device_types="cpu")
def couple(
    weights: Tensor, a: Tensor, b: Tensor, element: Tensor, table: Tensor, coefficients: Tensor, place: int, rows: int
) -> Tensor:
    """``(atoms, rows, channels)``: what stands at ``place``, from the other two in the order of their places."""
    out = a.new_empty(len(a), rows, a.shape[2])
    first, second = _others(place)
    ordered = table[[0, first, second, place]]
    _run(loops.couple, len(a), out, weights, a, b, element, ordered, coefficients)
    return out


@torch.library.custom_op("farfield::slope_of_weights", mutates_args=(), device_types="cpu")
def slope_of_weights(
    a: Tensor, b: Tensor, d: Tensor, element: Tensor, table: Tensor, coefficients: Tensor, paths: int, elements: int
) -> Tensor:
    """``(paths, elements, channels)``."""
    slope = a.new_empty(BLOCKS, paths, elements, a.shape[2])
    _run(loops.slope_of_weights, BLOCKS, slope, a, b, d, element, table, coefficients, least=1)
    return slope.sum(0)


@gather.register_fake
def _(radial: Tensor, harmonics: Tensor, sent: Tensor, ends: Tensor, visits: Tensor, start: Tensor) -> Tensor:
    return sent.new_empty(len(sent), harmonics.shape[1], sent.shape[1])


@slope_of_sent.register_fake
def _(density: Tensor, radial: Tensor, harmonics: Tensor, ends: Tensor, visits: Tensor, start: Tensor) -> Tensor:
    return density.new_empty(len(density), density.shape[2])


@slope_of_bonds.register_fake
def _(
    density: Tensor, radial: Tensor, harmonics: Tensor, sent: Tensor, ends: Tensor, visits: Tensor, start: Tensor
) -> tuple[Tensor, Tensor]:
    return radial.new_empty(radial.shape), harmonics.new_empty(harmonics.shape)


@couple.register_fake
def _(
    weights: Tensor, a: Tensor, b: Tensor, element: Tensor, table: Tensor, coefficients: Tensor, place: int, rows: int
) -> Tensor:
    return a.new_empty(len(a), rows, a.shape[2])


@slope_of_weights.register_fake
def _(
    a: Tensor, b: Tensor, d: Tensor, element: Tensor, table: Tensor, coefficients: Tensor, paths: int, elements: int
) -> Tensor:
    return a.new_empty(paths, elements, a.shape[2])


def _run(loop: Callable[..., None], count: int, *arguments: Tensor, least: int = WORTHWHILE) -> None:
    """The loop over 0 to ``count``; each place of the result is written by one thread, whatever their number."""
    arrays = [argument.detach().contiguous().numpy() for argument in arguments]
    together(lambda begin, end: loop(begin, end, *arrays), shares(count, least))


def _keep_tensors(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.save_for_backward(*(x for x in inputs if isinstance(x, Tensor)))
    ctx.numbers = [x for x in inputs if not isinstance(x, Tensor)]


def _of_gather(ctx: Any, d: Tensor) -> Slopes:
    d = d.contiguous()  # once for all that follow
    radial, harmonics, sent, *bonds = ctx.saved_tensors
    needs = ctx.needs_input_grad
    to_radial = to_harmonics = to_sent = None
    if needs[0] or needs[1]:
        to_radial, to_harmonics = slope_of_bonds(d, radial, harmonics, sent, *bonds)
    if needs[2]:
        to_sent = slope_of_sent(d, radial, harmonics, *bonds)
    return to_radial, to_harmonics, to_sent, None, None, None


def _of_slope_of_sent(ctx: Any, s: Tensor) -> Slopes:
    density, radial, harmonics, *bonds = ctx.saved_tensors
    needs = ctx.needs_input_grad
    to_density = to_radial = to_harmonics = None
    if needs[0]:
        to_density = gather(radial, harmonics, s, *bonds)
    if needs[1] or needs[2]:
        to_radial, to_harmonics = slope_of_bonds(density, radial, harmonics, s, *bonds)
    return to_density, to_radial, to_harmonics, None, None, None


def _of_slope_of_bonds(ctx: Any, r: Tensor, y: Tensor) -> Slopes:
    density, radial, harmonics, sent, *bonds = ctx.saved_tensors
    needs = ctx.needs_input_grad
    to_density = to_radial = to_harmonics = to_sent = None
    if needs[0]:
        to_density = gather(r, harmonics, sent, *bonds) + gather(radial, y, sent, *bonds)
    if needs[1] or needs[2]:  # what R was multiplied with, now y in place of Y, and the other way round
        to_radial, to_harmonics = slope_of_bonds(density, r, y, sent, *bonds)
    if needs[3]:
        to_sent = slope_of_sent(density, r, harmonics, *bonds) + slope_of_sent(density, radial, y, *bonds)
    return to_density, to_radial, to_harmonics, to_sent, None, None, None


def _of_couple(ctx: Any, d: Tensor) -> Slopes:
    d = d.contiguous()
    weights, a, b, element, table, coefficients = ctx.saved_tensors
    place = ctx.numbers[0]
    first, second = _others(place)
    factors, needs = {first: a, second: b, place: d}, ctx.needs_input_grad
    to_weights = to_a = to_b = None
    if needs[0]:
        in_order = (factors[at] for at in (LEFT, RIGHT, OUT))
        to_weights = slope_of_weights(*in_order, element, table, coefficients, len(weights), weights.shape[1])
    if needs[1]:
        to_a = _factor(first, factors, weights, element, table, coefficients)
    if needs[2]:
        to_b = _factor(second, factors, weights, element, table, coefficients)
    return to_weights, to_a, to_b, None, None, None, None, None


def _of_slope_of_weights(ctx: Any, w: Tensor) -> Slopes:
    *tensors, element, table, coefficients = ctx.saved_tensors
    factors = dict(zip((LEFT, RIGHT, OUT), tensors))
    slopes = [
        _factor(place, factors, w, element, table, coefficients) if needed else None
        for place, needed in zip(factors, ctx.needs_input_grad)
    ]
    return *slopes, None, None, None, None, None


def _factor(
    place: int, factors: dict[int, Tensor], weights: Tensor, element: Tensor, table: Tensor, coefficients: Tensor
) -> Tensor:
    first, second = _others(place)
    rows = factors[place].shape[1]
    found: Tensor = couple(weights, factors[first], factors[second], element, table, coefficients, place, rows)
    return found


def _others(place: int) -> tuple[int, int]:
    first, second = (other for other in (LEFT, RIGHT, OUT) if other != place)
    return first, second


gather.register_autograd(_of_gather, setup_context=_keep_tensors)
slope_of_sent.register_autograd(_of_slope_of_sent, setup_context=_keep_tensors)
slope_of_bonds.register_autograd(_of_slope_of_bonds, setup_context=_keep_tensors)
couple.register_autograd(_of_couple, setup_context=_keep_tensors)
slope_of_weights.register_autograd(_of_slope_of_weights, setup_context=_keep_tensors)
