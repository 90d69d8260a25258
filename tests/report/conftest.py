"""Runs to look at: toy ions whose charges and screening are known, in pairs from contact to 14 Å."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from farfield.data.frame import Fragments, Frame, Labels
from farfield.evaluation import evaluate
from farfield.prediction import Prediction
from farfield.report import RunResult
from farfield.system import System, per_system
from farfield.units import COULOMB

ELEMENT_CHARGE = {1: 0.4, 6: -0.4, 7: -0.6, 8: -0.8, 17: -1.0, 19: 1.0}  # e


@dataclass(frozen=True)
class Ions:
    """Coulomb between fixed charges, exponential repulsion; seen wrongly in one of several ways."""

    scale: float = 1.0  # of all charges
    horizon: float = np.inf  # Å, beyond which nothing is felt
    noise: float = 0.0  # eV per atom
    gives: frozenset[str] = frozenset({"energy", "forces", "charges"})
    species: tuple[int, ...] = tuple(ELEMENT_CHARGE)

    def __call__(self, system: System, /, *, want: frozenset[str]) -> Prediction:
        positions = system.positions.clone().requires_grad_()
        charges = self.scale * conserved(system)
        same = system.system_index[:, None] == system.system_index[None]
        i, j = torch.nonzero(torch.triu(same, diagonal=1), as_tuple=True)
        distance = (positions[i] - positions[j]).norm(dim=1)
        felt = torch.exp(-((distance / self.horizon) ** 4))
        pair = felt * COULOMB * charges[i] * charges[j] / distance + 900 * torch.exp(-distance / 0.32)
        energy = torch.zeros(system.n_systems, dtype=torch.float64).index_add(0, system.system_index[i], pair)
        energy = energy + per_system(-10.0 * system.numbers.double(), system)
        forces = -torch.autograd.grad(energy.sum(), positions)[0] if len(i) else torch.zeros_like(positions)
        random = torch.Generator().manual_seed(system.n_atoms)
        energy = energy + self.noise * torch.randn(len(energy), generator=random, dtype=torch.float64)
        forces = forces + 3 * self.noise * torch.randn(forces.shape, generator=random, dtype=torch.float64)
        return Prediction(energy.detach(), forces=forces, charges=charges if "charges" in want else None)


def conserved(system: System) -> Tensor:
    """Charges of the elements, shifted evenly to the total charge."""
    q = torch.tensor([ELEMENT_CHARGE[z] for z in system.numbers.tolist()], dtype=torch.float64)
    spare = (system.charge - per_system(q, system)) / system.atoms_per_system
    return q + spare[system.system_index]


def labelled(system: System, *, group: str, distance: float, fragment: Tensor, fragment_charges: Tensor) -> Frame:
    """A frame with the labels of the exact ions."""
    exact = Ions()
    whole = exact(system, want=exact.gives)
    energies = []
    for k, charge in enumerate(fragment_charges):
        here = fragment == k
        alone = System(
            system.numbers[here], system.positions[here], system.cell, system.periodic, system.system_index[here],
            charge.reshape(1), system.spin,
        )  # fmt: skip
        energies.append(exact(alone, want=exact.gives).energy)
    labels = Labels(energy=whole.energy, forces=whole.forces, charges=whole.charges)
    return Frame(
        system, labels, "pairs.xyz", group, distance, Fragments(fragment, fragment_charges, torch.cat(energies))
    )


PAIRS = {
    "K+ Cl-": ([19], [17], 1.0),
    "K+ CN-": ([19], [6, 7], 1.0),
    "NH4+ H2O": ([7, 1, 1, 1, 1], [8, 1, 1], 1.0),
}


def pair(group: str, distance: float, rng: np.random.Generator) -> Frame:
    first, second, charge = PAIRS[group]
    parts = []
    for numbers in (first, second):
        directions = rng.normal(size=(len(numbers), 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        parts.append(directions * np.where(np.arange(len(numbers)) == 0, 0.0, 1.05)[:, None])
    parts[1] = parts[1] + [distance, 0, 0]
    other = {"K+ Cl-": -1.0, "K+ CN-": -1.0, "NH4+ H2O": 0.0}[group]
    system = System(
        torch.tensor(first + second), torch.tensor(np.concatenate(parts)), torch.zeros(1, 3, 3, dtype=torch.float64),
        torch.zeros(1, 3, dtype=torch.bool), torch.zeros(len(first + second), dtype=torch.int64),
        torch.tensor([charge + other], dtype=torch.float64), torch.zeros(1, dtype=torch.float64),
    )  # fmt: skip
    return labelled(
        system, group=group, distance=distance, fragment=torch.tensor([0] * len(first) + [1] * len(second)),
        fragment_charges=torch.tensor([charge, other], dtype=torch.float64),
    )  # fmt: skip


MODELS = {
    "short_range": Ions(horizon=5.0, noise=4e-3, gives=frozenset({"energy", "forces"})),
    "charges": Ions(scale=0.985, noise=2e-3),
    "latent": Ions(scale=1.003, noise=1e-3),
    "qeq": Ions(scale=0.94, noise=3e-3),
}


def run_of(name: str, frames: dict[str, list[Frame]], **more: object) -> RunResult:
    """What a training of one toy model might have handed over."""
    k = list(MODELS).index(name)
    history = []
    for epoch in range(1, 201):
        error = (1 + k) * 400 * epoch**-0.9 + 3 + k
        seconds = 0.4 * (1 + 0.3 * k) * epoch
        losses = {"train_loss": error**2 / 1e4, "valid_loss": error**2 / 8e3}
        judged = {"valid_energy_rmse": error, "valid_forces_rmse": 6 * error}
        history.append({"epoch": epoch, "seconds": seconds, "learning_rate": 1e-3, **losses, **judged})
    return RunResult(
        name=name,
        evaluations={split: evaluate(MODELS[name], found) for split, found in frames.items()},
        config={"data": {"train": "pairs.xyz", "energy": "energy"}, "model": {"paradigm": {"kind": name}}},
        history=history,
        parameters=41_000 + 900 * k,
        train_seconds=80.0 + 24 * k,
        versions={"farfield": "0.1.0", "torch": torch.__version__},
        **more,
    )


@pytest.fixture(scope="session")
def frames() -> dict[str, list[Frame]]:
    rng = np.random.default_rng(5)
    near = {g: [pair(g, d, rng) for d in np.linspace(2.6, 7.5, 14)] for g in PAIRS}
    far = {g: [pair(g, d, rng) for d in np.linspace(8.0, 14.0, 6)] for g in PAIRS}
    return {
        "train": [f for found in near.values() for f in found[::2]],
        "valid": [f for found in near.values() for f in found[1::4]],
        "test": [f for g in PAIRS for f in near[g][3::4] + far[g]],
    }


@pytest.fixture(scope="session")
def runs(frames) -> list[RunResult]:
    notes = {"qeq": ["a charge of 0.06 e was shifted away in the worst frame"]}
    return [run_of(name, frames, notes=notes.get(name, [])) for name in MODELS]
