"""farfield and MACE trained on the same frames for the same CPU time, one thread each; JSON and a picture.

    python benchmarks/backbone.py train FRAMES.xyz --name molten_nacl --code farfield mace --minutes 20
    python benchmarks/backbone.py ablate FRAMES.xyz --name molten_nacl --minutes 1
    python benchmarks/backbone.py speed
    python benchmarks/backbone.py plot

MACE runs through its own command, ``mace_run_train`` (``pip install mace-torch psutil``), with its own defaults (l ≤ 3)
but for size and precision; farfield with its own (l ≤ 2), by default with the long range that MACE lacks: ``--paradigm
'{"kind": "short_range"}' --tag short_range`` compares the backbones alone. Both are validated once an epoch on the same
frames, with the averaged weights, and the CPU time of that is counted: a row of the JSON is
[CPU seconds, epoch, meV/atom, meV/Å].
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "backbone"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
MACE = (
    "--E0s=average --model=MACE --num_interactions=2 --correlation=3 --lr=0.01 --ema --default_dtype=float32 "
    "--device=cpu --max_num_epochs=100000 --energy_key=REF_energy --forces_key=REF_forces --eval_interval=1"
)
MEASURED_BEFORE = {
    # MACE 0.3.16 with LES (not on PyPI, so not run here), L0, 32 channels, 2 layers, 5 Å, batch 2, lr 0.01, EMA:
    # measured once, on the same frames and a machine of this kind
    "molten_nacl": {
        "MACE-LES 32 channels": [
            [137, 1, 6.2, 36], [248, 2, 0.43, 23.7], [463, 4, 0.49, 13.7],
            [666, 6, 0.58, 10.6], [970, 9, 0.18, 8.6], [1170, 11, 0.32, 7.95],
        ]
    }
}  # fmt: skip


def train(args: argparse.Namespace) -> None:
    """Train each code in turn on one data set."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        files = split(args, Path(folder))
        for code in args.code:
            label = f"{args.name}_{code}{'_' + args.tag if args.tag else ''}"
            out = RESULTS / f"{label}.json"
            started = datetime.now(timezone.utc).isoformat(timespec="seconds")
            command = {"mace": mace_command, "farfield": farfield_command}[code](args, files, Path(folder))
            rows = watched(command, args.minutes * 60, Path(folder), args.core)
            about = {
                "data": args.name,
                "code": code,
                "tag": args.tag,
                "frames": [args.train, args.valid],
                "batch": args.batch,
                "seed": args.seed,
                "started": started,
            }
            record = {**about, **machine(), "command": command[1:], "rows": rows}
            text = json.dumps(record, indent=1).replace(folder, "…").replace(f"{Path(__file__).parents[1]}/", "")
            out.write_text(re.sub(r"\[\s+([^\[\]]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text) + "\n")
            print(out.name, "last:", rows[-1] if rows else "nothing")


ABLATIONS: dict[str, dict[str, dict[str, Any]]] = {
    "default": {},
    "l ≤ 1": {"backbone": {"l_max": 1}},
    "l ≤ 3": {"backbone": {"l_max": 3}},
    "three-body products": {"backbone": {"correlation": 2}},
    "one layer": {"backbone": {"layers": 1}},
    "16 channels": {"backbone": {"channels": 16}},
    "64 channels": {"backbone": {"channels": 64}},
    "half the learning rate": {"training": {"learning_rate": 0.01}},
    "no running average": {"training": {"ema": 0.0}},
    "energies weigh 200 times": {"training": {"weights": {"energy": 200.0}}},
}
"""What is taken away or added, one at a time."""


def ablate(args: argparse.Namespace) -> None:
    """One thing changed at a time: epochs and errors after the same CPU time, as a Markdown table."""
    table = ["| change | CPU s | epochs | meV/atom | meV/Å |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        files = split(args, Path(folder))
        for number, (name, change) in enumerate(ABLATIONS.items()):
            given = argparse.Namespace(**vars(args))
            for part in ("backbone", "training"):
                setattr(given, part, json.dumps({**json.loads(getattr(args, part)), **change.get(part, {})}))
            command = farfield_command(given, files, Path(folder) / str(number))
            cpu, epoch, energy, forces = watched(command, args.minutes * 60, Path(folder), args.core)[-1]
            table.append(f"| {name} | {cpu:.0f} | {epoch:.0f} | {energy:.2f} | {forces:.1f} |")
            print(table[-1], flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"ablation_{args.name}.md").write_text("\n".join(table) + "\n")


def split(args: argparse.Namespace, folder: Path) -> dict[str, Path]:
    """Frames as extended XYZ with the same keys for both codes; validation frames in a row or at random."""
    import ase.io
    import numpy as np

    frames = ase.io.read(args.frames, ":")
    order = np.arange(len(frames)) if args.in_order else np.random.default_rng(args.seed).permutation(len(frames))
    ends = {"train": order[: args.train], "valid": order[args.train : args.train + args.valid]}
    files = {}
    for part, chosen in ends.items():
        plain = []
        for k in chosen:
            atoms = ase.Atoms(frames[k].numbers, frames[k].positions, cell=frames[k].cell, pbc=frames[k].pbc)
            atoms.info["REF_energy"] = frames[k].get_potential_energy()
            atoms.info["charge"] = float(frames[k].info.get("charge", 0.0))
            atoms.arrays["REF_forces"] = frames[k].get_forces()
            plain.append(atoms)
        files[part] = folder / f"{part}.xyz"
        ase.io.write(files[part], plain, format="extxyz")
    return files


def mace_command(args: argparse.Namespace, files: dict[str, Path], folder: Path) -> list[str]:
    """MACE's own command line."""
    return [
        str(Path(sys.executable).parent / "mace_run_train"), "--name=mace", f"--work_dir={folder / 'mace'}",
        f"--train_file={files['train']}", f"--valid_file={files['valid']}", f"--seed={args.seed}",
        f"--batch_size={args.batch}", "--valid_batch_size=10", f"--r_max={args.cutoff}",
        f"--hidden_irreps={args.mace_irreps}", *MACE.split(),
    ]  # fmt: skip


def farfield_command(args: argparse.Namespace, files: dict[str, Path], folder: Path) -> list[str]:
    """The same script as a worker, which prints a line an epoch as MACE does."""
    config = {
        "data": {"train": str(files["train"]), "valid": str(files["valid"]),
                 "energy": "REF_energy", "forces": "REF_forces"},
        "model": {"paradigm": json.loads(args.paradigm),
                  "backbone": {"cutoff": args.cutoff, **json.loads(args.backbone)}},
        "train": {"batch_size": args.batch, "seed": args.seed, "epochs": 100000, "device": "cpu", "threads": 1,
                  **json.loads(args.training)},
    }  # fmt: skip
    return [sys.executable, __file__, "worker", json.dumps(config), str(folder / "farfield")]


def worker(args: argparse.Namespace) -> None:
    """Train one farfield model, one line an epoch."""
    import torch

    from farfield.config import validated
    from farfield.train.batches import prepared
    from farfield.train.config import RunConfig
    from farfield.train.fit import Material, fabric_for, fit
    from farfield.train.run import prepare

    torch.set_num_threads(1)
    job = prepare(validated(RunConfig, json.loads(args.config), ""))
    train, valid = prepared(job.splits.train, job.model), prepared(job.splits.valid, job.model)

    def told(progress: Any) -> None:
        if progress.history:
            row = progress.history[-1]
            energy, forces = row["valid_energy_rmse"], row["valid_forces_rmse"]
            print(f"Epoch {progress.epoch}: RMSE_E_per_atom={energy:8.3f} meV, RMSE_F={forces:8.2f}", flush=True)

    folder = Path(args.folder)
    folder.mkdir(parents=True, exist_ok=True)
    material = Material(job.model, train, valid, job.statistics.force_scale)
    fit(material, job.config.train, folder, fabric=fabric_for(job.config.train), on_epoch=told)


def speed(args: argparse.Namespace) -> None:
    """Time and memory of each preset, with and without the long range; each in a process of its own."""
    rows = []
    for preset in args.preset:
        for kind in args.kinds:
            command = [sys.executable, __file__, "stopwatch", preset, kind]
            for _ in range(2):  # the first compiles what is not on disk yet: neither time nor memory of a run
                answer = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, **ONE_THREAD})
            rows.append(json.loads(answer.stdout))
            print(rows[-1], flush=True)
    (RESULTS / "speed.json").write_text(json.dumps({**machine(), "rows": rows}, indent=1) + "\n")


def stopwatch(args: argparse.Namespace) -> None:
    """Median CPU milliseconds of a training step and of energy and forces: displaced rock salt, 5 Å, float32."""
    import resource

    import ase.build
    import ase.calculators.singlepoint
    import ase.io
    import numpy as np
    import torch

    from farfield.config import validated
    from farfield.data.frame import collate
    from farfield.train.batches import prepared
    from farfield.train.checkpoint import Progress
    from farfield.train.config import RunConfig
    from farfield.train.fit import Material, _Run, fabric_for
    from farfield.train.run import prepare

    torch.set_num_threads(1)
    random = np.random.default_rng(0)

    def salt(side: int) -> ase.Atoms:
        atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (side, side, side)
        atoms.positions += random.normal(0, 0.1, atoms.positions.shape)
        forces = random.normal(0, 1, atoms.positions.shape)
        atoms.calc = ase.calculators.singlepoint.SinglePointCalculator(atoms, energy=random.normal(), forces=forces)
        return atoms

    with tempfile.TemporaryDirectory() as folder:
        for name, side in (("64", 2), ("512", 4)):
            ase.io.write(f"{folder}/{name}.xyz", [salt(side) for _ in range(8 if name == "64" else 1)], format="extxyz")
        config = {
            "data": {"train": f"{folder}/64.xyz", "valid": f"{folder}/512.xyz"},
            "model": {"paradigm": {"kind": args.kind}, "backbone": {"preset": args.preset, "cutoff": 5.0}},
            "train": {"batch_size": 8, "device": "cpu", "threads": 1},
        }
        job = prepare(validated(RunConfig, config, ""))
        small, large = (prepared(frames, job.model) for frames in (job.splits.train, job.splits.valid))
        material = Material(job.model, small, large, job.statistics.force_scale)
        run = _Run(material, job.config.train, Path(folder), fabric_for(job.config.train))

    def median(act: Any, repeats: int) -> float:
        times = []
        for _ in range(repeats + 3):
            started = time.process_time()
            act()
            times.append(1e3 * (time.process_time() - started))
        return float(np.median(times[3:]))

    batch = collate(small)
    step = median(lambda: run._step(*batch, Progress()), 30)
    found = {"preset": args.preset, "kind": args.kind, "step_ms_per_frame": step / 8}
    job.model.eval()
    system, _ = collate(large)
    found["energy_forces_512_ms"] = median(lambda: job.model(system), 15)
    found["peak_GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({k: round(v, 2) if isinstance(v, float) else v for k, v in found.items()}))


def watched(command: list[str], budget: float, folder: Path, core: int | None) -> list[list[float]]:
    """Run until the process has used its CPU seconds; stamp every epoch it reports with them."""
    import psutil

    def pinned() -> None:
        if core is not None:
            os.sched_setaffinity(0, {core})

    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
        env={**os.environ, **ONE_THREAD}, preexec_fn=pinned,
    )  # fmt: skip
    watch, rows, tail = psutil.Process(process.pid), [], []
    assert process.stdout is not None
    for line in process.stdout:
        tail = [*tail[-20:], line]
        found = re.search(r"Epoch (\d+).*RMSE_E_per_atom=\s*([\d.]+|nan) meV, RMSE_F=\s*([\d.]+|nan)", line)
        if not found:
            continue
        times = watch.cpu_times()
        rows.append([round(times.user + times.system, 1), int(found[1]), float(found[2]), float(found[3])])
        if rows[-1][0] > budget:
            process.kill()
            break
    if process.wait() not in (0, -9) or not rows:
        sys.exit("".join(tail))
    return rows


def machine() -> dict[str, Any]:
    """What the numbers were taken with."""
    from importlib.metadata import PackageNotFoundError, version

    import torch

    found = {}
    for package in ("farfield", "mace-torch", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    cpu = next(
        (
            row.split(":")[1].strip()
            for row in Path("/proc/cpuinfo").read_text().splitlines()
            if row.startswith("model name")
        ),
        "",
    )
    commit = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    return {
        "versions": found, "machine": f"{platform.system()} {cpu}", "threads": 1, "commit": commit,
        "load": round(os.getloadavg()[0], 1), "torch": torch.__version__,
    }  # fmt: skip


def _label(record: dict[str, Any]) -> str:
    return f"{record['code']} {record.get('tag', '')}".strip()


def plot(_args: argparse.Namespace) -> None:
    """Force error against CPU time, a panel for each data set."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    records = [record for record in found if "data" in record]  # and not speed
    names = sorted({record["data"] for record in records})
    figure, axes = plt.subplots(1, len(names), figsize=(4 * len(names), 3.6), squeeze=False, layout="constrained")
    for axis, name in zip(axes[0], names):
        curves = {_label(r): r["rows"] for r in records if r["data"] == name} | MEASURED_BEFORE.get(name, {})
        for label, rows in curves.items():
            style = {"farfield": "o-", "mace": "s-"}.get(label, "^--")
            axis.plot([row[0] for row in rows], [row[3] for row in rows], style, ms=3, label=label)
        axis.set(title=name, xlabel="CPU time / s", xscale="log", yscale="log")
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=8)
    axes[0][0].set_ylabel("force RMSE on validation / meV Å⁻¹")
    figure.savefig(RESULTS / "backbone.png", dpi=130)
    print(RESULTS / "backbone.png")


def _arguments(one: argparse.ArgumentParser, run: Any) -> None:
    one.set_defaults(run=run)
    one.add_argument("frames", help="extended XYZ with energies and forces")
    one.add_argument("--name", required=True)
    one.add_argument("--tag", default="")
    one.add_argument("--code", nargs="+", choices=["farfield", "mace"], default=["farfield", "mace"])
    one.add_argument("--train", type=int, required=True, help="training frames")
    one.add_argument("--valid", type=int, required=True, help="validation frames")
    one.add_argument("--in-order", action="store_true", help="the first frames train (else shuffled with the seed)")
    one.add_argument("--minutes", type=float, default=20, help="of CPU time, each")
    one.add_argument("--batch", type=int, default=2)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--cutoff", type=float, default=5.0)
    one.add_argument("--core", type=int, help="run on this core only")
    one.add_argument("--mace-irreps", default="32x0e")
    one.add_argument("--paradigm", default='{"kind": "latent"}', help="JSON, for farfield")
    one.add_argument("--backbone", default="{}", help="JSON, for farfield")
    one.add_argument("--training", default='{"schedule": "inverse_sqrt"}', help="JSON, for farfield")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for command, run, told in (
        ("train", train, "write results/backbone/NAME_CODE.json"),
        ("ablate", ablate, "write results/backbone/ablation_NAME.md"),
    ):
        _arguments(commands.add_parser(command, help=told), run)
    timed = commands.add_parser("speed", help="write results/backbone/speed.json")
    timed.set_defaults(run=speed)
    timed.add_argument("--preset", nargs="+", default=["fast", "default", "large"])
    timed.add_argument("--kinds", nargs="+", default=["short_range", "latent"])
    watch = commands.add_parser("stopwatch")
    watch.set_defaults(run=stopwatch)
    watch.add_argument("preset")
    watch.add_argument("kind")
    hidden = commands.add_parser("worker")
    hidden.set_defaults(run=worker)
    hidden.add_argument("config")
    hidden.add_argument("folder")
    commands.add_parser("plot", help="write results/backbone/backbone.png").set_defaults(run=plot)
    args = parser.parse_args()
    if hasattr(args, "frames"):
        args.frames = Path(args.frames).resolve()
    args.run(args)


if __name__ == "__main__":
    main()
