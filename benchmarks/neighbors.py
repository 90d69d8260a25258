"""Time of the neighbour search beside vesin's, CPU time on one thread; prints JSON: python benchmarks/neighbors.py."""

import json
import time
from collections.abc import Callable

import ase
import numpy as np
import torch
import vesin

from farfield.geometry.neighbors import find_neighbors
from farfield.system import System

CUTOFF = 9.5
SIZES = (100, 1000, 4096, 32768, 100_000)


def molten(atoms: int, density: float = 0.0446, frames: int = 1) -> System:
    """Atoms near the points of a cubic grid, at the density of rock salt in 1/Å³ unless another is given."""
    rng = np.random.default_rng(0)
    edge, side = (atoms / density) ** (1 / 3), int(np.ceil(atoms ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)[:atoms] * edge / side
    return System.from_ase(
        [
            ase.Atoms(
                numbers=np.ones(atoms), positions=grid + rng.normal(0, 0.1, grid.shape), cell=np.eye(3) * edge, pbc=True
            )
            for _ in range(frames)
        ]
    )


def search_with_vesin(system: System, cutoff: float, *, half: bool) -> None:
    """One system after the other, as vesin takes them, to tensors in the batch's numbers."""
    search = vesin.NeighborList(cutoff=cutoff, full_list=not half, sorted=True, n_threads=1)
    ends = system.atoms_per_system.cumsum(0).tolist()
    found = []
    for k, (start, end) in enumerate(zip([0, *ends], ends)):
        i, j, shift = search.compute(
            system.positions[start:end].numpy(), system.cell[k].numpy(), system.periodic[k].numpy(), "ijS"
        )
        found.append((i.astype(np.int64) + start, j.astype(np.int64) + start, shift.astype(np.float64)))
    [torch.from_numpy(np.concatenate(column)) for column in zip(*found)]


def microseconds(run: Callable[[], object], atoms: int) -> float:
    """Median of several, in µs per atom."""
    run()
    times = []
    for _ in range(5 if atoms > 10_000 else 15):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return round(1e6 * float(np.median(times)) / atoms, 3)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    cases = {f"{n} atoms, {CUTOFF} Å": (molten(n), CUTOFF) for n in SIZES}
    cases["32 x 100 atoms, 6 Å"] = (molten(100, 0.1, 32), 6.0)
    cases["20 atoms, 5 Å"] = (molten(20, 0.1), 5.0)
    table = {}
    for name, (system, cutoff) in cases.items():
        table[name] = {
            f"{who}, {'half' if half else 'full'}, µs/atom": microseconds(
                lambda: search(system, cutoff, half=half),  # noqa: B023
                system.n_atoms,
            )
            for half in (False, True)
            for who, search in (("farfield", find_neighbors), ("vesin", search_with_vesin))
        }
    print(json.dumps(table, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
