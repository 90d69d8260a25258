"""The far half of Ewald's sum by a mesh: smooth particle-mesh, in time N log N.

Charges are spread by B-splines, multiplied with the influence function in k-space and gathered again (Essmann et al.,
J. Chem. Phys. 103, 8577 (1995)), with the influence of Hockney and Eastwood (grid.py). Energies, and everything that
is differentiated from them, are those of this one discretised sum. One system after the other: each has its mesh.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from farfield.coulomb.grid import Grid, Influence, influence, wave_numbers
from farfield.coulomb.plan import Plan
from farfield.coulomb.sources import Charged
from farfield.coulomb.splines import CHARGES, SLOPES, gather, spread
from farfield.system import System

AXES = (1, 2, 3)


def energy(charged: Charged, plan: Plan) -> Tensor:
    """Energy ``(systems, channels)`` in e²/Å, every charge with itself included."""
    found = []
    for k, rows, grid in _meshes(charged.system, plan):
        form = influence(charged.system.cell[k], plan.splitting[k], grid)
        mesh = _spread(charged, k, rows, grid)
        found.append(_Energy.apply(mesh, form.weight))  # type: ignore[no-untyped-call]
    return torch.stack(found)


def response(charged: Charged, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    """Potential ``(sources, channels)``, field ``(…, 3)`` and dE/dstrain ``(systems, channels, 3, 3)``; no graph."""
    system = charged.system
    potentials, fields, virials = [], [], []
    for k, rows, grid in _meshes(system, plan):
        form = influence(system.cell[k], plan.splitting[k], grid)
        spectrum = torch.fft.rfftn(_spread(charged, k, rows, grid), dim=AXES)
        virials.append(_virial(spectrum, form, grid, system.cell[k]))
        mesh = torch.fft.irfftn(spectrum.mul_(form.weight), s=grid.shape, dim=AXES, norm="forward")
        inverse = torch.linalg.inv(system.cell[k])
        felt = gather(system.positions[rows] @ inverse, mesh, (*CHARGES, *SLOPES), spline=grid.spline)
        potentials.append(felt[:, 0])
        fields.append(-felt[:, 1:].transpose(1, 2) @ inverse.T)
    return torch.cat(potentials), torch.cat(fields), torch.stack(virials)


def potential(charged: Charged, plan: Plan, points: System) -> Tensor:
    """Potential ``(points, channels)`` in e/Å of smeared sources anywhere; differentiable."""
    values = []
    ends = torch.cumsum(points.atoms_per_system, 0).tolist()
    for k, rows, grid in _meshes(charged.system, plan):
        form = influence(charged.system.cell[k], plan.splitting[k], grid)
        mesh = _filtered(_spread(charged, k, rows, grid), form.weight)
        here = points.positions[ends[k] - int(points.atoms_per_system[k]) : ends[k]]
        fractional = here @ torch.linalg.inv(points.cell[k])
        values.append(gather(fractional, mesh, CHARGES, spline=grid.spline)[:, 0])
    return torch.cat(values)


def operator(charged: Charged, plan: Plan) -> Callable[[Tensor], Tensor]:
    """Charges ``(sources, channels)`` to potentials in e/Å, own included; differentiable."""
    system = charged.system
    ready = [
        (rows, grid, system.positions[rows] @ torch.linalg.inv(system.cell[k]), influence(system.cell[k], alpha, grid))
        for (k, rows, grid), alpha in zip(_meshes(system, plan), plan.splitting)
    ]

    def apply(charges: Tensor) -> Tensor:
        values = []
        for rows, grid, fractional, form in ready:
            mesh = spread(fractional, charges[rows].unsqueeze(1), CHARGES, shape=grid.shape, spline=grid.spline)
            felt = gather(fractional, _filtered(mesh, form.weight), CHARGES, spline=grid.spline)
            values.append(felt[:, 0])
        return torch.cat(values)

    return apply


def _meshes(system: System, plan: Plan) -> Iterator[tuple[int, slice, Grid]]:
    last = 0
    for k, (count, grid) in enumerate(zip(system.atoms_per_system.tolist(), plan.grids)):
        assert grid is not None
        yield k, slice(last, last + count), grid
        last += count


def _spread(charged: Charged, k: int, rows: slice, grid: Grid) -> Tensor:
    fractional = charged.system.positions[rows] @ torch.linalg.inv(charged.system.cell[k])
    moments = charged.charges[rows].unsqueeze(1)
    return spread(fractional, moments, CHARGES, shape=grid.shape, spline=grid.spline)


def _virial(spectrum: Tensor, form: Influence, grid: Grid, cell: Tensor) -> Tensor:
    """Strain changes k and V, not fractional coordinates: dE_k/dε = E_k (2 k⊗k (1/k² + 1/4α²) - 1)."""
    a, b, c = wave_numbers(grid, cell)
    power = torch.view_as_real(spectrum).square().sum(-1)  # (channels, a, b, c)
    stretch = power * form.stretch
    along = stretch @ torch.stack([torch.ones_like(c), c, c * c], 1)  # (channels, a, b, 3)
    across = torch.einsum("cabk,bl->calk", along, torch.stack([torch.ones_like(b), b, b * b], 1))
    moment = torch.einsum("calk,am->cmlk", across, torch.stack([torch.ones_like(a), a, a * a], 1))
    first, second, third = moment[:, 1, 1, 0], moment[:, 1, 0, 1], moment[:, 0, 1, 1]
    rows = [
        torch.stack([moment[:, 2, 0, 0], first, second], -1),
        torch.stack([first, moment[:, 0, 2, 0], third], -1),
        torch.stack([second, third, moment[:, 0, 0, 2]], -1),
    ]
    reciprocal = 2 * torch.pi * torch.linalg.inv(cell).T
    energy = (power * form.energy).sum(AXES)
    return reciprocal.T @ torch.stack(rows, 1) @ reciprocal - energy[:, None, None] * torch.eye(3).to(cell)


def _filtered(mesh: Tensor, weight: Tensor) -> Tensor:
    filtered: Tensor = _Filter.apply(mesh, weight)  # type: ignore[no-untyped-call]
    return filtered


def _convolve(mesh: Tensor, weight: Tensor) -> Tensor:
    spectrum = torch.fft.rfftn(mesh, dim=AXES)
    return torch.fft.irfftn(spectrum.mul_(weight), s=mesh.shape[1:], dim=AXES, norm="forward")


def _slope(mesh: Tensor, other: Tensor) -> Tensor:
    """Derivative of Σ mesh · filtered(other) by the weight; differentiable."""
    one, two = (torch.view_as_real(torch.fft.rfftn(x, dim=AXES)) for x in (mesh, other))
    product = (one * two).sum((0, -1))
    twice = torch.full_like(product[0, 0], 2.0)
    twice[0] = 1
    if mesh.shape[3] % 2 == 0:
        twice[-1] = 1
    return product * twice


class _Filter(torch.autograd.Function):
    """Multiplication in k-space with real weights: its own adjoint."""

    @staticmethod
    def forward(ctx: Any, mesh: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(mesh, weight)
        return _convolve(mesh, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        mesh, weight = ctx.saved_tensors
        to_mesh = _filtered(grad, weight) if ctx.needs_input_grad[0] else None
        return to_mesh, _slope(grad, mesh) if ctx.needs_input_grad[1] else None


class _Energy(torch.autograd.Function):
    """½ Σ mesh · filtered(mesh) ``(channels,)``; what was filtered for the energy is its gradient."""

    @staticmethod
    def forward(ctx: Any, mesh: Tensor, weight: Tensor) -> Tensor:
        filtered = _convolve(mesh, weight)
        ctx.save_for_backward(mesh, weight, filtered)
        return 0.5 * torch.linalg.vecdot(mesh.flatten(1), filtered.flatten(1))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        mesh, weight, filtered = ctx.saved_tensors
        if torch.is_grad_enabled():
            filtered = _filtered(mesh, weight)
        scale = grad[:, None, None, None]
        to_mesh = scale * filtered if ctx.needs_input_grad[0] else None
        return to_mesh, 0.5 * _slope(scale * mesh, mesh) if ctx.needs_input_grad[1] else None
