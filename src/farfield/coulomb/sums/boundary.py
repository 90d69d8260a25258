"""A crystal grown as a sphere in vacuum instead of in a conductor: ½ c M², c = 4πK/3V, M the dipole of the cell.

(De Leeuw, Perram and Smith, Proc. R. Soc. A 373, 27 (1980).) M is that of the positions as they are given: whole
molecules, and an ion moved by a lattice vector counts. Open axes have their vacuum already.
"""

import math

import torch
from torch import Tensor

from farfield.coulomb.padding import Padding
from farfield.coulomb.sources import PlacedSources
from farfield.errors import InputError
from farfield.system import System, per_system
from farfield.units import COULOMB

NEUTRAL = 1e-4
"""e; cells of a larger total charge have no dipole of their own."""


def energy(placed: PlacedSources) -> Tensor:
    """Evaluate the energy ``(systems, channels)`` in eV.

    Raises:
        InputError: a periodic cell that is not neutral.
    """
    return 0.5 * strength(placed.system).unsqueeze(1) * dipole(placed).square().sum(-1)


def dipole(placed: PlacedSources) -> Tensor:
    """Sum the dipole M ``(systems, channels, 3)`` in e·Å.

    Raises:
        InputError: a periodic cell that is not neutral.
    """
    system = placed.system
    excess = per_system(placed.charges.detach(), system).abs().amax(1)
    charged_cells = (excess > NEUTRAL) & system.periodic.all(1)
    if charged_cells.any():
        k = int(charged_cells.nonzero()[0])
        raise InputError(
            f'structure {k} has the total charge {float(excess[k]):.4g} e: with boundary="vacuum" cells must be '
            "neutral, as the dipole of a charged one depends on the origin"
        )
    moments = placed.charges.unsqueeze(-1) * system.positions.unsqueeze(1)
    if placed.dipoles is not None:
        moments = moments + placed.dipoles
    return per_system(moments, system)


def potential_and_field(placed: PlacedSources) -> tuple[Tensor, Tensor, Tensor]:
    """Potential ``(sources, channels)``, V, field ``(…, 3)``, V/Å, and dE/dstrain ``(systems, channels, 3, 3)``, eV."""
    system, moment = placed.system, dipole(placed)
    pull = strength(system)[:, None, None] * moment
    virial = pull.unsqueeze(-1) * moment.unsqueeze(-2)
    half = 0.5 * torch.diagonal(virial, dim1=-2, dim2=-1).sum(-1)
    eye = torch.eye(3, dtype=virial.dtype, device=virial.device)
    field = -pull[system.system_index]
    return potential(placed, system), field, virial - half[..., None, None] * eye


def potential(placed: PlacedSources, points: System) -> Tensor:
    """Evaluate the potential at the atoms of ``points``, sorted by system ``(points, channels)``, in V.

    Raises:
        InputError: a periodic cell that is not neutral.
    """
    return _uniform(placed.system, dipole(placed), points)


def operator(system: System, charges: Tensor) -> Tensor:
    """Potential ``(atoms, channels)`` in V that belongs to ``matrix``: linear, whatever the charges sum to."""
    return _uniform(system, per_system(charges.unsqueeze(-1) * system.positions.unsqueeze(1), system), system)


def matrix(system: System, padding: Padding) -> Tensor:
    """d²E/dqdq ``(systems, longest, longest)`` in V/e, of use for charges that sum to zero."""
    places = padding.pad(system.positions)
    return strength(system)[:, None, None] * (places @ places.transpose(1, 2))


def _uniform(system: System, moment: Tensor, points: System) -> Tensor:
    pull = strength(system)[:, None, None] * moment
    return (pull[points.system_index] * points.positions.unsqueeze(1)).sum(-1)


def strength(system: System) -> Tensor:
    """Evaluate c ``(systems,)`` of ½ c M², in V/(e·Å²); 0 where an axis is open."""
    crystal = system.periodic.all(1)
    return torch.where(crystal, 4 * math.pi * COULOMB / 3 / torch.where(crystal, system.volume(), 1.0), 0.0)
