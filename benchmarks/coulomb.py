"""Time of the Coulomb sum in a training step, one thread; prints JSON: python benchmarks/coulomb.py."""

import json
import time
from collections.abc import Callable

import ase
import numpy as np
import torch
from torch import Tensor

from farfield.coulomb import Coulomb
from farfield.geometry.neighbors import with_neighbors
from farfield.system import System


def melt(frames: int, atoms: int, *, density: float = 0.1, periodic: bool = True) -> System:
    """Random atoms at a liquid's density, in 1/Å³."""
    rng = np.random.default_rng(0)
    edge = (atoms / density) ** (1 / 3)
    side = int(np.ceil(atoms ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3), -1).reshape(-1, 3) * edge / side
    structures = []
    for _ in range(frames):
        places = rng.permutation(grid)[:atoms] + rng.uniform(-0.2, 0.2, (atoms, 3))
        structures.append(ase.Atoms(f"H{atoms}", positions=places, cell=np.eye(3) * edge * periodic, pbc=periodic))
    return System.from_ase(structures)


def step(coulomb: Coulomb, system: System, charges: Tensor, *, twice: bool, width: float | None) -> None:
    """Energy, dE/dr, dE/dq, and the gradient of a loss on the forces."""
    positions = system.positions.detach().requires_grad_()
    charges = charges.detach().requires_grad_()
    moved = System(**{**vars(system), "positions": positions})
    energy = coulomb.energy(moved, charges=charges, widths=width)
    slopes = torch.autograd.grad(energy.sum(), (positions, charges), create_graph=twice)
    if twice:
        torch.autograd.grad(sum(slope.square().sum() for slope in slopes), (positions, charges))


def milliseconds(run: Callable[[], None], repeats: int) -> float:
    """Fastest of several."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    coulomb, found = Coulomb(error=1e-4), {}
    for name, frames, atoms, periodic in (("32x100 periodic", 32, 100, True), ("16x8 open", 16, 8, False)):
        system = melt(frames, atoms, periodic=periodic)
        charges = torch.randn(system.n_atoms, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        attached = with_neighbors(system, max(coulomb.reach(system), 1.0)) if periodic else system
        for case, batch, width in (("", system, None), (", pairs known", attached, None), (", width 0.7", system, 0.7)):
            for twice in (False, True):
                time_taken = milliseconds(lambda: step(coulomb, batch, charges, twice=twice, width=width), 7)  # noqa: B023
                found[f"{name}{case}, {'double backward' if twice else 'E, dE/dr, dE/dq'}"] = {
                    "ms": round(time_taken, 3),
                    "frames/s": round(frames / time_taken * 1e3),
                }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
