"""Charge and dipole of one atom that respond to the potential and the field they are in, beyond linear response.

With x = (v, -F) of the potential v and the field F at an atom, its free energy in them is

    w(x) = q° v - m°·F - P(u, e),   u = v - A q°,   e = F + B m°

A and B those of its own Gaussian, so that u and e are what the others do: an atom with nobody around keeps q° and m°,
and has no energy (½ A q°² + ½ B m°² is taken off).
P is convex, quadratic and a few bounded steps on top,

    P = ½ s u² + ½ α e² + Σ_k c_k [ln cosh t_k - tanh(b_k) t_k],   t_k = b_k + a_k u + n_k·e

and the density is its slope, (q, μ) = ∂w/∂x: as w is concave, q falls with v and μ rises with F, whatever the numbers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from farfield.compiled import Array, has_loops, numbers
from farfield.response.density.kernels import atomic_response

LN2 = math.log(2)


@dataclass(frozen=True)
class AtomicResponse:
    """Response of every atom of a batch, in double precision."""

    self_term: Tensor  # (atoms, 4) A in V/e, and B in V/(e·Å²) three times; held fixed
    charge: Tensor  # (atoms,) q°, e
    dipole: Tensor  # (atoms, 3) m°, e·Å
    softness: Tensor  # (atoms,) s, e/V
    polarizability: Tensor  # (atoms,) α, e²·Å²/eV
    height: Tensor  # (atoms, steps) c, eV
    place: Tensor  # (atoms, steps) b
    slope: Tensor  # (atoms, steps) a, 1/V
    turn: Tensor  # (atoms, steps, 3) n, Å/V

    @property
    def variables(self) -> tuple[Tensor, ...]:
        """Tensors it is made of, less what is held fixed."""
        linear = (self.charge, self.dipole, self.softness, self.polarizability)
        return (*linear, self.height, self.place, self.slope, self.turn)

    def at(self, variables: Sequence[Tensor]) -> "AtomicResponse":
        """Replace the variables."""
        return AtomicResponse(self.self_term, *variables)

    def energy(self, potentials: Tensor) -> Tensor:
        """Evaluate w ``(atoms,)`` in eV of x ``(atoms, 4)``, V and V/Å."""
        u, e = self.of_others(potentials)
        steps = self._steps(u, e)
        cosh = torch.nn.functional.softplus(-2 * steps) + steps - LN2
        at_rest = torch.nn.functional.softplus(-2 * self.place) + self.place - LN2
        raised = (self.height * (cosh - at_rest - torch.tanh(self.place) * (steps - self.place))).sum(1)
        bent = 0.5 * (self.softness * u.square() + self.polarizability * e.square().sum(1))
        of_charge, of_dipole = self.self_term[:, 0], self.self_term[:, 1:]
        alone = 0.5 * (of_charge * self.charge.square() + (of_dipole * self.dipole.square()).sum(1))
        return self.charge * potentials[:, 0] + (self.dipole * potentials[:, 1:]).sum(1) - alone - bent - raised

    def density(self, potentials: Tensor) -> Tensor:
        """Evaluate ∂w/∂x = (q, μ) ``(atoms, 4)``, e and e·Å."""
        u, e = self.of_others(potentials)
        pull = self.height * (torch.tanh(self._steps(u, e)) - torch.tanh(self.place))
        charge = self.charge - self.softness * u - (pull * self.slope).sum(1)
        dipole = self.dipole + self.polarizability.unsqueeze(1) * e + (pull.unsqueeze(1) @ self.turn).squeeze(1)
        return torch.cat([charge.unsqueeze(1), dipole], 1)

    def susceptibility(self, potentials: Tensor) -> Tensor:
        """Evaluate S = -∂²w/∂x² ``(atoms, 4, 4)``, positive definite."""
        u, e = self.of_others(potentials)
        bend = self._bend(u, e)
        ways = torch.cat([self.slope.unsqueeze(2), -self.turn], 2)
        linear = torch.cat([self.softness.unsqueeze(1), self.polarizability.unsqueeze(1).expand(-1, 3)], 1)
        return torch.diag_embed(linear) + ways.transpose(1, 2) @ (bend.unsqueeze(2) * ways)

    def response_to(self, potentials: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate ``density`` and ``softness_of_charge`` at once; compiled where no graph is recorded."""
        if torch.is_grad_enabled() or not has_loops(potentials):
            return self.density(potentials), self.softness_of_charge(potentials)
        density, soft = atomic_response.response_to(numbers(potentials), *self._numbers)
        return torch.from_numpy(density), torch.from_numpy(soft)

    @cached_property
    def _numbers(self) -> tuple[Array, ...]:
        return tuple(map(numbers, (self.self_term, *self.variables)))

    def softness_of_charge(self, potentials: Tensor) -> Tensor:
        """Evaluate the first row of S ``(atoms, 4)``: what a potential takes from charge and dipole."""
        u, e = self.of_others(potentials)
        bend = self._bend(u, e) * self.slope
        charge = self.softness + (bend * self.slope).sum(1)
        return torch.cat([charge.unsqueeze(1), -(bend.unsqueeze(1) @ self.turn).squeeze(1)], 1)

    def of_others(self, potentials: Tensor) -> tuple[Tensor, Tensor]:
        """Take off what an atom's own Gaussians make: u ``(atoms,)`` in V and e ``(atoms, 3)`` in V/Å."""
        u = potentials[:, 0] - self.self_term[:, 0] * self.charge
        return u, self.self_term[:, 1:] * self.dipole - potentials[:, 1:]

    def _bend(self, u: Tensor, e: Tensor) -> Tensor:
        """Curvatures c / cosh² t ``(atoms, steps)``, eV, without what would overflow."""
        return self.height * (1 - torch.tanh(self._steps(u, e)).square())

    def _steps(self, u: Tensor, e: Tensor) -> Tensor:
        return self.place + self.slope * u.unsqueeze(1) + (self.turn @ e.unsqueeze(2)).squeeze(2)
