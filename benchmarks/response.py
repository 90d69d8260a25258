"""What charges and dipoles that answer cost: training steps beside those of a short-range model, and 20,000 ions.

    python benchmarks/response.py step [--frames FRAMES.xyz] [--cells 3 3 3] [--preset fast default] [--batch 1 4]
    python benchmarks/response.py iterate [--cells 14 14 13] [--steps 8]

Both write JSON into results/response; one thread. Without frames ``step`` takes displaced rock salt. Steps
of all kinds are timed in turn, each after one of its own, in one process; each ratio is a median of ratios to the step
beside it.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.build
import ase.calculators.singlepoint
import ase.io
import numpy as np
import torch
from backbone import machine

RESULTS = Path(__file__).parent / "results" / "response"
WIDTHS = {11: 1.66, 17: 1.02}
"""Å, covalent radii."""


def salt(cells: tuple[int, int, int], displaced: float, seed: int = 0) -> ase.Atoms:
    """Rock salt whose ions are out of place by ``displaced`` Å, with a made-up energy and forces."""
    random = np.random.default_rng(seed)
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True) * cells
    atoms.positions += random.normal(0, displaced, atoms.positions.shape)
    forces = random.normal(0, 1, atoms.positions.shape)
    atoms.calc = ase.calculators.singlepoint.SinglePointCalculator(atoms, energy=random.normal(), forces=forces)
    return atoms


def training_step(kind: str, preset: str, frames: list[ase.Atoms]) -> Callable[[], float]:
    """One step on a batch of all frames: energies and forces, float32, default keys."""
    from farfield.config import validated
    from farfield.data.frame import collate
    from farfield.train.batches import prepared
    from farfield.train.checkpoint import Progress
    from farfield.train.config import RunConfig
    from farfield.train.fit import Material, _Run, fabric_for
    from farfield.train.run import prepare

    with tempfile.TemporaryDirectory() as folder:
        ase.io.write(f"{folder}/train.xyz", frames, format="extxyz")
        config = {
            "data": {"train": f"{folder}/train.xyz", "valid": f"{folder}/train.xyz"},
            "model": {"paradigm": {"kind": kind}, "backbone": {"preset": preset, "cutoff": 5.0}},
            "train": {"batch_size": len(frames), "device": "cpu", "threads": 1},
        }
        job = prepare(validated(RunConfig, config, ""))
        train = prepared(job.splits.train, job.model)
        material = Material(job.model, train, train, job.statistics.force_scale)
        run = _Run(material, job.config.train, Path(folder), fabric_for(job.config.train))
    batch = collate(train)
    return lambda: run._step(*batch, Progress())


def step(args: argparse.Namespace) -> None:
    """Milliseconds of a training step of each kind, and ratios to the first."""
    if args.frames is not None:
        frames = ase.io.read(args.frames, f":{max(args.batch)}")
    else:
        frames = [salt(tuple(args.cells), 0.4, seed) for seed in range(max(args.batch))]
    rows = []
    for preset in args.preset:
        for count in args.batch:
            acts = {kind: training_step(kind, preset, frames[:count]) for kind in args.kinds}
            times = np.array([[second(act) for act in acts.values()] for _ in range(args.repeats + 3)])[3:]
            ratios = np.median(times / times[:, :1], 0)
            for kind, ms, ratio in zip(acts, 1e3 * np.median(times, 0), ratios):
                rows.append({"preset": preset, "frames": count, "atoms": len(frames[0]), "kind": kind,
                             "ms": round(float(ms), 2), "ratio": round(float(ratio), 3)})  # fmt: skip
                print(
                    "{preset:8} {frames} × {atoms} {kind:12} {ms:8.2f} ms {ratio:6.3f}".format(**rows[-1]), flush=True
                )
    data = "displaced rock salt" if args.frames is None else args.frames.parent.name
    write(f"step_{len(frames[0])}", {"data": data, "rows": rows})


def timed(act: Callable[[], Any]) -> float:
    """Seconds."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def second(act: Callable[[], Any]) -> float:
    """Seconds of the second of two: the caches are those of a run of its kind alone."""
    act()
    return timed(act)


