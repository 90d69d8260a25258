"""What each model makes of the far sodium: a picture, and a table in the terminal.

    python picture.py runs/charge_transfer_compared charge_transfer.png

The end is the chlorine atom and the four ions next to it.
"""

import sys
from pathlib import Path

import ase
import ase.io
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

import farfield as ff
from farfield.report import RunResult
from farfield.report.binding import shade_trained
from farfield.report.style import FAINT, INK, RC, SHADE, label_ends, looks

END, CUTOFF, APART = 5, 5.0, 60.0  # atoms of the end; Å; Å between two rods that should not know of each other
LATTICE, TRAINED = 2.8, 14.7  # Å; longest distance in near.xyz
NAMES = {"charges-10000.0": "charges, local", "charges-0.0": "charges, shifted", "qeq": "qeq", "scf": "scf"}


def predicted(model: ff.Model, frames: list[ase.Atoms]) -> list[NDArray[np.float64]]:
    """Charges of every frame, e."""
    return [model(ff.System.from_ase(atoms), want={"charges"}).charges.detach().numpy() for atoms in frames]


def end(charges: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Sum over the end of every frame, e."""
    return np.array([q[:END].sum() for q in charges])


def two_rods(bare: ase.Atoms, full: ase.Atoms) -> ase.Atoms:
    """One without and one with sodium, far apart."""
    other = full.copy()
    other.positions += [APART, 0, 0]
    out = bare + other
    out.info = {"charge": 0}
    return out


def pairs(frames: list[ase.Atoms]) -> list[tuple[int, int]]:
    """Twins: (with sodium, without)."""
    found: dict[float, dict[str, int]] = {}
    for k, atoms in enumerate(frames):
        found.setdefault(atoms.info["distance"], {})[atoms.info["group"]] = k
    return [(p["with sodium"], p["without"]) for p in found.values() if len(p) == 2]


def main(folder: Path, path: Path) -> None:
    """Predict, tell and draw."""
    frames = ase.io.read("far_labelled.xyz", ":")
    labels = [atoms.arrays["mulliken_charges"] for atoms in frames]
    models = {name: ff.load(folder / run / "model.pt") for run, name in NAMES.items()}
    twins = np.array(pairs(frames))
    twins = twins[np.argsort([frames[k].info["distance"] for k, _ in twins])]
    distance = np.array([frames[k].info["distance"] for k, _ in twins])
    given = {"reference": labels} | {name: predicted(model, frames) for name, model in models.items()}
    moved = {name: end(charges)[twins[:, 0]] - end(charges)[twins[:, 1]] for name, charges in given.items()}
    half = np.array([0.5 * np.abs(labels[a][:END] - labels[b][:END]) for a, b in twins])
    print(f"any local model, ions of the end: {1e3 * np.sqrt(np.mean(half**2)):.1f} me at least")
    for name, model in models.items():
        error = [given[name][k][:END] - labels[k][:END] for k in twins.ravel()]
        one = [(a, b) for a, b in twins if frames[a].info["length"] == 6]
        both = end(predicted(model, [two_rods(frames[b], frames[a]) for a, b in one]))
        alone = end([given[name][b] for _, b in one])
        print(
            f"{name:17s} ions of the end {1e3 * np.sqrt(np.mean(np.square(error))):5.1f} me; charge moved "
            f"{np.mean(moved[name] / moved['reference']):5.2f} of the reference; an end without sodium changes by "
            f"{np.mean(both - alone):+.3f} e where another rod with sodium is {APART:.0f} Å away"
        )
    draw(distance, moved, frames[twins[len(twins) // 2][0]], path)


def draw(distance: NDArray[np.float64], moved: dict[str, NDArray[np.float64]], rod: ase.Atoms, path: Path) -> None:
    """The rod above, the charge that moves below."""
    charges, qeq, scf = (look.colour for look in looks([RunResult(kind, {}) for kind in ("charges", "qeq", "scf")]))
    colours = {"reference": INK, "charges, local": FAINT, "charges, shifted": charges, "qeq": qeq, "scf": scf}
    dashes = {"charges, local": (0, (4, 2))}
    layers = np.round(distance / LATTICE).astype(int)
    with mpl.rc_context(RC | {"font.size": 10, "axes.labelsize": 10, "axes.titlesize": 11.5}):
        figure = Figure(figsize=(5.6, 5.0), layout="constrained", facecolor="white")
        above, axes = figure.subplots(2, 1, height_ratios=(0.42, 1))
        sketch(above, rod)
        ends = []
        for name, values in moved.items():
            x, y = (np.array([v[layers == k].mean() for k in np.unique(layers)]) for v in (distance, values))
            axes.plot(distance, values, "o", color=colours[name], ms=3.2, mew=0, alpha=0.55)
            axes.plot(x, y, color=colours[name], lw=1.2 if name == "reference" else 2.0, ls=dashes.get(name, "-"))
            ends.append((float(x[-1]), float(y[-1]), name, colours[name]))
        axes.set(xlabel="distance of the sodium (Å)", ylabel="charge moved to the end (e)")
        axes.set(xlim=(distance.min() - 0.6, distance.max() + 0.6), ylim=(None, 0.01))
        shade_trained(axes, TRAINED, named=True)
        label_ends(axes, ends)
        figure.savefig(path, dpi=200, facecolor="white", metadata={"Software": None})


def sketch(axes: Axes, rod: ase.Atoms) -> None:
    """The rod from the side, and what the chlorine sees of it."""
    place = rod.positions[:, [2, 1]] - rod.positions[0, [2, 1]]
    for k in np.argsort(rod.positions[:, 0], kind="stable"):
        size, colour = (70, "#d9b3ff") if rod.symbols[k] == "Na" else (150, "#9fd89f")
        width = 1.6 if k in (0, len(rod) - 1) else 0.5
        axes.scatter(*place[k], s=size, color=colour, edgecolor="#1c2330", lw=width, zorder=2)
    axes.add_patch(mpl.patches.Circle((0, 0), CUTOFF, color=SHADE, zorder=0, lw=0))
    axes.text(0, -3.9, "5 Å", color=FAINT, ha="center", fontsize=8.5)
    axes.text(0, 0.9, "Cl", ha="center", fontsize=9)
    axes.text(place[-1][0] + 0.9, place[-1][1], "Na, or none", va="center", fontsize=9)
    axes.set(xlim=(-5.2, place[:, 0].max() + 7.5), ylim=(-5.2, 6.2), aspect="equal")
    axes.set_title("Charge that crosses a rod of salt", pad=8)
    axes.axis("off")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
