"""Charge densities in Gaussian shells of any angular momentum up to six, and their electrostatic energy.

A shell of width σ carries multipole moments Q_lm = ∫ ρ r^l C_lm (Racah's C_lm; e·Å^l): its density is r^l C_lm times
exp(-r²/2σ²), and in k-space

    ρ(k) = Σ_lm Q_lm (-ik)^l C_lm(k̂) exp(-k²σ²/2) / (2l-1)!!

so that l = 0, 1 and 2 are the Gaussian charges, dipoles and quadrupoles of ``Coulomb``. Nothing is pointlike, hence
all of the sum is one over waves, without a real-space half: k reaches to where the narrowest two shells have decayed,
and any widths go together. Time grows with the volume over the cube of the narrowest width, and with the shells.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import gammainccinv
from torch import Tensor

from farfield.coulomb.functions import truncated_kernel
from farfield.coulomb.functions.harmonics import HIGHEST, solid_harmonics
from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.box import box_of, summed_cell
from farfield.coulomb.plan.mesh_plan import BEYOND
from farfield.coulomb.plan.plan import half_of_waves
from farfield.coulomb.sums.structure_factors import spread, waves_at
from farfield.errors import InputError
from farfield.system import System
from farfield.units import COULOMB


@dataclass(frozen=True)
class Shells:
    """Gaussian shells anywhere, any number per system and place.

    Args:
        positions: ``(shells, 3)``, Å.
        system_index: ``(shells,)`` int64.
        moments: ``(shells, (l+1)²)``, Q_lm in e·Å^l, l = 0, 1, … to at most 6, m from -l to l.
        widths: ``(shells,)`` or one number, σ in Å, greater than zero; not differentiated.

    Raises:
        InputError: shapes that do not fit, values that are not finite, a width that is not positive.
    """

    positions: Tensor
    system_index: Tensor
    moments: Tensor
    widths: Tensor | float

    def __post_init__(self) -> None:
        count = len(self.positions)
        columns = self.moments.shape[-1] if self.moments.ndim == 2 else 0
        if self.moments.ndim != 2 or len(self.moments) != count or columns not in _COLUMNS:
            raise InputError(
                f"Shells.moments has shape {tuple(self.moments.shape)}, expected ({count}, (l+1)²) with l from 0 to "
                f"{HIGHEST}: one of {_COLUMNS} columns"
            )
        for name, shape in (("positions", (count, 3)), ("system_index", (count,))):
            if tuple(getattr(self, name).shape) != shape:
                raise InputError(f"Shells.{name} has shape {tuple(getattr(self, name).shape)}, expected {shape}")
        widths = torch.as_tensor(self.widths).detach()
        if tuple(widths.shape) not in ((), (count,)):
            raise InputError(f"Shells.widths has shape {tuple(widths.shape)}, expected one number or ({count},)")
        for name, values in (("positions", self.positions), ("moments", self.moments), ("widths", widths)):
            if not torch.isfinite(values.detach()).all():
                raise InputError(f"Shells.{name} has values that are not finite")
        if not bool((widths > 0).all()):
            raise InputError(f"a shell has the width {float(widths.min())} Å; widths must be greater than zero")


_COLUMNS = tuple((n + 1) ** 2 for n in range(HIGHEST + 1))


def shell_energy(system: System, shells: Shells, *, error: float = 1e-6) -> Tensor:
    """Electrostatic energy ``(systems,)`` in eV of all shells, each with itself included; differentiable.

    Crystals are tin-foil, and a total charge has a uniform background: k = 0 is left out, which for Gaussians is not
    the point background of ``Coulomb`` (it lacks -(2π/V) Q Σ qσ²). Along open axes there are no images.

    Args:
        system: cells and periodicity.
        shells: what carries the charge.
        error: part of the energy of the narrowest shell with itself that the waves left out would add, about.

    Raises:
        InputError: an error outside 1e-14 to 1e-2, shells of a system that is not there.
    """
    if not 1e-14 <= error <= 1e-2:
        raise InputError(f"shell_energy(error={error}): the error must lie in 1e-14 to 1e-2")
    everywhere, order = system.with_sites(shells.positions, shells.system_index)
    moments = shells.moments[order].to(everywhere.positions)
    widths = torch.as_tensor(shells.widths, dtype=moments.dtype, device=moments.device).expand(len(order))[order]
    dimensions = system.periodic.sum(1)
    energy = moments.new_zeros(system.n_systems)
    for count in sorted(set(dimensions.tolist())):
        rows = (dimensions == count).nonzero().squeeze(1)
        energy = energy.index_copy(0, rows, _alike(everywhere, rows, (moments, widths), error))
    return COULOMB * energy


def _alike(everywhere: System, systems: Tensor, shells: tuple[Tensor, Tensor], error: float) -> Tensor:
    """Energies ``(chosen,)`` in e²/Å of systems that are periodic along equally many axes."""
    some, places = everywhere.select(systems)
    moments, widths = (values[places] for values in shells)
    wave_cell, radius, indices, multiplicity = _waves(some, widths.detach(), moments.shape[1], error)
    cell = summed_cell(some, wave_cell)
    padding = Padding.of(some)
    phases, waves = waves_at(some, padding, cell, indices)
    form, squared = truncated_kernel.kernel(indices, cell, some.periodic, radius)
    k = indices @ (2 * math.pi * torch.linalg.inv(cell).transpose(1, 2))
    highest = math.isqrt(moments.shape[1]) - 1
    harmonics = solid_harmonics(k, highest)  # (systems, waves, lm)
    real, imaginary = torch.zeros_like(form), torch.zeros_like(form)
    for width, group in _groups(widths):
        columns = torch.where(group.unsqueeze(1), moments, 0.0)
        cosine, sine = spread(phases, padding.pad(columns), waves)
        decay = torch.exp(-0.5 * squared * width**2)
        for n in range(highest + 1):
            few = slice(n * n, (n + 1) * (n + 1))
            size = decay / math.prod(range(1, 2 * n, 2))
            here = size.unsqueeze(2) * harmonics[..., few]
            one, two = ((here * wave[..., few]).sum(-1) for wave in (cosine, sine))
            # Σ i^n Q (cos + i sin)
            real = real + (one, -two, -one, two)[n % 4]
            imaginary = imaginary + (two, one, -two, -one)[n % 4]
    weight = multiplicity * form / (2 * torch.linalg.det(cell).abs().unsqueeze(1))
    energy: Tensor = (weight * (real.square() + imaginary.square())).sum(1)
    return energy


def _groups(widths: Tensor) -> Iterator[tuple[float, Tensor]]:
    """Every width that occurs, and which shells have it."""
    for width in sorted(set(widths.detach().tolist())):
        yield width, widths.detach() == width


def _waves(system: System, widths: Tensor, columns: int, error: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boxes, radii, indices and multiplicity of the waves, as a ``Plan`` has them."""
    box, count = box_of(system), system.n_systems
    owner, values = system.system_index.cpu().numpy(), widths.to("cpu", torch.float64).numpy()
    narrow, wide = np.full(count, np.inf), np.zeros(count)
    np.minimum.at(narrow, owner, values)
    np.maximum.at(wide, owner, values)
    # of ∫ x^2l exp(-x²) dx, x = kσ, the part beyond
    depth = math.sqrt(float(gammainccinv(math.isqrt(columns) - 0.5, error)))
    wave_cell, radius = box.wave_cell(2 * wide * (depth + BEYOND))
    indices, multiplicity = half_of_waves(wave_cell, depth / narrow, origin=bool(box.open.any()))
    like = system.positions
    found = [torch.from_numpy(x).to(like) for x in (wave_cell, radius, indices, multiplicity)]
    return found[0], found[1], found[2], found[3]
