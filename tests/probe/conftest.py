"""Ions whose physics is known in closed form, right or wrong in one way at a time."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from ase.build import bulk
from torch import Tensor

from farfield.coulomb import Coulomb
from farfield.errors import InputError
from farfield.geometry.neighbors import pairs_within
from farfield.prediction import Prediction
from farfield.probe import ModelSubject, Seen
from farfield.system import System, per_system
from farfield.units import COULOMB

CUTOFF = 8.0  # Å
# A (eV), σ (Å), C (eV Å⁶), D (eV Å⁸) of A exp((σ - r)/0.317) - C/r⁶ - D/r⁸: Fumi and Tosi, J. Phys. Chem. Solids 25, 31
# (1964), as in loto_lammps.py, whose 0 K lattice constant is 5.6165 Å and LO² - TO² tends to 71.59 THz².
BORN_MAYER_HUGGINS = {
    (11, 11): (0.263704, 2.340, 1.048577, 0.499322),
    (11, 17): (0.210963, 2.755, 6.990508, 8.675720),
    (17, 17): (0.158222, 3.170, 72.401687, 145.427523),
}


@dataclass(frozen=True)
class Born(Prediction):
    """A prediction with Born charges."""

    born_charges: Tensor | None = None  # (atoms, 3, 3) e


@dataclass(frozen=True)
class Ions:
    """Rigid-ion NaCl with a little charge handed from neighbour to neighbour, and the fault it was given."""

    fault: str = ""
    transfer: float = 0.0  # e
    gives: frozenset[str] = frozenset(
        {"energy", "forces", "stress", "charges", "dipole", "born_charges", "polarization"}
    )
    species: tuple[int, ...] = (11, 17)
    coulomb: Coulomb = field(default_factory=lambda: Coulomb(error=1e-7, method="ewald"))

    def __call__(self, system: System, /, *, want: frozenset[str]) -> Prediction:
        found = self._predict(system) if not want & {"forces", "stress"} else derived(self._predict, system)
        if self.fault == "no dq/dR" and "forces" in want:
            frozen = replace(self, fault="frozen charges")
            found = replace(found, forces=derived(frozen._predict, system).forces)
        if self.fault == "stress sign" and found.stress is not None:
            found = replace(found, stress=-found.stress)
        born = self._born_charges(system) if "born_charges" in want else None
        return Born(**{**vars(found), "born_charges": born})

    def _predict(self, system: System) -> Prediction:
        charges, _ = self._charges(system)
        if (per_system(charges.detach(), system) - system.charge).abs().max() > 1e-6:
            raise InputError("rigid ions carry the sum of their formal charges")
        felt = charges.detach() if self.fault == "frozen charges" else charges
        energy = self._short_range(system) + self._electrostatics(system, felt) + self._strange(system)
        dipole = per_system(charges[:, None] * system.positions, system)
        reported = charges + 1e-3 if self.fault == "not neutral" else charges
        return Prediction(energy=energy, charges=reported, dipole=dipole)

    def _charges(self, system: System) -> tuple[Tensor, Tensor]:
        """Charges, and the dipole along minimum images that they and their ions make."""
        formal = torch.where(system.numbers == 11, 1.0, -1.0).double()
        pairs = pairs_within(system, CUTOFF)
        near = torch.exp(-pairs.distance.square() / 8) * switched(pairs.distance)
        crowd = torch.zeros_like(formal).index_add(0, pairs.i, near)
        given = (
            self.transfer * (formal[pairs.j] - formal[pairs.i]) * near * (1 + 0.1 * (crowd[pairs.i] + crowd[pairs.j]))
        )
        dipole = (formal[:, None] * system.positions).sum(0) - 0.5 * (given[:, None] * pairs.vector).sum(0)
        return formal.index_add(0, pairs.i, given), dipole

    def _born_charges(self, system: System) -> Tensor:
        with torch.enable_grad():
            positions = system.positions.detach().requires_grad_()
            _, dipole = self._charges(replace(system, positions=positions))
            rows = [torch.autograd.grad(dipole[a], positions, retain_graph=True)[0] for a in range(3)]
        born = torch.stack(rows, dim=1)
        return born.transpose(1, 2) if self.fault == "swapped axes" else born

    def _short_range(self, system: System) -> Tensor:
        pairs = pairs_within(system, CUTOFF)
        first, second = (system.numbers[index] for index in (pairs.i, pairs.j))
        kind = (first == 17).long() + (second == 17).long()
        a, sigma, c, d = torch.tensor(list(BORN_MAYER_HUGGINS.values()), dtype=torch.float64)[kind].T
        r = pairs.distance
        energy = a * torch.exp((sigma - r) / 0.317) - c / r**6 - d / r**8
        if self.fault == "hard cutoff":
            energy = energy * (r < 6.0)
        if self.fault == "rotation":
            energy = energy + 1e-3 * torch.exp(-r.square() / 10) * (pairs.vector[:, 0] / r) ** 2
        atoms = torch.zeros(system.n_atoms, dtype=torch.float64).index_add(0, pairs.i, 0.5 * energy * switched(r))
        return per_system(atoms, system)

    def _strange(self, system: System) -> Tensor:
        """Small terms that no energy has."""
        nothing = torch.zeros(system.n_systems, dtype=torch.float64)
        if self.fault == "per cell":
            return 0.01 * system.atoms_per_system.double().sqrt()
        if self.fault == "permutation":
            return 1e-3 * per_system((torch.arange(system.n_atoms) % 2).double() * system.numbers, system)
        if self.fault == "origin":
            return nothing + 1e-3 * per_system(torch.sin(system.positions[:, 0]), system)
        if self.fault == "mirror":
            return nothing + 0.1 * self._handedness(system)
        return nothing

    def _handedness(self, system: System) -> Tensor:
        """Σᵢ (a × b)·c of three differently weighted sums of neighbours' directions."""
        pairs = pairs_within(system, CUTOFF)
        weights = [torch.exp(-(pairs.distance.square() + k * pairs.distance) / 8) for k in (0, 2)]
        weights.append(weights[0] * (system.numbers[pairs.j] == 11))
        zero, near = torch.zeros_like(system.positions), pairs.vector * switched(pairs.distance)[:, None]
        a, b, c = (zero.index_add(0, pairs.i, weight[:, None] * near) for weight in weights)
        return per_system((torch.linalg.cross(a, b) * c).sum(1), system)

    def _electrostatics(self, system: System, charges: Tensor) -> Tensor:
        if self.fault == "cut off":
            pairs = pairs_within(system, CUTOFF)
            pair = charges[pairs.i] * charges[pairs.j] * torch.erfc(0.2 * pairs.distance) / pairs.distance
            atoms = torch.zeros_like(charges).index_add(0, pairs.i, 0.5 * COULOMB * pair * switched(pairs.distance))
            return per_system(atoms, system)
        energy = self.coulomb.energy(system, charges=charges)
        if self.fault == "hard k cutoff":
            energy = energy - torch.stack([_waves_beyond(system, charges, k) for k in range(system.n_systems)])
        return 0.5 * energy if self.fault == "half" else energy


