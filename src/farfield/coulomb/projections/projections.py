"""Projections of a potential on Gaussian orbitals around every atom (LODE: Grisafi & Ceriotti, JCP 151, 204105 (2019)).

    V_nlm(i) = ∫ g_n(r) (r/σ_n)^l C_lm(r̂) φ(R_i + r) dr,    g_n(r) = exp(-r²/2σ_n²)/(2πσ_n²)^(3/2)

φ is what Gaussian charges of width s_j make, all of them and all images but for the atom's own; C_lm are in Racah's
normalisation. As (r/σ)^l C_lm g is σ^l C_lm(-∇) g, the integral is a derivative of what Gaussians do to each other:

    V_nlm(i) = σ_n^l C_lm(∇) Σ_j q_j v(|R_i - R_j|; s_n),    s_n² = s_j² + σ_n²

no quadrature, nothing pointlike: pairs in open space, waves or a mesh alone where there is a lattice. The multipoles
that would sit at i feel just this, in every periodicity.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from farfield.coulomb.functions.harmonics import solid_harmonics
from farfield.coulomb.plan.methods import Part, join, parts
from farfield.coulomb.projections.direct import by_pairs
from farfield.coulomb.projections.kernels import KERNELS, SmoothKernel
from farfield.coulomb.projections.mesh import by_mesh
from farfield.coulomb.projections.waves import by_waves
from farfield.coulomb.sources import on_atoms
from farfield.errors import InputError
from farfield.system import System

Kernel = Literal["coulomb", "density", "dispersion"]


@dataclass(frozen=True)
class Projections:
    """Projections of what charges make on orbitals around all atoms; all periodicities in one batch.

    Charged crystals have the point neutralising background, along open axes there are no images, as in ``Coulomb``. Far
    from all charges a Coulomb potential is harmonic, and V_nlm/σ_n^l the same for every n: widths tell apart what is
    near.

    Args:
        widths: σ_n, Å.
        source_width: s_j of all charges, Å; with σ_n it says how far waves reach.
        order: highest l, 0 to 3.
        kernel: "coulomb" the potential, e/Å; "density" the charge density itself, e/Å³; "dispersion" 1/r⁶, e/Å⁶ (of
            crystals and molecules; the radial functions then are Gaussians only nearly).
        error: part of a charge's own V_n00 by which V may be wrong, about (threefold for l = 2); 1e-10 to 1e-2.

    Raises:
        InputError: no width, one that is not positive, an order, a kernel or an error it does not have.
    """

    widths: tuple[float, ...]
    source_width: float
    order: int = 2
    kernel: Kernel = "coulomb"
    error: float = 1e-5

    def __post_init__(self) -> None:
        if not self.widths or not all(0 < width < math.inf for width in (*self.widths, self.source_width)):
            raise InputError(f"Projections need widths greater than zero, not {self.widths} and {self.source_width}")
        if self.order not in range(4):
            raise InputError(f"Projections(order={self.order}): the highest order is 0, 1, 2 or 3")
        if self.kernel not in get_args(Kernel):
            raise InputError(f"Projections(kernel={self.kernel!r}): there are {', '.join(get_args(Kernel))}")
        if not 1e-10 <= self.error <= 1e-2:
            raise InputError(f"Projections(error={self.error}): the error asked must lie in 1e-10 to 1e-2")

    @property
    def pair_widths(self) -> tuple[float, ...]:
        """s_n, Å."""
        return tuple(math.hypot(width, self.source_width) for width in self.widths)

    @property
    def own(self) -> tuple[float, ...]:
        """V_n00 that a unit charge would make at its own place, for every n."""
        return tuple(self._smooth.at_origin(width) for width in self.pair_widths)

    def at_atoms(self, system: System, charges: Tensor) -> Tensor:
        """Project what charges ``(atoms, channels)`` make: ``(atoms, widths, (order + 1)², channels)``; differentiable.

        Raises:
            InputError: charges that do not fit, atoms on top of each other, dispersion of a slab or a wire.
        """
        self.refuse_half_open(system)
        # multipoles, Gaussians of one width, feel this: the sizes from which a mesh pays are theirs
        placed = on_atoms(system, charges, self.source_width, charges.new_zeros(*charges.shape, 3))
        dense = self.kernel != "coulomb"  # meshes are the solver's
        chosen = list(parts(placed, "auto", dense=dense))
        found = []
        for width, pair_width in zip(self.widths, self.pair_widths):
            pieces = [(part, self._of(part, pair_width)) for part in chosen]
            found.append(self._scale(width, charges) * join(pieces, system.n_atoms, lambda part: part.places))
        return torch.stack(found, 1)

    def of_pairs(self, vector: Tensor) -> Tensor:
        """Project unit charges at ``vector`` (pairs, 3), Å: ``(pairs, widths, (order + 1)²)``; differentiable."""
        squared, harmonics = vector.square().sum(1), solid_harmonics(vector, self.order)
        found = []
        for width, pair_width in zip(self.widths, self.pair_widths):
            radial = self._smooth.orders(squared, pair_width, self.order)
            of_each = torch.stack([radial[n] for n in range(self.order + 1) for _ in range(2 * n + 1)], 1)
            found.append(harmonics * of_each * self._scale(width, vector).squeeze(1))
        return torch.stack(found, 1)

    @property
    def _smooth(self) -> SmoothKernel:
        return KERNELS[self.kernel]

    def _of(self, part: Part, width: float) -> Tensor:
        if part.kind == "direct":
            return by_pairs(part.placed, self._smooth, width, self.order)
        if part.kind == "mesh":
            summed = by_mesh(part.placed, width, self.order, self.error)
        else:
            summed = by_waves(part.placed, self._smooth, width, self.order, self.error)
        own = self._smooth.at_origin(width) * part.placed.charges.unsqueeze(1)
        return summed - torch.nn.functional.pad(own, (0, 0, 0, summed.shape[1] - 1))

    def _scale(self, width: float, like: Tensor) -> Tensor:
        """σ^l of every component ``((order + 1)², 1)``."""
        return like.new_tensor([[width**n] for n in range(self.order + 1) for _ in range(2 * n + 1)])

    def refuse_half_open(self, system: System) -> None:
        """Complain of slabs and wires, where the kernel is not summed in them.

        Raises:
            InputError: dispersion of a slab or a wire.
        """
        axes = system.periodic.sum(1)
        partly = ((axes > 0) & (axes < 3)).nonzero().squeeze(1)
        if len(partly) and not self._smooth.partly_periodic:
            k = int(partly[0])
            raise InputError(
                f"structure {k} is periodic along {system.periodic[k].tolist()}: {self.kernel} is summed in crystals "
                "(T T T) and molecules (F F F); give a slab vacuum and make it a crystal, or take coulomb or density"
            )
