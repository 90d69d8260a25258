"""Sets on which others have published errors: trained with one command and defaults, judged beside their numbers.

    python benchmarks/published.py dipeptides FRAMES.xyz [--paradigms short_range latent …] [--out DIRECTORY]
    python benchmarks/published.py salt FRAMES.xyz
    python benchmarks/published.py water FRAMES.xyz

Nine tenths of the frames are trained on (energies and forces only), the last tenth, drawn by ``--seed``, is validated
on; labels of the set that were not trained on (dipoles, quadrupoles) are judged too. Forces are also given in per cent
of their root mean square, as the literature of molten salts does. A run that was stopped goes on. Writes NAME.json.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
from backbone import machine
from dimers import trained

SETS: dict[str, dict[str, Any]] = {
    "dipeptides": {"dipole": "dipole", "quadrupole": "quadrupole", "quadrupole_form": "second_moment"},
    "salt": {},
    "water": {},
}
"""Labels that are judged besides energies and forces."""

PUBLISHED: dict[str, dict[str, dict[str, float]]] = {
    "dipeptides": {  # SPICE polar dipeptides, 495 frames trained on, 55 validated on; meV/atom, meV/Å, e·Å, e·Å²
        "CACE": {"energy": 1.97, "forces": 58.8},
        "CACE-LES": {"energy": 1.29, "forces": 53.1, "dipole": 0.118, "quadrupole": 0.984, "born_sum": 0.099},
        "CACE-SOG": {"energy": 0.78, "forces": 49.5},
    },
    "salt": {  # liquid NaCl of another set (1,014 × 128, VASP), per cent of the rms force; arXiv:2406.17595
        "local": {"forces_percent": 12.6},
        "LODE": {"forces_percent": 3.7},
        "density-based": {"forces_percent": 3.3},
        "MACE, equivariant": {"forces_percent": 2.2},
        "CACE-SOG": {"forces_percent": 1.93},
    },
    "water": {},
}
"""Root mean square errors on validation frames, of papers and their repositories (LES: npj Comput. Mater. 2025)."""


def split(frames: Sequence[ase.Atoms], folder: Path, seed: int) -> dict[str, Path]:
    """Write nine tenths to train on, one to validate."""
    order = np.random.default_rng(seed).permutation(len(frames))
    held = max(1, len(frames) // 10)
    files = {}
    for name, chosen in (("valid", order[:held]), ("train", order[held:])):
        files[name] = folder / f"{name}.xyz"
        # written anew: a run that learned from another split says so and stops
        ase.io.write(files[name], [frames[k] for k in sorted(chosen)], format="extxyz")
    return files


def judged(file: Path, labels: dict[str, Any], run: Path) -> dict[str, float]:
    """Root mean square errors of a trained model on a file, the sum of Born charges, and forces in per cent."""
    from farfield import load
    from farfield.data.config import DataConfig
    from farfield.data.read import read_frames
    from farfield.evaluation.errors import errors
    from farfield.evaluation.run import evaluate

    model = load(run / "model.pt").double()
    frames = read_frames(file, DataConfig(train=file, **labels))
    evaluation = evaluate(model, frames)
    found = {row.measure: row.rmse for row in errors(evaluation) if row.group is None}
    found["energy"] = found.pop("energy_per_atom")
    scale = float(np.sqrt(np.mean(evaluation.compared["forces"].reference ** 2)))
    found["forces_percent"] = 0.1 * found["forces"] / scale
    if "born_charges" in model.gives:
        sums = [model(f.system, want={"born_charges"}).born_charges.sum(0).abs().max().item() for f in frames[:10]]
        found["born_sum"] = float(np.mean(sums))
    return found


def main() -> None:
    """Train, judge, print a table, write JSON after every model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("frames", type=Path)
    parser.add_argument("--paradigms", nargs="+", default=["short_range", "latent"],
                        help='words, or keys as JSON: \'{"kind": "latent", "order": 1}\'')  # fmt: skip
    parser.add_argument("--preset", default="default", help="of the backbone")
    parser.add_argument("--train", default="{}", help="keys of train: as JSON, to try others: '{\"epochs\": 50}'")
    parser.add_argument("--seed", type=int, default=0, help="of the split")
    parser.add_argument("--out", type=Path, default=Path("published"))
    args = parser.parse_args()

    folder = args.out.resolve() / args.set
    folder.mkdir(parents=True, exist_ok=True)
    files = split(ase.io.read(args.frames, ":"), folder, args.seed)
    results: dict[str, Any] = {}
    for word in args.paradigms:
        kind = json.loads(word) if word.startswith("{") else {"kind": word}
        name = "_".join([*(str(value) for value in kind.values()), args.preset])
        given: dict[str, dict[str, Any]] = {
            "data": {"valid": str(files["valid"]), "test_fraction": 0.0},
            "model": {"backbone": args.preset},
        }
        given["train"] = json.loads(args.train)
        cpu = trained(kind, files["train"], folder / name, given)
        results[name] = {"cpu_seconds": cpu, **judged(files["valid"], SETS[args.set], folder / name / "run")}
        print(name, {key: float(f"{value:.3g}") for key, value in results[name].items()}, flush=True)
        record = {
            **machine(),
            "set": args.set,
            "seed": args.seed,
            "train": args.train,
            "results": results,
            "published": PUBLISHED[args.set],
        }
        (folder / f"{args.set}.json").write_text(json.dumps(record, indent=1) + "\n")
    for code, row in PUBLISHED[args.set].items():
        print(f"published, {code}:", row)


if __name__ == "__main__":
    main()
