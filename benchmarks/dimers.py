"""Dimers drawn apart beyond the distances of training: how wrong curve and fragments' charges go, by class.

    python benchmarks/dimers.py DIMERS.xyz [--beyond 10] [--paradigms short_range latent …] [--out DIRECTORY]

Trains every paradigm with ``farfield train`` and its defaults, one thread, on the frames up to ``--beyond`` Å (a tenth
of them for validation); judges it on the frames beyond. Frames name ``label`` (their class), ``distance`` (Å),
``chargeA``, ``chargeB`` (e, of the two molecules) and ``charge``; frames of one class with the same ``energyA`` and
``energyB`` make a curve. Made for the BioFragment dimers of the LODE papers: a user brings the file. A run that was
stopped goes on. Writes dimers.json and dimers.png.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import ase
import ase.io
import matplotlib as mpl
import numpy as np
from ase.neighborlist import natural_cutoffs, neighbor_list
from backbone import ONE_THREAD, machine
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

mpl.use("Agg")
from matplotlib import pyplot as plt

Curve = list[ase.Atoms]


def curves_of(frames: list[ase.Atoms]) -> dict[str, list[Curve]]:
    """Frames of each class, those of the same two molecules together, by distance."""
    found: dict[str, dict[tuple[Any, ...], Curve]] = defaultdict(lambda: defaultdict(list))
    for atoms in frames:
        pair = sorted(round(atoms.info.get(f"energy{one}", 0.0), 2) for one in "AB")
        found[str(atoms.info["label"])][(atoms.get_chemical_formula(), *pair)].append(atoms)
    return {
        label: [sorted(curve, key=lambda atoms: atoms.info["distance"]) for curve in curves.values()]
        for label, curves in found.items()
    }


def trained(kind: dict[str, Any], file: Path, folder: Path, more: dict[str, dict[str, Any]]) -> float:
    """Train one paradigm in a folder, with ``more`` keys, or finish what was begun there: CPU seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, dict[str, Any]] = {"data": {"train": str(file)}, "model": {"paradigm": kind}}
    config["train"] = {"threads": 1, "device": "cpu"}
    for part, keys in more.items():
        config[part] = {**config[part], **keys}
    (folder / "config.yaml").write_text(json.dumps(config))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "farfield", "train", str(folder / "config.yaml"), "--out", str(folder / "run")]
    with (folder / "train.log").open("a") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log, env={**os.environ, **ONE_THREAD})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def molecules(atoms: ase.Atoms) -> np.ndarray[Any, np.dtype[np.integer[Any]]]:
    """Number the connected molecules of a dimer ``(atoms,)``."""
    i, j = neighbor_list("ij", atoms, natural_cutoffs(atoms, mult=1.2))
    _, number = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(len(atoms),) * 2), directed=False)
    return np.asarray(number)


def judged(model: Any, curve: Curve, beyond: float, cell: float | None) -> dict[str, Any] | None:
    """How far a curve goes wrong from its last trained frame on, meV; and the charges of its molecules, e."""
    from farfield.system import System

    first = max((k for k, atoms in enumerate(curve) if atoms.info["distance"] <= beyond), default=None)
    if first is None or first == len(curve) - 1:
        return None
    energies, true, off = [], [], 0.0
    for atoms in curve[first:]:
        bare = ase.Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        bare.info["charge"] = atoms.info["charge"]
        if cell is not None and not atoms.cell.any():
            bare.set_cell([cell] * 3)
            bare.pbc = True
        want = {"energy"} | ({"charges"} & model.gives)
        said = model(System.from_ase(bare), want=want)
        energies.append(said.energy.item())
        true.append(atoms.get_potential_energy())
        if said.charges is not None:
            number, charges = molecules(atoms), said.charges.detach().numpy()
            sums = np.bincount(number, charges) - np.array(_named(atoms, number))
            off = max(off, float(np.abs(sums).max()))
    found, asked = (1e3 * (np.array(one) - one[0]) for one in (energies, true))
    return {
        "distance": [float(atoms.info["distance"]) for atoms in curve[first:]],
        "true": asked.tolist(), "found": found.tolist(), "charge_error": off if "charges" in model.gives else None,
    }  # fmt: skip


