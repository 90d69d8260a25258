"""Everything at once and without a graph: energy, potential, field, forces and stress."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.box import box_of, summed_cell
from farfield.coulomb.plan.methods import Part, join
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums import direct, ewald, mesh, real_space
from farfield.coulomb.sums.structure_factors import gather_with_slope, spread
from farfield.system import System, per_atom, per_system
from farfield.units import COULOMB

ROUNDING = 32
"""Rounding of a sum over pairs, in units of the last digit of a typical force."""


@dataclass(frozen=True)
class Electrostatics:
    """Energies, and potentials, fields and forces at all sources; detached. Channels, if any, follow the first axis."""

    energy: Tensor  # (systems,), eV
    potential: Tensor  # (sources,), V: dE/dq
    field: Tensor  # (sources, 3), V/Å: minus the gradient of the potential at the source, -dE/dμ
    forces: Tensor  # (sources, 3), eV/Å, at fixed charges, dipoles and quadrupoles
    stress: Tensor  # (systems, 3, 3), eV/Å³, at fixed moments; nan where an axis is open: there is no volume
    error_estimate: Tensor  # (systems,), eV/Å, expected rms force error

    def reordered(self, places: Tensor) -> "Electrostatics":
        """Take the rows of the sources from ``places``."""
        return replace(self, potential=self.potential[places], field=self.field[places], forces=self.forces[places])

    def single_channel(self) -> "Electrostatics":
        """Drop the axis of channels."""
        return Electrostatics(**{name: value.squeeze(1) for name, value in vars(self).items()})


@dataclass(frozen=True)
class PotentialAndField:
    """Potential, field and virial of one sum, Gaussian self-energies left out."""

    potential: Tensor  # (sources, channels), V
    field: Tensor  # (sources, channels, 3), V/Å
    virial: Tensor  # (systems, channels, 3, 3), dE/dstrain, eV
    error: Tensor | float = 0.0  # (systems,), relative to K⟨q²⟩(N/V)^(2/3)


def evaluate(
    placed: PlacedSources,
    planned: list[tuple[Part, Plan | None]],
    self_term: Tensor | None,  # (sources,) d²E/dq² of each source with itself, V/e
    surrounding: tuple[Tensor, Tensor, Tensor]
    | None,  # potential, field and dE/dstrain from what surrounds the crystal
) -> Electrostatics:
    """Add up the sums of all parts of a batch."""
    found = [(p, open_sum(p.placed) if plan is None else periodic_sum(p.placed, plan)) for p, plan in planned]
    system, charges = placed.system, placed.charges
    potential, field = (
        join([(p, getattr(r, name)) for p, r in found], system.n_atoms, lambda part: part.places)
        for name in ("potential", "field")
    )
    virial, relative = (
        join([(p, getattr(r, name)) for p, r in found], system.n_systems, lambda part: part.systems)
        for name in ("virial", "error")
    )
    if self_term is not None:
        potential = potential + self_term.unsqueeze(1) * charges
    if surrounding is not None:
        potential, field, virial = (x + more for x, more in zip((potential, field, virial), surrounding))
    real = torch.where(system.periodic.all(1), system.volume(), float("nan"))
    return Electrostatics(
        energy=0.5 * per_system(charges * potential, system),
        potential=potential,
        field=field,
        forces=charges.unsqueeze(-1) * field,
        stress=virial / real[:, None, None, None],
        error_estimate=force_scale(placed) * relative.unsqueeze(1),
    )


def force_scale(placed: PlacedSources) -> Tensor:
    """Evaluate K [⟨q²⟩ρ^(2/3) + ⟨μ²⟩ρ^(4/3) + ⟨Θ:Θ⟩ρ²] ``(systems, channels)`` in eV/Å, what errors are relative to."""
    system = placed.system
    count = system.atoms_per_system.clamp_min(1).unsqueeze(1)
    density = count / torch.from_numpy(box_of(system).volume).to(placed.charges).unsqueeze(1)
    scale = per_system(placed.charges.square(), system) / count * density ** (2 / 3)
    if placed.dipoles is not None:
        scale = scale + per_system(placed.dipoles.square().sum(-1), system) / count * density ** (4 / 3)
    if placed.quadrupoles is not None:
        tensors = 9 * placed.quadrupoles.square().sum((-1, -2))
        scale = scale + per_system(tensors, system) / count * density**2
    return COULOMB * scale


def open_sum(placed: PlacedSources) -> PotentialAndField:
    """Sum all pairs."""
    padding = Padding.of(placed.system)
    charges = padding.pad(placed.charges)
    kernel, vector = direct.kernels_and_vectors(placed, padding)
    steeper, _ = direct.kernels_and_vectors(placed, padding, 1)
    pull = steeper.unsqueeze(-1) * vector  # (systems, n, n, 3)
    field = -torch.einsum("sijx,sjc->sicx", pull, charges)
    virial = -0.5 * torch.einsum("sijx,sijy,sic,sjc->scxy", pull, vector, charges, charges)
    rounding = torch.full_like(virial[:, 0, 0, 0], ROUNDING * torch.finfo(virial.dtype).eps)
    potential, field = padding.unpad(kernel @ charges), padding.unpad(field)
    return PotentialAndField(COULOMB * potential, COULOMB * field, COULOMB * virial, rounding)


def periodic_sum(placed: PlacedSources, plan: Plan) -> PotentialAndField:
    """Sum pairs, waves and background."""
    pair_part = PotentialAndField(*real_space.potential_and_field(placed, plan))
    wave_part = (
        PotentialAndField(*mesh.potential_and_field(placed, plan)) if plan.meshed.any() else _wave_sum(placed, plan)
    )
    system, charges, alpha = placed.system, placed.charges, plan.splitting.unsqueeze(1)
    total = per_system(charges, system)
    background = ewald.neutralising(system, plan) * total
    lone = per_atom(2 / math.sqrt(math.pi) * alpha, system) * charges
    potential = pair_part.potential + wave_part.potential - lone - per_atom(background, system)
    eye = torch.eye(3, dtype=alpha.dtype, device=alpha.device)
    virial = pair_part.virial + wave_part.virial + (0.5 * total * background)[..., None, None] * eye
    error = plan.error + ROUNDING * torch.finfo(alpha.dtype).eps
    return PotentialAndField(
        COULOMB * potential, COULOMB * (pair_part.field + wave_part.field), COULOMB * virial, error
    )


def _wave_sum(placed: PlacedSources, plan: Plan) -> PotentialAndField:
    system, padding = placed.system, Padding.of(placed.system)
    phases, waves = ewald.plane_waves(system, padding, plan)
    cosine, sine = spread(phases, padding.pad(placed.charges), waves)
    weight = ewald.wave_weights(system, plan).unsqueeze(2)
    amplitudes = 2 * weight * cosine, 2 * weight * sine
    potential, slope = gather_with_slope(phases, *amplitudes, waves)  # the slope by the phases
    to_space = 2 * math.pi * torch.linalg.inv(summed_cell(system, plan.wave_cell)).transpose(1, 2)
    field = -slope @ to_space.unsqueeze(1)
    virial = _wave_virial(system, plan, weight * (cosine.square() + sine.square()))
    return PotentialAndField(padding.unpad(potential), padding.unpad(field), virial)


def _wave_virial(system: System, plan: Plan, energies: Tensor) -> Tensor:
    """Strain changes k and V, not the phases: dE_k/dε = E_k (2 k⊗k (1/k² + 1/4α²) - 1); zero but in 3D."""
    if not bool(system.periodic.all()):
        return energies.new_zeros(len(energies), energies.shape[2], 3, 3)
    k = ewald.wave_vectors(system, plan)
    squared = torch.where(plan.multiplicity > 0, k.square().sum(-1), 1.0)
    factor = 2 * (1 / squared + 1 / (4 * plan.splitting.square()).unsqueeze(1))
    eye = torch.eye(3, dtype=k.dtype, device=k.device)
    return torch.einsum("skc,sk,skx,sky->scxy", energies, factor, k, k) - energies.sum(1)[..., None, None] * eye