def iterate(args: argparse.Namespace) -> None:
    """Charges along a trajectory of ions, from extrapolated starts; forces against a solve a hundred times tighter."""
    from farfield.response import ChargeExtrapolation
    from farfield.system import System

    still, moved = (salt(tuple(args.cells), 0.1, seed).positions for seed in (0, 1))
    atoms, ahead, rows = salt(tuple(args.cells), 0.0), ChargeExtrapolation(tight=True), []
    Solve(System.from_ase(salt((6, 5, 5), 0.1)), args.tolerance).forces(None)  # loads the compiled loops
    for number in range(args.steps):
        # a vibration of 200 fs, 1 fs a step
        atoms.positions = still + 0.5 * np.sin(2 * np.pi * number / 200) * (moved - still)
        start = ahead.guess(len(atoms))
        solve = Solve(System.from_ase(atoms), args.tolerance)
        alone = timed(lambda solve=solve, start=start: solve.charges(start))
        seconds = timed(lambda solve=solve, start=start: solve.forces(start))
        found, forces = solve.forces(start)
        _, exact = Solve(solve.system, 0.01 * args.tolerance).forces(found.charges.detach())
        ahead.keep(found.charges.detach())
        error = (forces - exact).norm() / exact.norm()
        rows.append({"atoms": len(atoms), "step": number, "start": "extrapolated" if start is not None else "cold",
                     "operators": found.steps, "seconds": round(alone, 3), "seconds_with_forces": round(seconds, 3),
                     "residual": float(found.residual.max()) / solve.spread, "force_error": float(error)})  # fmt: skip
        print("{atoms} ions, step {step}, {start:12}: {operators:2} operators, {seconds:.2f} s, with forces "
              "{seconds_with_forces:.2f} s, residual {residual:.1e}, force error {force_error:.1e}".format(**rows[-1]),
              flush=True)  # fmt: skip
    write("iterate", {"data": "displaced rock salt", "tolerance": args.tolerance, "rows": rows})


class Solve:
    """One structure, its charges iterated to a tolerance in units of the spread of its electronegativities."""

    def __init__(self, system: Any, tolerance: float) -> None:
        self.system, self.given = system, answering(system)
        self.spread = float(self.given["electronegativity"].std())
        self.tolerance = tolerance * self.spread

    def charges(self, start: Any, positions: Any = None) -> Any:
        """The equilibrium."""
        from farfield.response import equilibrate

        system = self.system if positions is None else self.system.with_positions(positions)
        return equilibrate(system, **self.given, solver="cg", tolerance=self.tolerance, start=start)

    def forces(self, start: Any) -> tuple[Any, Any]:
        """The equilibrium and its forces, eV/Å."""
        positions = self.system.positions.clone().requires_grad_()
        found = self.charges(start, positions)
        return found, -torch.autograd.grad(found.energy.sum(), positions)[0]


def answering(system: Any) -> dict[str, Any]:
    """Electronegativities with some noise, hardnesses and widths of sodium and chlorine."""
    chlorine = system.numbers == 17
    noise = torch.randn(system.n_atoms, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return {
        "electronegativity": torch.where(chlorine, 4.0, -4.0) + 0.5 * noise,
        "hardness": torch.where(chlorine, 10.0, 5.0).double(),
        "widths": torch.where(chlorine, WIDTHS[17], WIDTHS[11]).double(),
    }


def write(name: str, found: dict[str, Any]) -> None:
    """With what it was measured on."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**found, **machine()}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")


def main() -> None:
    """Read the command line."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("step", help="write results/response/step_IONS.json")
    one.set_defaults(run=step)
    one.add_argument("--frames", type=Path, help="extended XYZ with energies and forces")
    one.add_argument("--cells", nargs=3, type=int, default=[3, 3, 3], help="of 8 ions, where no frames are given")
    one.add_argument("--preset", nargs="+", default=["fast", "default"])
    one.add_argument("--batch", nargs="+", type=int, default=[1, 4])
    one.add_argument("--kinds", nargs="+", default=["short_range", "latent", "qeq", "polarizable", "scf"])
    one.add_argument("--repeats", type=int, default=25)
    many = commands.add_parser("iterate", help="write results/response/iterate.json")
    many.set_defaults(run=iterate)
    many.add_argument("--cells", nargs=3, type=int, default=[14, 14, 13])
    many.add_argument("--steps", type=int, default=8)
    many.add_argument("--tolerance", type=float, default=1e-6, help="of the spread of electronegativities")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
