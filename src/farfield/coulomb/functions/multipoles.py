"""Dipoles and traceless quadrupoles beside charges.

Together they act on a potential as the operator L = q + μ·∇ + ⅓Θ:∇∇, with Buckingham's Θ = ½ Σ q (3 r⊗r - r²)
(Adv. Chem. Phys. 12, 107 (1967)); inside the solver Q = Θ/3. A Gaussian multipole is L on a Gaussian charge.
"""

import math
from dataclasses import dataclass
from functools import reduce
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from farfield.compiled import Array
from farfield.errors import InputError

SYMMETRIC = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
"""Components of a symmetric tensor, the last three standing for two each."""

ORIENTED = (1.0, 1 / 3, 2 / 135)
"""Mean over orientations of |L exp(ik·r)|² of q = 1, μ = k⁻¹ and Θ:Θ = k⁻⁴, in powers of k²."""

Number = TypeVar("Number", float, Array)

TOLERANCE = 1e-5
"""Of a quadrupole's largest component, by which it may miss being symmetric and traceless; taken out afterwards."""


@dataclass(frozen=True)
class Moments:
    """Charges, dipoles and quadrupoles of sources, channel by channel."""

    charges: Tensor  # (sources, channels), e
    dipoles: Tensor | None = None  # (sources, channels, 3), e·Å; there where quadrupoles are
    quadrupoles: Tensor | None = None  # (sources, channels, 3, 3), Θ/3, e·Å²

    @property
    def rank(self) -> int:
        """0 for charges alone, 1 with dipoles, 2 with quadrupoles."""
        return 2 if self.quadrupoles is not None else int(self.dipoles is not None)

    def at(self, places: Tensor) -> "Moments":
        """Take the moments of some sources; differentiable."""
        dipoles, quadrupoles = (
            None if x is None else x.index_select(0, places) for x in (self.dipoles, self.quadrupoles)
        )
        return Moments(self.charges.index_select(0, places), dipoles, quadrupoles)

    def columns(self, frame: Tensor | None = None, rows: slice = slice(None)) -> Tensor:
        """Coefficients of 1, ∂ and ∂∂ (as in SYMMETRIC) by r, or by r @ frame: ``(sources, 1, 4 or 10, channels)``."""
        found = [self.charges[rows].unsqueeze(1)]
        if self.dipoles is not None:
            dipoles = self.dipoles[rows] if frame is None else self.dipoles[rows] @ frame
            found.append(dipoles.transpose(1, 2))
        if self.quadrupoles is not None:
            tensor = self.quadrupoles[rows] if frame is None else frame.T @ self.quadrupoles[rows] @ frame
            found.append(torch.stack([(1 if a == b else 2) * tensor[..., a, b] for a, b in SYMMETRIC], 1))
        return torch.cat(found, 1)

    def self_energy(self, rate: Tensor) -> Tensor:
        """½ L² erf(αr)/r at r = 0 of each dipole and quadrupole ``(sources, channels)`` in e²/Å, α ``(sources,)``."""
        total = torch.zeros_like(self.charges)
        lowest = (2 / math.sqrt(math.pi)) * rate.unsqueeze(1)
        steep = 2 * rate.square().unsqueeze(1)
        if self.dipoles is not None:
            total = total + lowest * steep / 6 * self.dipoles.square().sum(-1)
        if self.quadrupoles is not None:
            total = total + lowest * steep.square() / 5 * self.quadrupoles.square().sum((-1, -2))
        return total


def steepened(k: Number, density: Number, rank: int) -> Number:
    """Errors at k (1/Å) of moments up to ``rank``, each over its own scale, in units of those of charges; the largest.

    The scales are K⟨q²⟩ρ^(2/3), K⟨μ²⟩ρ^(4/3) and K⟨Θ:Θ⟩ρ², for a density ρ in 1/Å³.
    """
    factors = [share * (k * density ** (-1 / 3)) ** (2 * rank) for rank, share in enumerate(ORIENTED[: rank + 1])]
    largest: Number = reduce(np.maximum, factors)
    return largest


def refuse_wrong_dipoles(dipoles: Tensor | None, count: int) -> None:
    """Raise unless dipoles are finite and ``(count, 3)`` or ``(count, channels, 3)``."""
    if dipoles is not None:
        _refuse_wrong("dipole", dipoles, count, (3,))


def refuse_wrong_quadrupoles(quadrupoles: Tensor | None, count: int) -> None:
    """Raise unless quadrupoles are finite, ``(count, 3, 3)`` or ``(count, channels, 3, 3)``, symmetric, traceless."""
    if quadrupoles is None:
        return
    _refuse_wrong("quadrupole", quadrupoles, count, (3, 3))
    tensors = quadrupoles.detach().reshape(count, -1, 3, 3)
    allowed = TOLERANCE * tensors.abs().amax((-1, -2))
    skew = (tensors - tensors.transpose(-1, -2)).abs().amax((-1, -2))
    trace = tensors.diagonal(dim1=-2, dim2=-1).sum(-1)
    for what, wrong, cure in (
        ("symmetric", skew > allowed, "(Θ + Θᵀ)/2"),
        ("traceless", trace.abs() > allowed, "Θ_ab = ½ Σ q (3 r_a r_b - r² δ_ab)"),
    ):
        if wrong.any():
            where = int(wrong.any(1).nonzero()[0])
            value = quadrupoles[where].tolist()
            raise InputError(f"the quadrupole of source {where} is {value}, which is not {what}: give {cure}")


def refuse_unlike_channels(charges: Tensor | None, dipoles: Tensor | None, quadrupoles: Tensor | None) -> None:
    """Raise unless all that were given have the same channels, or none."""
    given = {"charges": (charges, 1), "dipoles": (dipoles, 2), "quadrupoles": (quadrupoles, 3)}
    found = {
        name: value.shape[1] if value.ndim > bare else "no axis of"
        for name, (value, bare) in given.items()
        if value is not None
    }
    if len(set(found.values())) > 1:
        told = ", ".join(f"{name} have {number} channels" for name, number in found.items())
        raise InputError(f"charges, dipoles and quadrupoles must have the same channels; {told}")


def traceless(quadrupoles: Tensor) -> Tensor:
    """Θ to Q = Θ/3, its rounding in trace and symmetry taken out; differentiable."""
    symmetric = (quadrupoles + quadrupoles.transpose(-1, -2)) / 6
    trace = symmetric.diagonal(dim1=-2, dim2=-1).sum(-1)
    eye = torch.eye(3, dtype=symmetric.dtype, device=symmetric.device)
    return symmetric - trace[..., None, None] / 3 * eye


def _refuse_wrong(name: str, values: Tensor, count: int, axes: tuple[int, ...]) -> None:
    if not isinstance(values, Tensor):
        raise InputError(f"{name}s should be a torch tensor, not {type(values).__name__}: torch.as_tensor({name}s)")
    rank, shape = len(axes), tuple(values.shape)
    if values.ndim not in (rank + 1, rank + 2) or shape[0] != count or shape[-rank:] != axes:
        end = ", ".join(map(str, axes))
        raise InputError(f"{name}s have shape {shape}, expected ({count}, {end}) or ({count}, channels, {end})")
    finite = torch.isfinite(values.detach())
    if not finite.all():
        where = int((~finite).reshape(count, -1).any(1).nonzero()[0])
        raise InputError(f"the {name} of source {where} is {values[where].tolist()}; {name}s must be finite")