def _named(atoms: ase.Atoms, number: np.ndarray[Any, Any]) -> list[float]:
    """The molecules' whole charges: some files name the second first, so that the nearer naming is taken by size."""
    named = [float(atoms.info["chargeA"]), float(atoms.info["chargeB"])]
    electrons = [int(atoms.numbers[number == k].sum()) for k in range(2)]
    even = [(count - charge) % 2 == 0 for count, charge in zip(electrons, named)]
    return named if all(even) else named[::-1]


def summary(curves: list[dict[str, Any]]) -> dict[str, float | None]:
    """The worst of a class: its largest true change and curve error, meV, and charge error, e."""
    off = [curve["charge_error"] for curve in curves if curve["charge_error"] is not None]
    return {
        "signal": max(float(np.abs(curve["true"]).max()) for curve in curves),
        "curve_error": max(float(np.abs(np.subtract(curve["found"], curve["true"])).max()) for curve in curves),
        "charge_error": max(off) if off else None,
    }


def picture(results: dict[str, Any], file: Path) -> None:
    """Draw a panel for each class: the true curve beyond training, and what each paradigm makes of it."""
    labels = list(next(iter(results.values()))["curves"])
    figure, axes = plt.subplots(2, -(-len(labels) // 2), figsize=(10, 6), squeeze=False, layout="constrained")
    for axis, label in zip(axes.flat, labels):
        for number, (name, result) in enumerate(results.items()):
            curve = result["curves"][label][0]
            if not number:
                axis.plot(curve["distance"], curve["true"], "ko", ms=5, label="reference")
            axis.plot(curve["distance"], curve["found"], label=name)
        axis.set(title=label, xlabel="distance / Å")
    for axis in axes.flat[len(labels) :]:
        axis.axis("off")
    axes[0][0].set_ylabel("energy beyond training / meV")
    axes[0][0].legend(fontsize=8)
    figure.savefig(file, dpi=130)


def main() -> None:
    """Train, judge, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path)
    parser.add_argument("--beyond", type=float, default=10.0, help="Å: farther frames are judged, not trained on")
    parser.add_argument("--paradigms", nargs="+", default=["short_range", "latent", "qeq"],
                        help='words, or keys as JSON: \'{"kind": "latent", "order": 1}\'')  # fmt: skip
    parser.add_argument("--cell", type=float, help="Å: edge of the periodic cube the labels were computed in, if any")
    parser.add_argument(
        "--train", default="{}", help="keys of train: as JSON, to try others: '{\"weight_decay\": 0.05}'"
    )
    parser.add_argument("--out", type=Path, default=Path("dimers"))
    args = parser.parse_args()
    from farfield import load

    args.out.mkdir(parents=True, exist_ok=True)
    frames = ase.io.read(args.frames, ":")
    near = args.out.resolve() / "near.xyz"  # written anew: a run that learned from others says so and stops
    ase.io.write(near, [atoms for atoms in frames if atoms.info["distance"] <= args.beyond], format="extxyz")
    results: dict[str, Any] = {}
    more = {"data": {"cell": args.cell}, "train": json.loads(args.train)}
    for word in args.paradigms:
        kind = json.loads(word) if word.startswith("{") else {"kind": word}
        name = " ".join(str(value) for value in kind.values())
        cpu = trained(kind, near, args.out.resolve() / name.replace(" ", "_"), more)
        model = load(args.out / name.replace(" ", "_") / "run" / "model.pt").double()
        curves = {
            label: found
            for label, some in curves_of(frames).items()
            if (found := [one for curve in some if (one := judged(model, curve, args.beyond, args.cell))])
        }
        results[name] = {"cpu_seconds": cpu, "classes": {k: summary(v) for k, v in curves.items()}, "curves": curves}
        for label, row in results[name]["classes"].items():
            charge = "" if row["charge_error"] is None else f", charges off by {row['charge_error']:.3f} e"
            print(f"{name:16s} {label} {row['curve_error']:8.2f} of {row['signal']:7.1f} meV{charge}", flush=True)
        record = {**machine(), "beyond": args.beyond, "cell": args.cell, "train": more["train"], "results": results}
        (args.out / "dimers.json").write_text(json.dumps(record, indent=1) + "\n")
    picture(results, args.out / "dimers.png")
    print(args.out / "dimers.png")


if __name__ == "__main__":
    main()
