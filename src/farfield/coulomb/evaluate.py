"""Everything at once and without a graph: energy, potential, field, forces and stress."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.box import space_of, summed_cell
from farfield.coulomb.plan.methods import Part, join
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import Charged
from farfield.coulomb.sums import direct, ewald, mesh, real_space
from farfield.coulomb.sums.structure_factors import gather_with_slope, spread
from farfield.system import System, per_atom, per_system
from farfield.units import COULOMB

ROUNDING = 32
"""Rounding of a sum over pairs, in units of the last digit of a typical force."""


@dataclass(frozen=True)
class Evaluation:
    """Everything the charges feel; detached. Channels, where there are any, follow the first axis."""

    energy: Tensor  # (systems,), eV
    potential: Tensor  # (sources,), V: dE/dq
    field: Tensor  # (sources, 3), V/Å: minus the gradient of the potential at the source, -dE/dμ
    forces: Tensor  # (sources, 3), eV/Å, at fixed charges, dipoles and quadrupoles
    stress: Tensor  # (systems, 3, 3), eV/Å³, at fixed moments; nan where an axis is open: there is no volume
    error_estimate: Tensor  # (systems,), eV/Å, expected rms force error

    def reordered(self, places: Tensor) -> "Evaluation":
        """Rows of the sources taken from ``places``."""
        return replace(self, potential=self.potential[places], field=self.field[places], forces=self.forces[places])

    def single_channel(self) -> "Evaluation":
        """Without the axis of channels."""
        return Evaluation(**{name: value.squeeze(1) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Response:
    """What the charges feel, Gaussian self-energies left out."""

    potential: Tensor  # (sources, channels), V
    field: Tensor  # (sources, channels, 3), V/Å
    virial: Tensor  # (systems, channels, 3, 3), dE/dstrain, eV
    error: Tensor | float = 0.0  # (systems,), relative to K⟨q²⟩(N/V)^(2/3)


def evaluate(
    charged: Charged,
    cut: list[tuple[Part, Plan | None]],
    own: Tensor | None,  # (sources,) d²E/dq² of each source with itself, V/e
    around: tuple[Tensor, Tensor, Tensor] | None,  # potential, field and dE/dstrain from what surrounds the crystal
) -> Evaluation:
    """The whole batch from its parts."""
    found = [(p, open_response(p.charged) if plan is None else periodic_response(p.charged, plan)) for p, plan in cut]
    system, charges = charged.system, charged.charges
    potential, field = (
        join([(p, getattr(r, name)) for p, r in found], system.n_atoms, lambda part: part.places)
        for name in ("potential", "field")
    )
    virial, relative = (
        join([(p, getattr(r, name)) for p, r in found], system.n_systems, lambda part: part.systems)
        for name in ("virial", "error")
    )
    if own is not None:
        potential = potential + own.unsqueeze(1) * charges
    if around is not None:
        potential, field, virial = (x + more for x, more in zip((potential, field, virial), around))
    real = torch.where(system.periodic.all(1), system.volume(), float("nan"))
    return Evaluation(
        energy=0.5 * per_system(charges * potential, system),
        potential=potential,
        field=field,
        forces=charges.unsqueeze(-1) * field,
        stress=virial / real[:, None, None, None],
        error_estimate=force_scale(charged) * relative.unsqueeze(1),
    )


def force_scale(charged: Charged) -> Tensor:
    """K [⟨q²⟩ρ^(2/3) + ⟨μ²⟩ρ^(4/3) + ⟨Θ:Θ⟩ρ²] ``(systems, channels)`` in eV/Å, what errors are relative to."""
    system = charged.system
    count = system.atoms_per_system.clamp_min(1).unsqueeze(1)
    density = count / torch.from_numpy(space_of(system).volume).to(charged.charges).unsqueeze(1)
    scale = per_system(charged.charges.square(), system) / count * density ** (2 / 3)
    if charged.dipoles is not None:
        scale = scale + per_system(charged.dipoles.square().sum(-1), system) / count * density ** (4 / 3)
    if charged.quadrupoles is not None:
        tensors = 9 * charged.quadrupoles.square().sum((-1, -2))
        scale = scale + per_system(tensors, system) / count * density**2
    return COULOMB * scale


def open_response(charged: Charged) -> Response:
    """Direct sum."""
    padding = Padding.of(charged.system)
    charges = padding.pad(charged.charges)
    kernel, vector = direct.kernels_and_vectors(charged, padding)
    steeper, _ = direct.kernels_and_vectors(charged, padding, 1)
    pull = steeper.unsqueeze(-1) * vector  # (systems, n, n, 3)
    field = -torch.einsum("sijx,sjc->sicx", pull, charges)
    virial = -0.5 * torch.einsum("sijx,sijy,sic,sjc->scxy", pull, vector, charges, charges)
    rounding = torch.full_like(virial[:, 0, 0, 0], ROUNDING * torch.finfo(virial.dtype).eps)
    potential, field = padding.unpad(kernel @ charges), padding.unpad(field)
    return Response(COULOMB * potential, COULOMB * field, COULOMB * virial, rounding)


def periodic_response(charged: Charged, plan: Plan) -> Response:
    """Ewald sum."""
    close = Response(*real_space.response(charged, plan))
    far = Response(*mesh.response(charged, plan)) if plan.meshed.any() else _wave_response(charged, plan)
    system, charges, alpha = charged.system, charged.charges, plan.splitting.unsqueeze(1)
    total = per_system(charges, system)
    background = ewald.neutralising(system, plan) * total
    lone = per_atom(2 / math.sqrt(math.pi) * alpha, system) * charges
    potential = close.potential + far.potential - lone - per_atom(background, system)
    eye = torch.eye(3, dtype=alpha.dtype, device=alpha.device)
    virial = close.virial + far.virial + (0.5 * total * background)[..., None, None] * eye
    error = plan.error + ROUNDING * torch.finfo(alpha.dtype).eps
    return Response(COULOMB * potential, COULOMB * (close.field + far.field), COULOMB * virial, error)


def _wave_response(charged: Charged, plan: Plan) -> Response:
    system, padding = charged.system, Padding.of(charged.system)
    phases, waves = ewald.plane_waves(system, padding, plan)
    cosine, sine = spread(phases, padding.pad(charged.charges), waves)
    weight = ewald.wave_weights(system, plan).unsqueeze(2)
    amplitudes = 2 * weight * cosine, 2 * weight * sine
    potential, slope = gather_with_slope(phases, *amplitudes, waves)  # the slope by the phases
    to_space = 2 * math.pi * torch.linalg.inv(summed_cell(system, plan.box)).transpose(1, 2)
    field = -slope @ to_space.unsqueeze(1)
    virial = _wave_virial(system, plan, weight * (cosine.square() + sine.square()))
    return Response(padding.unpad(potential), padding.unpad(field), virial)


def _wave_virial(system: System, plan: Plan, energies: Tensor) -> Tensor:
    """Strain changes k and V, not the phases: dE_k/dε = E_k (2 k⊗k (1/k² + 1/4α²) - 1); zero but in 3D."""
    if not bool(system.periodic.all()):
        return energies.new_zeros(len(energies), energies.shape[2], 3, 3)
    k = ewald.wave_vectors(system, plan)
    squared = torch.where(plan.multiplicity > 0, k.square().sum(-1), 1.0)
    factor = 2 * (1 / squared + 1 / (4 * plan.splitting.square()).unsqueeze(1))
    eye = torch.eye(3, dtype=k.dtype, device=k.device)
    return torch.einsum("skc,sk,skx,sky->scxy", energies, factor, k, k) - energies.sum(1)[..., None, None] * eye
