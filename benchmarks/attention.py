"""What attention between all atoms costs: energies and forces of one layer, against the number of atoms.

    python benchmarks/attention.py [--most 8000]

One thread, float32, 8 heads of 2 × 4, range 16 Å. Atoms stand at random: in a ball of 20 Å however many they are (the
same waves for all), in balls of one density, and in cubic cells of one density.
"""

import argparse
import time
from collections.abc import Callable

import ase
import numpy as np
import torch

from farfield.backbone.linear import UnitLinear
from farfield.paradigms.attention import sums
from farfield.system import System

SPAN, COUNT, HEADS, COLUMNS = torch.tensor(16.0), 8, 8, 8
DENSITY = 0.08
"""Atoms per Å³."""


def main() -> None:
    """Print seconds and microseconds an atom."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=8000)
    most = parser.parse_args().most
    torch.set_num_threads(1)
    print("| atoms | ball of 20 Å, waves | ball of one density, pairs | the same, waves | crystal |")
    print("|---|---|---|---|---|")
    atoms = 500
    while atoms <= most:
        small, grown, cell = ball(atoms, 20.0), ball(atoms, (atoms / DENSITY * 3 / 4 / np.pi) ** (1 / 3)), cube(atoms)
        told = [
            timed(sums._on_shells, small),
            timed(sums.Paired.of, grown) if atoms <= 4000 else float("nan"),
            timed(sums._on_shells, grown),
            timed(sums._on_lattice, cell),
        ]
        print(
            f"| {atoms} |" + "|".join(f" {each:.2f} s, {1e6 * each / atoms:.0f} µs " for each in told) + "|", flush=True
        )
        atoms *= 2


def ball(atoms: int, radius: float) -> System:
    """Atoms in a ball, of which two stand at the ends of a diameter."""
    rng = np.random.default_rng(0)
    places = rng.normal(size=(atoms, 3))
    places *= (radius * rng.uniform(size=atoms) ** (1 / 3) / np.linalg.norm(places, axis=1))[:, None]
    places[:2] = [[radius, 0, 0], [-radius, 0, 0]]
    return System.from_ase(ase.Atoms(f"H{atoms}", places), dtype=torch.float32)


def cube(atoms: int) -> System:
    """Atoms in a periodic cube."""
    edge = (atoms / DENSITY) ** (1 / 3)
    places = np.random.default_rng(0).uniform(size=(atoms, 3)) * edge
    return System.from_ase(ase.Atoms(f"H{atoms}", places, cell=[edge] * 3, pbc=True), dtype=torch.float32)


def timed(prepared: Callable[[System, torch.Tensor, int], sums.Others], system: System) -> float:
    """Seconds of a sum and its slope by the positions."""
    mixture = UnitLinear(COUNT, HEADS).float()
    columns = torch.randn(system.n_atoms, HEADS, COLUMNS)
    started = time.process_time()
    positions = system.positions.requires_grad_()
    found = prepared(system.with_positions(positions), SPAN, COUNT).sum(columns, mixture)
    torch.autograd.grad(found.square().sum(), positions)
    return time.process_time() - started


if __name__ == "__main__":
    main()
