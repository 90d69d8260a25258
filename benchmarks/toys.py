"""What each paradigm makes of the toys that no local model can learn: two atoms, clusters, a reaction, cumulenes.

    python benchmarks/toys.py FOLDER [--sets two_atoms sn2_F_I] [--rows short_range attention] [--out toys]

FOLDER holds the data sets of Frank et al., arXiv:2412.08541, as .npz or .xyz; none is downloaded. Every row learns on
one thread from the same frames, with default settings but for steps, batches and the weight of energies, which
SETS holds. Rows that are not registered, and sets that are not there, are skipped. A run that was stopped goes on.
Errors are those of frames held back: mean absolute errors of total energies (meV) and force components (meV/Å), and the
mean square of the former, eV².
"""

import argparse
import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import torch
import yaml
from ase.calculators.singlepoint import SinglePointCalculator

import farfield as ff
from farfield.paradigms.registry import PARADIGMS

ROWS: dict[str, dict[str, Any]] = {
    "short_range": {},
    "latent": {},
    "qeq": {},
    "attention": {},
    "lode": {},
    "ewald_mp": {},
}
"""What is trained, where it is registered, with the keys that differ from the defaults."""


@dataclass(frozen=True)
class Toy:
    """Frames to learn from, to choose by and to judge on, and the settings of a run."""

    frames: tuple[int, int, int]
    epochs: int
    batch: int
    energy_weight: float
    published: str  # local network, with Euclidean fast attention


SETS = {
    "two_atoms": Toy((2000, 500, 200), 100, 64, 10.0, "42.1 meV, 7.67 meV/Å; 0.546 meV, 0.509 meV/Å"),
    "3D_cluster_32_atoms_radius_5": Toy((2000, 250, 250), 20, 16, 10.0, "loss 3.8e-2; 8.4e-4"),
    "3D_cluster_16_atoms_radius_2point5": Toy((2000, 250, 250), 20, 16, 10.0, "loss 4.0e-6; 3.7e-6"),
    "sn2_F_I": Toy((300, 50, 51), 200, 32, 1.0, "loss 1.3e-3; 6.0e-6"),
    "cumulene_profile": Toy((700, 100, 200), 100, 16, 100.0, "183 meV, 94 meV/Å; 38.9 meV, 67.2 meV/Å (another test)"),
}


def main() -> None:
    """Train and judge every row on every set, one after the other; print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--out", type=Path, default=Path("toys"))
    parser.add_argument("--epochs", type=int, help="in place of those of the sets")
    asked = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    for name in asked.sets:
        frames = read(asked.folder, name)
        for row in asked.rows if frames else ():
            if row in PARADIGMS:
                result = trained(frames, name, row, asked.out, asked.epochs or SETS[name].epochs)
                found.setdefault(name, {})[row] = result
                print(name, row, result, flush=True)
    if not found:
        sys.exit(f"{asked.folder} holds none of {', '.join(asked.sets)} as .npz or .xyz")
    (asked.out / "toys.json").write_text(json.dumps(found, indent=1))
    print_table(found)


def read(folder: Path, name: str) -> list[ase.Atoms]:
    """Frames of a set, none where it is not there; forces that are all zero are taken for absent."""
    if (folder / f"{name}.xyz").is_file():
        return list(ase.io.read(folder / f"{name}.xyz", ":"))
    if not (folder / f"{name}.npz").is_file():
        return []
    arrays = np.load(folder / f"{name}.npz")
    frames = []
    for k, positions in enumerate(arrays["positions"]):
        numbers = arrays["atomic_numbers"]
        atoms = ase.Atoms((numbers[k] if numbers.ndim > 1 else numbers).astype(int), positions)
        labels = {"energy": float(np.ravel(arrays["energy"])[k])}
        if np.abs(arrays["forces"]).max() > 0:
            labels["forces"] = arrays["forces"][k]
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return frames


def trained(frames: list[ase.Atoms], name: str, row: str, out: Path, epochs: int) -> dict[str, float]:
    """Errors on the test frames of a run, and the minutes of CPU time that it took."""
    toy, folder = SETS[name], out / name / row
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(0).permutation(len(frames))
    ends = np.cumsum((0, *toy.frames))
    parts = {
        part: [frames[k] for k in order[ends[n] : ends[n + 1]]] for n, part in enumerate(("train", "valid", "test"))
    }
    for part, own in parts.items():
        if not (out / name / f"{part}.xyz").is_file():
            ase.io.write(out / name / f"{part}.xyz", own)
    forces = "forces" if "forces" in frames[0].calc.results else None
    config = {
        "data": {part: str(out / name / f"{part}.xyz") for part in parts} | {"forces": forces},
        "model": {"paradigm": {"kind": row, **ROWS[row]}},
        "train": {
            "epochs": epochs, "batch_size": toy.batch, "threads": 1, "weights": {"energy": toy.energy_weight},
        },
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "farfield", "train", str(folder / "config.yaml"), "--out", str(folder / "run")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return errors(folder / "run" / "model.pt", parts["test"], forces is not None) | {
        "cpu_minutes": round(spent / 60, 1)
    }


def errors(model_file: Path, test: list[ase.Atoms], forces: bool) -> dict[str, float]:
    """Mean absolute errors, and the mean squared error of energies."""
    model = ff.load(model_file)
    energy, force = [], []
    for start in range(0, len(test), 50):
        some = test[start : start + 50]
        found = model(ff.System.from_ase(some))
        expected = torch.tensor([atoms.get_potential_energy() for atoms in some], dtype=torch.float64)
        energy.append(found.energy.detach() - expected)
        if forces:
            labels = torch.from_numpy(np.concatenate([atoms.get_forces() for atoms in some]))
            force.append((found.forces.detach() - labels).flatten())
    off = torch.cat(energy)
    told = {"energy_mae": 1e3 * float(off.abs().mean()), "energy_mse": float(off.square().mean())}
    return told | ({"forces_mae": 1e3 * float(torch.cat(force).abs().mean())} if forces else {})


def print_table(found: dict[str, dict[str, Any]]) -> None:
    """A table in Markdown, ready for a README."""
    for name, rows in found.items():
        print(f"\n{name} (published, local and with attention: {SETS[name].published})\n")
        print("| | energies, meV | mean square, eV² | forces, meV/Å | CPU minutes |\n|---|---|---|---|---|")
        for row, told in rows.items():
            force = f"{told['forces_mae']:.3g}" if "forces_mae" in told else ""
            square, minutes = f"{told['energy_mse']:.1e}", told["cpu_minutes"]
            print(f"| `{row}` | {told['energy_mae']:.3g} | {square} | {force} | {minutes} |")


if __name__ == "__main__":
    main()
