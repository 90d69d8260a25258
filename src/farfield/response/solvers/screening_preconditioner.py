"""An approximate inverse of hardness + Coulomb matrix that knows how charges screen each other over long distances.

With D the diagonal and Φ the plane waves that are long to the atoms, the matrix is about D + Φ Λ Φᵀ, Λ the kernel
(4πK/V) exp(-k²σ²)/k² of Gaussians. Waves at atoms that are spread evenly are nearly orthogonal, ΦᵀD⁻¹Φ ≈ s 1 with
s = Σ 1/D, so that by Woodbury's identity the inverse is about

    D⁻¹ - D⁻¹ Φ (Λ⁻¹ + s)⁻¹ Φᵀ D⁻¹

which is applied by a mesh as coarse as the atoms are apart. In an uneven density s is that around each atom, and its
root stands on either side: D⁻¹ - D⁻¹ s^(-½) Φ (1 + 1/(Λ⟨s⟩))⁻¹ Φᵀ s^(-½) D⁻¹, which stays positive definite. The
matrix's range of eigenvalues, which grows as the square of the length of the cell, is cut to that of a few neighbours:
ten steps of conjugate gradients, whether there are a thousand atoms or a hundred thousand.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from farfield.coulomb.plan.box import box_of
from farfield.coulomb.sums.splines import CHARGES, gather, spread
from farfield.system import System
from farfield.units import COULOMB

SPLINE = 4
"""Order of the splines: the inverse is a rough one."""

FLOOR = 0.9
"""Of s at surfaces, in units of its mean: what is left of the waves there overlaps, and s must not be too small."""

SPACING = 1.0
"""Of the mesh, in units of the distance ρ^(-1/3) between atoms."""

SMOOTH_FROM = 300
"""Atoms from which a mesh in the preconditioner saves more than it costs."""

MOST_POINTS = 64
"""Of the mesh, an atom: sparser systems are mostly empty, and screen nothing."""


class ScreeningPreconditioner:
    """Preconditioner of one system of many atoms; made once, applied often."""

    def __init__(self, system: System, diagonal: Tensor, variance: Tensor) -> None:
        """``diagonal`` (atoms,) of the matrix, V/e, and σ² (atoms,) of the charges, Å²."""
        box = box_of(system)
        count, volume = system.n_atoms, float(box.volume[0])
        apart = (volume / count) ** (1 / 3)
        lengths = box.extents[0] + 4 * apart
        cell = system.positions.new_tensor(box.frame[0])
        cell = torch.where(torch.from_numpy(box.open[0])[:, None], cell * cell.new_tensor(lengths)[:, None], cell)
        sides = torch.linalg.vector_norm(cell, dim=1).tolist()
        self._shape = [2 * math.ceil(side / (2 * SPACING * apart)) for side in sides]
        self._over = 1 / diagonal
        self._weight: Tensor | None = None
        if math.prod(self._shape) > MOST_POINTS * (count + 8):
            return
        self._fractional = system.positions.detach() @ torch.linalg.inv(cell)
        squared, overlap = _waves(cell, self._shape)
        volume = float(torch.linalg.det(cell).abs())
        shortest = (6 * math.pi**2 * count / volume) ** (1 / 3)  # as many waves are longer as there are atoms
        blur = torch.exp(-4 * squared / shortest**2) / overlap
        density = self._smoothed(self._over, blur)  # s around each atom
        self._root = density.clamp_min(FLOOR * float(density.mean())).rsqrt()
        kernel = 4 * math.pi * COULOMB / volume * torch.exp(-squared * variance.mean() - (squared / shortest**2) ** 2)
        inverse = torch.where(squared > 0, squared.clamp_min(1e-12) / kernel.clamp_min(1e-300), torch.inf)
        self._weight = 1 / ((1 + inverse / density.mean()) * overlap)

    def __call__(self, residual: Tensor) -> Tensor:
        """Charges ``(atoms,)`` in e whose potential is about the residual ``(atoms,)`` in V."""
        return self._over * (residual - self.screening(self._over * residual))

    def screening(self, charges: Tensor) -> Tensor:
        """The potential ``(atoms,)`` in V that long waves screen, where charges ``(atoms,)`` answer one by one."""
        if self._weight is None:
            return torch.zeros_like(charges)
        return self._root * self._smoothed(self._root * charges, self._weight)

    def _smoothed(self, values: Tensor, weight: Tensor) -> Tensor:
        """Φ weight Φᵀ values."""
        moments = values[:, None, None]
        mesh = spread(self._fractional, moments, CHARGES, shape=self._shape, spline=SPLINE)
        axes = (1, 2, 3)
        mesh = torch.fft.irfftn(torch.fft.rfftn(mesh, dim=axes) * weight, s=self._shape, dim=axes, norm="forward")
        return gather(self._fractional, mesh, CHARGES, spline=SPLINE)[:, 0, 0]


class ScreeningPreconditioners:
    """The smooth inverse of every system of a batch that is large enough, the diagonal of the others."""

    def __init__(self, system: System, diagonal: Tensor, variance: Tensor) -> None:
        """``diagonal`` and ``variance`` ``(atoms,)``, as of one system."""
        self._over = 1 / diagonal
        self._large: list[tuple[slice, ScreeningPreconditioner]] = []
        alone = replace(system, neighbors=None)
        for k in (system.atoms_per_system >= SMOOTH_FROM).nonzero().squeeze(1):
            one, places = alone.select(k[None])
            rows = slice(int(places[0]), int(places[-1]) + 1)
            self._large.append((rows, ScreeningPreconditioner(one, diagonal[rows], variance[rows])))

    def __call__(self, residual: Tensor) -> Tensor:
        """Charges ``(atoms,)`` in e whose potential is about the residual ``(atoms,)`` in V."""
        return self._over * (residual - self.screening(self._over * residual))

    def screening(self, charges: Tensor) -> Tensor:
        """The potential ``(atoms,)`` in V that long waves screen, where charges ``(atoms,)`` answer one by one."""
        found = torch.zeros_like(charges)
        for rows, inverse in self._large:
            found[rows] = inverse.screening(charges[rows])
        return found


def _waves(cell: Tensor, shape: list[int]) -> tuple[Tensor, Tensor]:
    """k² in 1/Å², and Σ U² over all waves that look alike on the mesh, each ``(a, b, c // 2 + 1)``."""
    ends = (torch.fft.fftfreq, torch.fft.fftfreq, torch.fft.rfftfreq)
    parts = [end(points, dtype=cell.dtype) for end, points in zip(ends, shape)]
    overlap = torch.ones((), dtype=cell.dtype)
    for axis, wave in enumerate(parts):
        alike = sum(torch.sinc(wave + m) ** (2 * SPLINE) for m in range(-3, 4))
        overlap = overlap * torch.as_tensor(alike).reshape([-1 if a == axis else 1 for a in range(3)])
    numbers = torch.stack(torch.meshgrid(*(part * n for part, n in zip(parts, shape)), indexing="ij"), -1)
    waves = numbers @ (2 * math.pi * torch.linalg.inv(cell).T)
    return waves.square().sum(-1), overlap
