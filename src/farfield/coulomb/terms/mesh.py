"""The reciprocal half of Ewald's sum by a mesh: smooth particle-mesh, in time N log N.

Charges are spread by B-splines, multiplied with the influence function in k-space and gathered again (Essmann et al.,
J. Chem. Phys. 103, 8577 (1995)), with the influence of Hockney and Eastwood (influence.py). Energies, and everything
that is differentiated from them, are those of this one discretised sum. One system after the other: each has its mesh.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from farfield.compiled import has_loops, own_threads, shares, together
from farfield.coulomb.kernels.numba import spectrum as sums
from farfield.coulomb.plan.box import summed_cell
from farfield.coulomb.plan.grid import Grid
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.influence import Covered, Influence, influence, wave_numbers
from farfield.coulomb.sums.linear_map import LinearMap, Operator
from farfield.coulomb.sums.splines import CHARGES, CURVATURES, SLOPES, gather, spread
from farfield.coulomb.terms.term import PotentialAndField, Term
from farfield.system import System

AXES = (1, 2, 3)

LEAST = 1 << 17
"""Points of a mesh that are worth a thread."""


@dataclass(frozen=True)
class Mesh(Term):
    """Sum of smeared sources, each with itself included."""

    placed: PlacedSources
    plan: Plan

    def energy(self) -> Tensor:
        """Filter the mesh of all sources, once."""
        found = []
        for _, rows, grid, cell, form in _meshes(self.placed.system, self.plan):
            mesh = _spread(self.placed, cell, rows, grid)
            found.append(_MeshEnergy.apply(mesh, form.weight))  # type: ignore[no-untyped-call]
        return torch.stack(found)

    def potential_and_field(self) -> PotentialAndField:
        """Gather potentials and fields from one filtered mesh."""
        system = self.placed.system
        potentials, fields, virials = [], [], []
        for _, rows, grid, cell, form in _meshes(system, self.plan):
            spectrum = _forward(_spread(self.placed, cell, rows, grid))
            inverse = torch.linalg.inv(cell)
            virials.append(multiply(spectrum, form, grid, 2 * torch.pi * inverse.T))
            mesh = _back(spectrum, grid.shape[2])
            gathered = gather(system.positions[rows] @ inverse, mesh, (*CHARGES, *SLOPES), spline=grid.spline)
            potentials.append(gathered[:, 0])
            gradients = gathered[:, 1:].transpose(1, 2)
            fields.append((gradients.reshape(-1, 3) @ -inverse.T).reshape(gradients.shape))
        return PotentialAndField(torch.cat(potentials), torch.cat(fields), torch.stack(virials))

    def operator(self) -> Operator:
        """Place meshes once, for however many charges follow."""
        system = self.placed.system
        ready = [
            (rows, grid, system.positions[rows] @ torch.linalg.inv(cell), form)
            for _, rows, grid, cell, form in _meshes(system, self.plan)
        ]

        def apply(charges: Tensor) -> Tensor:
            values = []
            for rows, grid, fractional, form in ready:
                mesh = spread(fractional, charges[rows].unsqueeze(1), CHARGES, shape=grid.shape, spline=grid.spline)
                gathered = gather(fractional, filtered(mesh, form.weight), CHARGES, spline=grid.spline)
                values.append(gathered[:, 0])
            return torch.cat(values)

        return apply

    def interaction(self) -> LinearMap:
        """Place meshes once, for however many dipoles follow; no matrix is written down."""
        system, orders = self.placed.system, (*CHARGES, *SLOPES)
        ready = [(rows, grid, torch.linalg.inv(cell), form) for _, rows, grid, cell, form in _meshes(system, self.plan)]

        def apply(columns: Tensor) -> Tensor:
            values = []
            for rows, grid, inverse, form in ready:
                fractional, here = system.positions[rows] @ inverse, columns[rows]
                moments = torch.cat([here[:, :1], inverse.T @ here[:, 1:]], 1)
                mesh = spread(fractional, moments, orders, shape=grid.shape, spline=grid.spline)
                gathered = gather(fractional, filtered(mesh, form.weight), orders, spline=grid.spline)
                values.append(torch.cat([gathered[:, :1], inverse @ gathered[:, 1:]], 1))
            return torch.cat(values)

        return LinearMap(apply, None)

    def potential_at(self, points: PlacedSources) -> Tensor:
        """Gather at the points."""
        values = []
        counts = points.system.atoms_per_system
        ends = torch.cumsum(counts, 0).tolist()
        for k, rows, grid, cell, form in _meshes(self.placed.system, self.plan):
            mesh = filtered(_spread(self.placed, cell, rows, grid), form.weight)
            fractional = points.system.positions[ends[k] - int(counts[k]) : ends[k]] @ torch.linalg.inv(cell)
            values.append(gather(fractional, mesh, CHARGES, spline=grid.spline)[:, 0])
        return torch.cat(values)


def _meshes(system: System, plan: Plan) -> Iterator[tuple[int, slice, Grid, Tensor, Influence]]:
    """Number, rows, mesh, the cell ``(3, 3)`` it runs along and influence of each system."""
    last, cells = 0, summed_cell(system, plan.wave_cell)
    for k, (count, grid) in enumerate(zip(system.atoms_per_system.tolist(), plan.grids)):
        assert grid is not None
        cell = grid.along(cells[k])
        box = Covered(cell, system.periodic[k], plan.radius[k])
        yield k, slice(last, last + count), grid, cell, influence(box, plan.splitting[k], grid)
        last += count


def _spread(placed: PlacedSources, cell: Tensor, rows: slice, grid: Grid) -> Tensor:
    inverse = torch.linalg.inv(cell)
    fractional = placed.system.positions[rows] @ inverse
    if placed.moments.rank == 0:
        moments = placed.charges[rows].unsqueeze(1)
        return spread(fractional, moments, CHARGES, shape=grid.shape, spline=grid.spline)
    orders = (*CHARGES, *SLOPES, *CURVATURES)
    moments = placed.moments.columns(inverse, rows)
    return spread(fractional, moments, orders[: moments.shape[1]], shape=grid.shape, spline=grid.spline)


def multiply(spectrum: Tensor, form: Influence, grid: Grid, reciprocal: Tensor) -> Tensor:
    """Multiply with the influence in place; dE/dstrain ``(channels, 3, 3)``, from rows of 2π times the inverse cell's.

    Strain changes k and V, not fractional coordinates: dE_k/dε = E_k (2 k⊗k (1/k² + 1/4α²) - 1).
    Zeros where axes are open and there is no ``stretch``.
    """
    if form.stretch is None:
        spectrum.mul_(form.weight)
        return reciprocal.new_zeros(len(spectrum), 3, 3)
    if has_loops(spectrum):
        parts = torch.view_as_real(spectrum).flatten(3).numpy()
        found = [sums.multiply(channel, form.weight.numpy(), form.stretch.numpy()) for channel in parts]
        energy = reciprocal.new_tensor([one for one, _ in found])
        moment = torch.stack([torch.from_numpy(two).to(reciprocal) for _, two in found])
    else:
        energy, moment = multiply_reference(spectrum, form, grid)
    virial: Tensor = reciprocal.T @ moment @ reciprocal - energy[:, None, None] * torch.eye(3).to(reciprocal)
    return virial


def multiply_reference(spectrum: Tensor, form: Influence, grid: Grid) -> tuple[Tensor, Tensor]:
    """Multiply in plain torch: energies ``(channels,)`` and Σ stretch |Q|² n⊗n ``(channels, 3, 3)``."""
    a, b, c = wave_numbers(grid, form.weight)
    power = torch.view_as_real(spectrum).square().sum(-1)  # (channels, a, b, c)
    power[..., 0] *= 0.5
    assert form.stretch is not None
    stretch, size = power * form.stretch, form.weight.shape
    n = torch.stack([a[:, None, None].expand(size), b[:, None].expand(size), c.expand(size)])
    moment = torch.einsum("cxyz,ixyz,jxyz->cij", stretch, n, n)
    spectrum.mul_(form.weight)
    return (power * form.weight).sum(AXES), moment


def filtered(mesh: Tensor, weight: Tensor) -> Tensor:
    """Multiply a mesh ``(channels, a, b, c)`` in k-space with real weights; differentiable."""
    filtered: Tensor = _Filter.apply(mesh, weight)  # type: ignore[no-untyped-call]
    return filtered


def _convolve(mesh: Tensor, weight: Tensor) -> Tensor:
    with own_threads():
        filtered: Tensor = _back(_forward(mesh).mul_(weight), mesh.shape[3])
    return filtered


def _forward(mesh: Tensor) -> Tensor:
    """Transform of a mesh ``(channels, a, b, c)``; planes by one thread each, then columns. No graph."""
    mesh = mesh.detach()
    planes, columns = _runs(mesh, mesh.shape[3])
    if len(planes) == 1:
        whole: Tensor = torch.fft.rfftn(mesh, dim=AXES)
        return whole
    found = np.empty((*mesh.shape[:3], mesh.shape[3] // 2 + 1), np.result_type(mesh.numpy().dtype, np.complex64))

    def plane(i: int, j: int) -> None:
        found[:, i:j] = torch.fft.rfft2(mesh[:, i:j], dim=(2, 3)).numpy()

    def column(i: int, j: int) -> None:
        found[:, :, i:j] = torch.fft.fft(torch.from_numpy(found[:, :, i:j]), dim=1).numpy()

    together(plane, planes)
    together(column, columns)
    return torch.from_numpy(found)


def _back(spectrum: Tensor, points: int) -> Tensor:
    """Inverse transform without a factor, axis by axis: a third faster than in one call, which copies its input."""
    planes, columns = _runs(spectrum, points)
    if len(planes) == 1:
        lines = torch.fft.ifft(torch.fft.ifft(spectrum, dim=1, norm="forward"), dim=2, norm="forward")
        whole: Tensor = torch.fft.irfft(lines, n=points, dim=3, norm="forward")
        return whole
    across = np.empty(spectrum.shape, spectrum.numpy().dtype)
    found = np.empty((*spectrum.shape[:3], points), across.real.dtype)

    def column(i: int, j: int) -> None:
        across[:, :, i:j] = torch.fft.ifft(spectrum[:, :, i:j], dim=1, norm="forward").numpy()

    def plane(i: int, j: int) -> None:
        lines = torch.fft.ifft(torch.from_numpy(across[:, i:j]), dim=2, norm="forward")
        found[:, i:j] = torch.fft.irfft(lines, n=points, dim=3, norm="forward").numpy()

    together(column, columns)
    together(plane, planes)
    return torch.from_numpy(found)


def _runs(mesh: Tensor, points: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Planes and columns for each thread; all in one off the processor, or where a thread would have too few."""
    a, b = mesh.shape[1:3]
    planes = shares(a, -(-LEAST // (b * points))) if has_loops(mesh) else [(0, a)]
    return planes, shares(b, b // len(planes))


def _grad_weight(mesh: Tensor, other: Tensor) -> Tensor:
    """Derivative of Σ mesh · filtered(other) by the weight; differentiable."""
    one, two = (torch.view_as_real(torch.fft.rfftn(x, dim=AXES)) for x in (mesh, other))
    product = (one * two).sum((0, -1))
    twice = torch.full_like(product[0, 0], 2.0)
    twice[0] = 1
    if mesh.shape[3] % 2 == 0:
        twice[-1] = 1
    gradient: Tensor = product * twice
    return gradient


class _Filter(torch.autograd.Function):
    """Multiplication in k-space with real weights: its own adjoint."""

    @staticmethod
    def forward(ctx: Any, mesh: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(mesh, weight)
        return _convolve(mesh, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        mesh, weight = ctx.saved_tensors
        grad_mesh = filtered(grad, weight) if ctx.needs_input_grad[0] else None
        return grad_mesh, _grad_weight(grad, mesh) if ctx.needs_input_grad[1] else None


class _MeshEnergy(torch.autograd.Function):
    """½ Σ mesh · filtered(mesh) ``(channels,)``; what was filtered for the energy is its gradient."""

    @staticmethod
    def forward(ctx: Any, mesh: Tensor, weight: Tensor) -> Tensor:
        filtered = _convolve(mesh, weight)
        ctx.save_for_backward(mesh, weight, filtered)
        energy: Tensor = 0.5 * torch.linalg.vecdot(mesh.flatten(1), filtered.flatten(1))
        return energy

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        mesh, weight, found = ctx.saved_tensors
        if torch.is_grad_enabled():
            found = filtered(mesh, weight)
        scale = grad[:, None, None, None]
        grad_mesh = scale * found if ctx.needs_input_grad[0] else None
        return grad_mesh, 0.5 * _grad_weight(scale * mesh, mesh) if ctx.needs_input_grad[1] else None
