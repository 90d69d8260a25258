"""Test errors of the trained models, near the sodium that one cluster lacks and far from it; JSON.

    python table.py runs/one_layer runs/two_layers ../../benchmarks/results/nacl_clusters.json

Beside them what a network that sees 5 Å cannot know: how far charges differ between Na9Cl8+ and the same ions without
the sodium, by their distance from it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from numpy.typing import NDArray
from structures import ideal, without_sodium

from farfield.errors import ConvergenceError
from farfield.evaluation import Evaluation
from farfield.reference.tblite import TBLiteEngine

CUTOFF, TWINS = 5.0, 200  # Å; clusters whose charges are compared with and without the sodium
DISTANCE = np.linalg.norm(ideal().positions - ideal().positions[-1], axis=1)  # Å, of every ion from the sodium


def rms(values: NDArray[np.float64]) -> float:
    """Root mean square."""
    return round(float(np.sqrt(np.mean(values**2))), 3)


def errors(run: Path) -> dict[str, Any]:
    """Of one model on the test set: meV/atom, meV/Å, me."""
    test = Evaluation.load(run / "test.npz")
    wrong = {name: 1e3 * (both.predicted - both.reference) for name, both in test.compared.items()}
    place = np.concatenate([DISTANCE[:n] for n in test.n_atoms])
    hole = test.group[test.frame] == "Na8Cl8+"
    history = np.genfromtxt(run / "log.csv", delimiter=",", names=True)
    return {
        "energy": rms(wrong["energy"] / test.n_atoms),
        "forces": rms(wrong["forces"]),
        "charges": rms(wrong["charges"]),
        "charges of Na8Cl8+ within 5 Å of the place": rms(wrong["charges"][hole & (place < CUTOFF)]),
        "charges of Na8Cl8+ beyond": rms(wrong["charges"][hole & (place >= CUTOFF)]),
        "epochs": int(history["epoch"][-1]),
    }


def twins() -> dict[str, Any]:
    """How charges change when the sodium leaves and every other ion stays, me."""
    near, far = [], []
    frames = [a for a in ase.io.read("structures_labelled.xyz", ":1000") if a.info["group"] == "Na9Cl8+"][:TWINS]
    for atoms in frames:
        try:
            alone = TBLiteEngine().label(without_sodium(atoms)).charges
        except ConvergenceError:
            continue
        moved = 1e3 * (alone - atoms.arrays["mulliken_charges"][:-1])
        place = atoms.get_distances(-1, range(len(atoms) - 1))
        near.append(moved[place < CUTOFF])
        far.append(moved[place >= CUTOFF])
    far_all = np.concatenate(far)
    return {
        "clusters": len(near),
        "rms change within 5 Å": rms(np.concatenate(near)),
        "rms change beyond": rms(far_all),
        "least error of a local model beyond": rms(far_all / 2),
        "charge that comes from beyond": round(float(np.mean([f.sum() for f in far])), 1),
        "charge that comes from within": round(float(np.mean([n.sum() for n in near])), 1),
    }


def main(*words: str) -> None:
    """Write the JSON, and show it."""
    *folders, out = map(Path, words)
    found = {
        f.name: {run.name: errors(run) for run in sorted(f.iterdir()) if (run / "test.npz").exists()} for f in folders
    }
    text = json.dumps({"units": "meV/atom, meV/Å, me", **found, "twins": twins()}, indent=1, ensure_ascii=False)
    out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
