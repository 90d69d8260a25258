"""A mesh for large systems: charges are spread once, and derivatives gathered by those of the splines."""

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations_with_replacement, product

import numpy as np
import torch
from torch import Tensor, nn

from farfield.compiled import Array
from farfield.coulomb.functions.harmonics import solid_harmonics
from farfield.coulomb.plan.box import box_of, summed_cell
from farfield.coulomb.plan.mesh_plan import MeshPlan, cheapest_mesh
from farfield.coulomb.projections.kernels import background
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.influence import Covered, influence
from farfield.coulomb.sums.splines import CHARGES, gather, spread
from farfield.coulomb.terms.mesh import filtered

LEEWAY = 10.0
"""Times error/(s³ρ), the error over K⟨q²⟩ρ^(2/3) that a plan is asked for; measured on random charges."""

COARSEST = 1e-2
"""Error beyond which plans say nothing."""

Triple = tuple[int, int, int]


def by_mesh(placed: PlacedSources, width: float, order: int, error: float) -> Tensor:
    """C_lm(∇) Σ q erf(r/√2s)/r ``(atoms, (order + 1)², channels)``, each charge itself included; differentiable."""
    orders = [triple for n in range(order + 1) for triple in _triples(n)]
    values = []
    for rows, plan, covered in _meshes(placed, width, order, error):
        inverse = torch.linalg.inv(covered.cell)
        fractional, grid = placed.system.positions[rows] @ inverse, plan.grid
        splitting = covered.cell.new_tensor(1 / (math.sqrt(2) * width))
        charges = placed.charges[rows].unsqueeze(1)
        mesh = spread(fractional, charges, CHARGES, shape=grid.shape, spline=grid.spline)
        mesh = filtered(mesh, influence(covered, splitting, grid).weight)
        found = gather(fractional, mesh, orders, spline=grid.spline)
        blocks = [_harmonics_of(inverse, n) for n in range(order + 1)]
        harmonics: Tensor = torch.block_diag(*blocks)  # type: ignore[no-untyped-call]
        found = torch.tensordot(found, harmonics, ([1], [1])).transpose(1, 2)
        if bool(covered.periodic.all()):
            constant = background(width) / torch.linalg.det(covered.cell).abs() * charges.sum(0)
            found = found + nn.functional.pad(constant, (0, 0, 0, found.shape[1] - 1))
        values.append(found)
    return torch.cat(values)


def _meshes(placed: PlacedSources, width: float, order: int, error: float) -> Iterator[tuple[slice, MeshPlan, Covered]]:
    """Rows, plan and covered region of each system."""
    system, box, first = placed.system, box_of(placed.system), 0
    counts, rank = system.atoms_per_system.tolist(), (order + 1) // 2  # as charges meet multipoles of the order
    asked = np.minimum(LEEWAY * error * box.volume / (width**3 * np.array(counts)), COARSEST).tolist()
    plans = [
        cheapest_mesh(box.of(k).key(), count, asked[k], widest=width / math.sqrt(2), uniform=True, rank=rank, bare=True)
        for k, count in enumerate(counts)
    ]
    cells = summed_cell(system, system.cell.new_tensor(np.stack([plan.wave_cell for plan in plans])))
    for k, (count, plan) in enumerate(zip(counts, plans)):
        covered = Covered(plan.grid.along(cells[k]), system.periodic[k], system.cell.new_tensor(plan.radius))
        yield slice(first, first + count), plan, covered
        first += count


def _triples(order: int) -> list[Triple]:
    """Count derivatives by each axis, of all derivatives of one order."""
    chosen = combinations_with_replacement(range(3), order)
    return [(axes.count(0), axes.count(1), axes.count(2)) for axes in chosen]


def _harmonics_of(inverse: Tensor, order: int) -> Tensor:
    """Take derivatives by fractional coordinates to C_lm(∇): ``(2 order + 1, triples)``, differentiable in the cell."""
    turned = torch.ones_like(inverse[:1, :1])
    for _ in range(order):
        turned = torch.kron(turned, inverse)
    form, fold = (torch.from_numpy(x).to(inverse) for x in _forms(order))
    return form @ turned @ fold


@lru_cache
def _forms(order: int) -> tuple[Array, Array]:
    """C_lm as symmetric tensors ``(2 order + 1, 3^order)``; which triple each of their entries belongs to, one-hot."""
    points = np.random.default_rng(0).normal(size=(200, 3))
    power = np.ones((200, 1))
    for _ in range(order):
        power = np.einsum("pi,pj->pij", power, points).reshape(200, -1)
    values = solid_harmonics(torch.from_numpy(points), order).numpy()[:, order * order :]
    form = np.linalg.lstsq(power, values, rcond=1e-10)[0].T  # the minimum-norm solution is the symmetric one
    triples = _triples(order)
    fold = np.zeros((3**order, len(triples)))
    for row, axes in enumerate(product(range(3), repeat=order)):
        fold[row, triples.index((axes.count(0), axes.count(1), axes.count(2)))] = 1
    return form, fold
