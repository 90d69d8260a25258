"""Terms of a periodic sum without pairs: each source with its own smeared image, and the background.

    E = -(α/√π) Σ q²  -  πQ²/(2Vα²),    and -½ L² erf(αr)/r at r = 0 of dipoles and quadrupoles

The waves count every source with itself. The background is a uniform charge that neutralises those of the cell; the
constant makes it that of points, whatever the widths. Where axes are open there is none.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums.linear_map import LinearMap, Operator
from farfield.coulomb.terms.term import PotentialAndField, Term
from farfield.system import System, per_atom, per_system


@dataclass(frozen=True)
class Background(Term):
    """Smeared images of sources at themselves, and the background."""

    placed: PlacedSources
    plan: Plan

    def energy(self) -> Tensor:
        """Sum squares of charges, and of the total charge."""
        placed, system, alpha = self.placed, self.placed.system, self.plan.splitting.unsqueeze(1)
        squares, total = (per_system(x, system) for x in (placed.charges.square(), placed.charges))
        energy = -alpha / math.sqrt(math.pi) * squares - 0.5 * neutralising(system, self.plan) * total.square()
        if placed.moments.rank == 0:
            return energy
        own = placed.moments.self_energy(self.plan.splitting[system.system_index])
        return energy - per_system(own, system)

    def potential_and_field(self) -> PotentialAndField:
        """Evaluate potentials; the volume of the background changes with strain."""
        system, charges = self.placed.system, self.placed.charges
        total = per_system(charges, system)
        shift = neutralising(system, self.plan) * total
        eye = torch.eye(3, dtype=charges.dtype, device=charges.device)
        potential = -self._hardness * charges - per_atom(shift, system)
        return PotentialAndField(potential, None, (0.5 * total * shift)[..., None, None] * eye)

    def operator(self) -> Operator:
        """Prepare both constants."""
        system, hardness, shift = self.placed.system, self._hardness, neutralising(self.placed.system, self.plan)
        return lambda charges: -hardness * charges - (shift * per_system(charges, system))[system.system_index]

    def interaction(self) -> LinearMap:
        """Prepare the constants of charges and dipoles."""
        system, shift = self.placed.system, neutralising(self.placed.system, self.plan)
        split = self.plan.splitting[system.system_index]
        hardness = torch.stack([2 * split, *[4 / 3 * split**3] * 3], 1).unsqueeze(2) / math.sqrt(math.pi)

        def apply(columns: Tensor) -> Tensor:
            uniform = (shift * per_system(columns[:, 0], system))[system.system_index]
            return -hardness * columns - torch.nn.functional.pad(uniform.unsqueeze(1), (0, 0, 0, 3))

        def dipoles(padding: Padding) -> Tensor:
            diagonal = padding.pad(-hardness[:, 1:, 0]).flatten(1)
            return torch.diag_embed(diagonal).reshape(-1, *2 * (padding.longest, 3))

        return LinearMap(apply, dipoles)

    def potential_at(self, points: PlacedSources) -> Tensor:
        """Evaluate the background's: points have no charge of their own."""
        system = self.placed.system
        return -(neutralising(system, self.plan) * per_system(self.placed.charges, system))[points.system.system_index]

    def matrix(self, padding: Padding) -> Tensor:
        """Write down both constants."""
        mask = padding.mask().to(self.plan.splitting.dtype)
        everywhere = -neutralising(self.placed.system, self.plan).unsqueeze(2) * mask.unsqueeze(1) * mask.unsqueeze(2)
        own = (2 / math.sqrt(math.pi)) * self.plan.splitting[:, None] * mask
        return everywhere - torch.diag_embed(own)

    @property
    def _hardness(self) -> Tensor:
        """d²E/dq² of each charge with its smeared image, but for the sign ``(sources, 1)``."""
        return per_atom(2 / math.sqrt(math.pi) * self.plan.splitting.unsqueeze(1), self.placed.system)


def neutralising(system: System, plan: Plan) -> Tensor:
    """Potential of the background that neutralises one charge, π/(Vα²) ``(systems, 1)`` in 1/Å; none but in 3D."""
    if not bool(system.periodic.all()):
        return torch.zeros_like(plan.splitting).unsqueeze(1)
    return math.pi / (system.volume() * plan.splitting.square()).unsqueeze(1)
