"""Periodic systems: Ewald's sum (Ann. Phys. 369, 253 (1921)), under tin-foil boundary conditions in 3D.

Its reciprocal half is summed by waves, here, or by a mesh (mesh.py), as the plan says:

    E = K [ ½ Σ' q_i q_j erfc(αr)/r  +  (2π/V) Σ_k |S_k|² exp(-k²/4α²)/k²  -  (α/√π) Σ q²  -  πQ²/(2Vα²) ]

The last term is the point neutralising background. Where axes are open the kernel 4π/k² ends at a radius
(truncated_kernel.py), k = 0 counts, and there is no background. Gaussians of width σ replace erfc(αr)/r by
(erf(ar) - erf(αr))/r, a = 1/√(2(σ₁²+σ₂²)), and add q²/(2√πσ) each: widths change pair terms only. Multipoles take the
operators L = q + μ·∇ + Q:∇∇ in the place of q, in every term but the last, which is of the charges alone.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from farfield.compiled import Array, has_loops, numbers
from farfield.coulomb.functions import truncated_kernel
from farfield.coulomb.functions.multipoles import SYMMETRIC
from farfield.coulomb.kernels.numba import wave_matrix
from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.box import summed_cell
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums import mesh, real_space, reciprocal
from farfield.coulomb.sums.second_derivatives import SecondDerivatives
from farfield.coulomb.sums.structure_factors import PlaneWaves, gather, phases_at, spread, waves_at
from farfield.system import System, per_system
from farfield.units import COULOMB


def energy(placed: PlacedSources, plan: Plan) -> Tensor:
    """Energy ``(systems, channels)`` in eV, Gaussian self-energies left out."""
    asked, has_pairs = placed.charges.dtype, plan.reach > 0
    fused = reciprocal.compiled(placed) and not plan.on_mesh
    alone = fused and not has_pairs and bool(placed.system.periodic.all())
    if has_loops(placed.charges) and not alone:
        placed, plan = placed.double(), plan.double()  # loops count in double: one cast here, or one at each of them
    if fused:
        total = reciprocal.energy(placed, plan, _kept_weights(placed.system, plan))
    else:
        total = mesh.energy(placed, plan) if plan.on_mesh else wave_energy(placed, plan)
        total = total + self_and_background(placed, plan)
    if has_pairs:
        total = total + real_space.energy(placed, plan)
    if (moments := placed.moments).rank > 0:
        own = moments.self_energy(plan.splitting[placed.system.system_index])
        total = total - per_system(own, placed.system)
    return (COULOMB * total).to(asked)


def wave_energy(placed: PlacedSources, plan: Plan) -> Tensor:
    """Sum over waves ``(systems, channels)`` in e²/Å, every charge with itself included."""
    system, padding = placed.system, Padding.of(placed.system)
    phases, waves = plane_waves(system, padding, plan)
    cosine, sine = structure_factors(placed, plan, padding, (phases, waves))
    weight = wave_weights(system, plan)
    return (weight.unsqueeze(1) @ (cosine.square() + sine.square())).squeeze(1)


def structure_factors(
    placed: PlacedSources, plan: Plan, padding: Padding, waves: tuple[Tensor, PlaneWaves]
) -> tuple[Tensor, Tensor]:
    """Real and imaginary part ``(systems, waves, channels)`` of Σ (q + ik·μ - k·Q·k) exp(ik·r)."""
    moments, (phases, here) = placed.moments, waves
    if moments.rank == 0:
        return spread(phases, padding.pad(moments.charges), here)
    channels = moments.charges.shape[1]
    columns = padding.pad(moments.columns()).flatten(2)
    cosine, sine = (x.reshape(*x.shape[:2], -1, channels) for x in spread(phases, columns, here))
    k = wave_vectors(placed.system, plan).unsqueeze(3)
    real = cosine[:, :, 0] - (k * sine[:, :, 1:4]).sum(2)
    imaginary = sine[:, :, 0] + (k * cosine[:, :, 1:4]).sum(2)
    if moments.rank > 1:
        twice = torch.stack([k[:, :, a] * k[:, :, b] for a, b in SYMMETRIC], 2)
        real = real - (twice * cosine[:, :, 4:]).sum(2)
        imaginary = imaginary - (twice * sine[:, :, 4:]).sum(2)
    return real, imaginary


def wave_operator(placed: PlacedSources, plan: Plan) -> Callable[[Tensor], Tensor]:
    """Charges ``(sources, channels)`` to the potential of the waves, their own included, in e/Å."""
    system, padding = placed.system, Padding.of(placed.system)
    phases, waves = plane_waves(system, padding, plan)
    weight = 2 * wave_weights(system, plan).unsqueeze(2)

    def potential(charges: Tensor) -> Tensor:
        cosine, sine = spread(phases, padding.pad(charges), waves)
        return padding.unpad(gather(phases, weight * cosine, weight * sine, waves))

    return potential


def operator(placed: PlacedSources, plan: Plan) -> Callable[[Tensor], Tensor]:
    """Charges ``(sources, channels)`` in e to potentials in V, Gaussian self-energies left out; differentiable.

    Pairs and waves are evaluated once, for however many charges follow.
    """
    system = placed.system
    wave_part = mesh.operator(placed, plan) if plan.on_mesh else wave_operator(placed, plan)
    background = neutralising(system, plan)
    own = (2 / math.sqrt(math.pi) * plan.splitting)[system.system_index].unsqueeze(1)
    pair_part = real_space.operator(placed, plan) if plan.reach > 0 else None

    def potential(charges: Tensor) -> Tensor:
        total = wave_part(charges) - own * charges
        total = total - (background * per_system(charges, system))[system.system_index]
        return COULOMB * (total if pair_part is None else total + pair_part(charges))

    return potential


def matrix(placed: PlacedSources, plan: Plan, padding: Padding) -> Tensor:
    """d²E/dqdq ``(systems, longest, longest)`` in V/e, Gaussian self-energies left out; zero where padded."""
    if real_space.fixed(placed):
        return _fixed_matrix(placed, plan, padding)
    system = placed.system
    block = real_space.matrix(placed, plan, padding)
    phases, waves = plane_waves(system, padding, plan)
    mask = padding.mask().to(block.dtype)
    units = torch.diag_embed(mask)
    weight = 2 * wave_weights(system, plan).unsqueeze(2)
    if phases.requires_grad:
        cosine, sine = spread(phases, units, waves)
        wave_part = gather(phases, weight * cosine, weight * sine, waves)
    else:  # half the work where no graph is asked for
        wave_part = waves.products(weight)
    block = block + mask.unsqueeze(1) * mask.unsqueeze(2) * wave_part
    block = block - neutralising(system, plan).unsqueeze(2) * mask.unsqueeze(1) * mask.unsqueeze(2)
    return COULOMB * (block - units * (2 / math.sqrt(math.pi)) * plan.splitting[:, None, None])


def _fixed_matrix(placed: PlacedSources, plan: Plan, padding: Padding) -> Tensor:
    """Write down ``matrix`` by compiled loops, without a graph."""
    asked, placed, plan = placed.charges.dtype, placed.double(), plan.double()
    with torch.no_grad():
        system = placed.system
        weights = 2 * COULOMB * _kept_weights(system, plan)
        phases = phases_at(system, padding, summed_cell(system, plan.wave_cell))
        block = wave_matrix.products(numbers(phases), plan.rows, numbers(weights))
        real_space.add_matrix(placed, plan, padding, block)
        found = torch.from_numpy(block)
        if not padding.even:
            mask = padding.mask().to(found.dtype)
            found *= mask.unsqueeze(1) * mask.unsqueeze(2)
        own = -2 / math.sqrt(math.pi) * COULOMB * plan.splitting[system.system_index]
        found.diagonal(dim1=1, dim2=2).add_(padding.pad(own))
    return found.to(asked)


def plane_waves(system: System, padding: Padding, plan: Plan) -> tuple[Tensor, PlaneWaves]:
    """Phases ``(systems, longest, 3)``, differentiable in positions and cell, and the waves of the plan there."""
    return waves_at(system, padding, summed_cell(system, plan.wave_cell), plan.indices)


def wave_vectors(system: System, plan: Plan) -> Tensor:
    """Wave vectors k ``(systems, waves, 3)`` in 1/Å, differentiable in the cell."""
    reciprocal: Tensor = 2 * math.pi * torch.linalg.inv(summed_cell(system, plan.wave_cell)).transpose(1, 2)
    return plan.indices @ reciprocal


def wave_weights(system: System, plan: Plan) -> Tensor:
    """Weights of |S_k|²: multiplicity · (2π/V) exp(-k²/4α²)/k² in 3D ``(systems, waves)``, in 1/Å."""
    cell = summed_cell(system, plan.wave_cell)
    form, squared = truncated_kernel.kernel(plan.indices, cell, system.periodic, plan.radius)
    volume: Tensor = torch.linalg.det(cell).abs().unsqueeze(1)
    decay = torch.exp(-squared / (4 * plan.splitting.square()).unsqueeze(1))
    return plan.multiplicity * form * decay / (2 * volume)


def weights_with_origin(system: System, plan: Plan) -> Tensor:
    """Put the weight of k = 0 (in 3D the background's) ahead of the others ``(systems, 1 + waves)``, all in double."""
    exact, plan = replace(system, cell=system.cell.double()), plan.double()
    return torch.cat([-0.5 * neutralising(exact, plan), wave_weights(exact, plan)], 1)


def curvature(placed: PlacedSources, plan: Plan, own: Tensor | None) -> SecondDerivatives | None:
    """Derivatives by charges and positions at fixed cells, where all sums are compiled ones over pairs and waves."""
    if not real_space.fixed(placed, only_cell=True) or plan.on_mesh:
        return None
    placed, plan = placed.double(), plan.double()
    return SecondDerivatives(placed, plan, _kept_weights(placed.system, plan), own)


def _kept_weights(system: System, plan: Plan) -> Tensor:
    """Make ``weights_with_origin`` once for as long as plan and cells stay, unless somebody differentiates by these."""
    if torch.is_grad_enabled() and system.cell.requires_grad:
        return weights_with_origin(system, plan)
    cell = system.cell.detach().numpy()
    known = _kept.get(plan)
    if known is not None and np.array_equal(known[0], cell):
        return known[1]
    with torch.inference_mode(False), torch.no_grad():  # kept for all, also for those who differentiate
        weights = weights_with_origin(replace(system, cell=torch.from_numpy(cell.copy())), plan)
    _kept[plan] = cell.copy(), weights
    return weights


_kept: WeakKeyDictionary[Plan, tuple[Array, Tensor]] = WeakKeyDictionary()


def neutralising(system: System, plan: Plan) -> Tensor:
    """Potential of the background that neutralises one charge, π/(Vα²) ``(systems, 1)`` in 1/Å; none but in 3D."""
    if not bool(system.periodic.all()):
        return torch.zeros_like(plan.splitting).unsqueeze(1)
    return math.pi / (system.volume() * plan.splitting.square()).unsqueeze(1)


def self_and_background(placed: PlacedSources, plan: Plan) -> Tensor:
    """The two terms without pairs ``(systems, channels)``, in e²/Å."""
    system, alpha = placed.system, plan.splitting.unsqueeze(1)
    squares = per_system(placed.charges.square(), system)
    total = per_system(placed.charges, system)
    return -alpha / math.sqrt(math.pi) * squares - 0.5 * neutralising(system, plan) * total.square()
