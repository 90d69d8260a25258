"""Everything at once and without a graph: energy, potential, field, forces and stress."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farfield.coulomb.plan.box import box_of
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.terms.joined import Joined
from farfield.system import per_system
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


def evaluate(joined: Joined) -> Electrostatics:
    """Evaluate charges, term by term."""
    placed, found = joined.placed, joined.potential_and_field()
    system, charges = placed.system, placed.charges
    assert found.field is not None
    potential, field = COULOMB * found.potential, COULOMB * found.field
    real = torch.where(system.periodic.all(1), system.volume(), float("nan"))
    relative = joined.error() + ROUNDING * torch.finfo(charges.dtype).eps
    return Electrostatics(
        energy=0.5 * per_system(charges * potential, system),
        potential=potential,
        field=field,
        forces=charges.unsqueeze(-1) * field,
        stress=COULOMB * found.virial / real[:, None, None, None],
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