def derived(predict, system: System) -> Prediction:
    """With forces -dE/dR, and the stress (1/V) dE/dε of crystals."""
    with torch.enable_grad():
        positions = system.positions.detach().requires_grad_()
        strain = torch.zeros_like(system.cell).requires_grad_()
        found = predict(replace(system, positions=positions).strained(strain))
        by_position, by_strain = torch.autograd.grad(found.energy.sum(), [positions, strain], allow_unused=True)
    forces = torch.zeros_like(positions) if by_position is None else -by_position
    volume = torch.where(system.periodic.all(1), system.volume(), torch.nan)[:, None, None]
    return replace(found, forces=forces, stress=0.5 * (by_strain + by_strain.transpose(1, 2)) / volume)


def switched(distance: Tensor) -> Tensor:
    """1 up to 7 Å, 0 from 8 Å on, twice differentiable."""
    x = (distance - 7.0).clamp(0, 1)
    return 1 - x**3 * (10 - 15 * x + 6 * x**2)


def _waves_beyond(system: System, charges: Tensor, k: int, *, cutoff: float = 3.63, alpha: float = 0.585) -> Tensor:
    """What an Ewald sum leaves out that stops at a hard ``cutoff`` (1/Å); later than twice it nothing is left."""
    if not bool(system.periodic[k].all()):
        return charges.new_zeros(())
    mine = system.system_index == k
    cell = system.cell[k]
    basis = 2 * math.pi * torch.linalg.inv(cell).T
    most = [math.ceil(2 * cutoff * float(row.detach().norm()) / (2 * math.pi)) for row in cell]
    integers = torch.cartesian_prod(*[torch.arange(-n, n + 1, dtype=torch.float64) for n in most])
    waves = integers @ basis
    length = waves.norm(dim=1)
    waves = waves[(length > cutoff) & (length < 2 * cutoff)]
    square = waves.square().sum(1)
    phase = waves @ system.positions[mine].T
    structure = (charges[mine] * torch.cos(phase)).sum(1) ** 2 + (charges[mine] * torch.sin(phase)).sum(1) ** 2
    weight = torch.exp(-square / (4 * alpha**2)) / square
    return 2 * math.pi * COULOMB / torch.linalg.det(cell).abs() * (weight * structure).sum()


@dataclass(frozen=True, eq=False)
class InField(ModelSubject):
    """With the forces that a field exerts through the Born charges."""

    takes_field: bool = True

    def __call__(self, frames, want):
        out: list[Seen] = []
        for frame in frames:
            plain = frame.copy()
            acting = np.asarray(plain.info.pop("external_field", np.zeros(3)))
            (seen,) = ModelSubject.__call__(self, [plain], frozenset({*want, "born_charges"}))
            forces = None if seen.forces is None else seen.forces + np.einsum("a,nab->nb", acting, seen.born_charges)
            out.append(replace(seen, forces=forces))
        return out


@pytest.fixture(scope="session")
def ions():
    """``ions(fault, transfer)`` on trial."""

    def make(fault: str = "", transfer: float = 0.001, **more: object) -> ModelSubject:
        return ModelSubject(Ions(fault, transfer, **more), fault or "ions", reach=CUTOFF, cutoff=CUTOFF)

    return make


@pytest.fixture(scope="session")
def in_field():
    """The same, with a field that acts."""

    def make(fault: str = "", transfer: float = 0.001) -> InField:
        return InField(Ions(fault, transfer), fault or "ions", reach=CUTOFF, cutoff=CUTOFF)

    return make


@pytest.fixture(scope="session")
def melt():
    """Sixteen ions of a rattled crystal, a user's structure."""
    atoms = bulk("NaCl", "rocksalt", a=5.7, cubic=True).repeat((2, 1, 1))
    atoms.rattle(0.2, seed=3)
    return atoms
