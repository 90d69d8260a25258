"""A crystal grown as a sphere in vacuum instead of in a conductor: ½ c M², c = 4π/3V, M the dipole of the cell.

(De Leeuw, Perram and Smith, Proc. R. Soc. A 373, 27 (1980).) M is that of the positions as they are given: whole
molecules, and an ion moved by a lattice vector counts. Open axes have their vacuum already.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.linear_map import LinearMap, Operator
from farfield.coulomb.terms.term import PotentialAndField, Term
from farfield.errors import InputError
from farfield.system import System, per_system

NEUTRAL = 1e-4
"""e; cells of a larger total charge have no dipole of their own."""


@dataclass(frozen=True)
class Vacuum(Term):
    """Vacuum around crystals.

    Operator and matrix are linear whatever the charges sum to, and of use for those that sum to zero.
    """

    placed: PlacedSources
    systems: Tensor  # the numbers by which messages call them

    def energy(self) -> Tensor:
        """Square the dipole.

        Raises:
            InputError: a cell that is not neutral.
        """
        return 0.5 * self._strength.squeeze(2) * self._dipole().square().sum(-1)

    def potential_and_field(self) -> PotentialAndField:
        """Evaluate the uniform field.

        Raises:
            InputError: a cell that is not neutral.
        """
        system, moment = self.placed.system, self._dipole()
        pull = self._strength * moment
        virial = pull.unsqueeze(-1) * moment.unsqueeze(-2)
        half = 0.5 * torch.diagonal(virial, dim1=-2, dim2=-1).sum(-1)
        eye = torch.eye(3, dtype=virial.dtype, device=virial.device)
        return PotentialAndField(
            self._uniform(moment, system), -pull[system.system_index], virial - half[..., None, None] * eye
        )

    def operator(self) -> Operator:
        """Prepare the map of charges to their dipole and its field."""
        system = self.placed.system
        places = system.positions.unsqueeze(1)
        return lambda charges: self._uniform(per_system(charges.unsqueeze(-1) * places, system), system)

    def interaction(self) -> LinearMap:
        """Prepare the map of charges and dipoles to their dipole and its field; no matrix is written down."""
        system, strength = self.placed.system, self._strength
        frame = torch.nn.functional.pad(torch.eye(3, dtype=system.positions.dtype), (0, 0, 1, 0)).to(system.positions)
        frame = frame.expand(system.n_atoms, 4, 3).clone()
        frame[:, 0] = system.positions  # by which (q, μ) become dipoles

        def apply(columns: Tensor) -> Tensor:
            moment = strength * per_system(frame.transpose(1, 2) @ columns, system)
            return frame @ moment[system.system_index]

        return LinearMap(apply, None)

    def potential_at(self, points: PlacedSources) -> Tensor:
        """Evaluate the uniform field's.

        Raises:
            InputError: a cell that is not neutral.
        """
        return self._uniform(self._dipole(), points.system)

    @property
    def _strength(self) -> Tensor:
        """Evaluate c of ½ c M² ``(systems, 1, 1)``, in 1/Å³."""
        return (4 * math.pi / 3 / self.placed.system.volume())[:, None, None]

    def _dipole(self) -> Tensor:
        """M ``(systems, channels, 3)`` in e·Å."""
        placed, system = self.placed, self.placed.system
        excess = per_system(placed.charges.detach(), system).abs().amax(1)
        if (excess > NEUTRAL).any():
            k = int((excess > NEUTRAL).nonzero()[0])
            raise InputError(
                f"structure {int(self.systems[k])} has the total charge {float(excess[k]):.4g} e: with "
                'boundary="vacuum" cells must be neutral, as the dipole of a charged one depends on the origin'
            )
        moments = placed.charges.unsqueeze(-1) * system.positions.unsqueeze(1)
        if placed.dipoles is not None:
            moments = moments + placed.dipoles
        return per_system(moments, system)

    def _uniform(self, moment: Tensor, points: System) -> Tensor:
        """Potential of the field of a dipole ``(systems, channels, 3)`` at points."""
        pull = self._strength * moment
        return (pull[points.system_index] * points.positions.unsqueeze(1)).sum(-1)
