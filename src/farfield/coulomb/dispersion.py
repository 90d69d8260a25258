"""Dispersion 1/r⁶ without a cutoff, summed as 1/r is (Williams 1971; Essmann et al., J. Chem. Phys. 103, 8577 (1995)).

    E = -½ Σ' c_i c_j/r⁶  =  -½ Σ' c_i c_j g(αr)/r⁶  -  (1/2V) Σ_k W(k) |S_k|²  +  (α⁶/12) Σ c²

    g(a) = (1 + a² + a⁴/2) exp(-a²),    W = (π^(3/2)α³/3) [(1 - 2b²) exp(-b²) + 2√π b³ erfc b],    b = k/2α

k = 0 counts: it is the mean field of everything beyond. With t = α·cutoff = k_max/(2α), random coefficients leave out
of either half the same rms force, and both together, over ⟨c²⟩ρ^(7/3),

    error = √(2π/t) α^(11/2) ρ^(-11/6) exp(-t²)
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from farfield.coulomb.padding import Padding
from farfield.coulomb.plan.box import box_of
from farfield.coulomb.plan.methods import Part, join, parts
from farfield.coulomb.plan.plan import PAIR_COST, SAFETY, Plan, half_of_waves
from farfield.coulomb.sources import PlacedSources, on_atoms
from farfield.coulomb.sums.pairs import all_pairs, half_pairs, refuse_coincident
from farfield.coulomb.sums.structure_factors import spread
from farfield.coulomb.terms.waves import plane_waves, wave_vectors
from farfield.errors import InputError
from farfield.system import System, per_system

SMALLEST_DEPTH = 1.5
"""t below which the bounds do not hold."""


@dataclass(frozen=True)
class Dispersion:
    """-C₆/r⁶ between all atoms and all their images, of coefficients that combine as C₆,ij = c_i c_j.

    Crystals and molecules, in one batch; undamped: what a model wants damped at short range it adds pair by pair.

    Args:
        error: rms force error over ⟨c²⟩(N/V)^(7/3), 1e-2 to 1e-10.

    Raises:
        InputError: an error outside that.
    """

    error: float = 1e-5

    def __post_init__(self) -> None:
        if not 1e-10 <= self.error <= 1e-2:
            raise InputError(f"Dispersion(error={self.error}): the error asked must lie in 1e-10 to 1e-2")

    def energy(self, system: System, coefficients: Tensor) -> Tensor:
        """Energy ``(systems,)`` or ``(systems, channels)`` in eV; differentiable to any order.

        Args:
            system: crystals (T T T) and molecules (F F F).
            coefficients: c = √C₆ ``(atoms,)`` or ``(atoms, channels)``, in eV^½·Å³.

        Raises:
            InputError: coefficients that do not fit or are not finite, slabs and wires, atoms on top of each other.
        """
        placed = on_atoms(system, coefficients, None)
        axes = system.periodic.sum(1)
        partly = ((axes > 0) & (axes < 3)).nonzero().squeeze(1)
        if len(partly):
            k = int(partly[0])
            raise InputError(
                f"structure {k} is periodic along {system.periodic[k].tolist()}: Dispersion sums crystals (T T T) and "
                "molecules (F F F); give a slab vacuum and make it a crystal"
            )
        pieces = [(part, self._of(part)) for part in parts(placed, "auto", dense=True)]
        energy = join(pieces, system.n_systems, lambda part: part.systems)
        return energy if coefficients.ndim == 2 else energy.squeeze(1)

    def _of(self, part: Part) -> Tensor:
        return _open(part.placed) if part.kind == "direct" else _periodic(part.placed, _plan(part.placed, self.error))


def _open(placed: PlacedSources) -> Tensor:
    system = placed.system
    i, j = all_pairs(Padding.of(system))
    squared = (system.positions.index_select(0, j) - system.positions.index_select(0, i)).square().sum(-1)
    refuse_coincident(placed, squared.detach(), i, j)
    return _summed(placed, -squared.pow(-3), i, j)


def _periodic(placed: PlacedSources, plan: Plan) -> Tensor:
    system, padding = placed.system, Padding.of(placed.system)
    pairs = half_pairs(placed, plan.cutoff)
    a = pairs.squared * plan.splitting.square()[system.system_index[pairs.i]]
    pair_part = _summed(placed, -(1 + a + 0.5 * a.square()) * torch.exp(-a) * pairs.squared.pow(-3), pairs.i, pairs.j)
    phases, waves = plane_waves(system, padding, plan)
    cosine, sine = spread(phases, padding.pad(placed.charges), waves)
    alpha = plan.splitting.unsqueeze(1)
    squared = wave_vectors(system, plan).square().sum(-1) / (4 * alpha.square())
    zero = squared == 0
    b = torch.where(zero, 1.0, squared).sqrt()  # the root has no slope at zero
    bracket = (1 - 2 * b.square()) * torch.exp(-b.square()) + 2 * math.sqrt(math.pi) * b**3 * torch.erfc(b)
    form = math.pi**1.5 / 3 * alpha**3 * torch.where(zero, 1.0, bracket)
    weight = plan.multiplicity * form / (2 * system.volume().unsqueeze(1))
    wave_part = (weight.unsqueeze(1) @ (cosine.square() + sine.square())).squeeze(1)
    energy: Tensor = pair_part - wave_part + alpha**6 / 12 * per_system(placed.charges.square(), system)
    return energy


def _summed(placed: PlacedSources, kernel: Tensor, i: Tensor, j: Tensor) -> Tensor:
    products = placed.charges.index_select(0, i) * placed.charges.index_select(0, j) * kernel.unsqueeze(1)
    total = placed.charges.new_zeros(placed.system.n_systems, placed.charges.shape[1])
    return total.index_add(0, placed.system.system_index[i], products)


def _plan(placed: PlacedSources, error: float) -> Plan:
    system, box = placed.system, box_of(placed.system)
    count, volume = np.maximum(system.atoms_per_system.cpu().numpy(), 1), box.volume
    alpha = (2 * math.pi**3 * PAIR_COST * count / volume**2) ** (1 / 6)
    size = math.sqrt(2 * math.pi) * alpha**5.5 * (count / volume) ** (-11 / 6)
    t = np.full_like(alpha, 3.0)
    for _ in range(12):
        t = np.sqrt(np.maximum(np.log(size / np.sqrt(t) / (SAFETY * error)), SMALLEST_DEPTH**2))
    indices, multiplicity = half_of_waves(box.frame, 2 * alpha * t, origin=True)
    expected = size / np.sqrt(t) * np.exp(-t * t)
    like = system.positions
    closed = np.zeros((len(count), 3))
    columns = (alpha, t / alpha, indices, multiplicity, expected, np.zeros_like(box.frame), closed[:, 0], closed)
    moved = [torch.from_numpy(column).to(like) for column in columns]
    grids: tuple[None, ...] = (None,) * system.n_systems
    return Plan(moved[0], moved[1], moved[2], moved[3], moved[4], grids, moved[5], moved[6], moved[7])
