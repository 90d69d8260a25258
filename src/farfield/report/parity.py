"""Predicted against reference."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgba
from matplotlib.figure import Figure

from farfield.evaluation import Evaluation
from farfield.evaluation.errors import significant
from farfield.evaluation.record import Floats
from farfield.quantities import PER_ATOM, QUANTITIES, Quantity
from farfield.report.result import RunResult
from farfield.report.style import FAINT, PAPER, RC, Look, Picture, looks, picture

MOST_POINTS = 2000
"""Points drawn one by one; more of them are drawn by their density."""


@dataclass(frozen=True)
class Parity:
    """Titles, units and scale of the parity plot of one target."""

    target: str
    title: str
    axis: str  # unit of the axes
    unit: str  # of the errors quoted
    scale: float  # from the one to the other


def _parity(quantity: Quantity) -> Parity:
    """Energies by atom, and stresses, of which one inside is enormous, in the unit that errors are quoted in."""
    per_atom = "/atom" if quantity.name == "energy" else ""
    if quantity.name == "stress":
        return Parity(quantity.name, quantity.label, quantity.quoted, quantity.quoted, 1.0)
    units = quantity.unit + per_atom, quantity.quoted + per_atom
    return Parity(quantity.name, quantity.label, *units, quantity.scale)


PARITIES = (*map(_parity, QUANTITIES.values()), Parity("binding", "Binding energy", "eV", "meV", 1e3))


def parity_pictures(runs: Sequence[RunResult], split: str, parity: Parity) -> list[Picture]:
    """One square a run, all on the same axes."""
    found = []
    for run, look in zip(runs, looks(runs)):
        if split in run.evaluations:
            reference, predicted = points(run.evaluations[split], parity.target)
            if len(reference):
                found.append((run.name, look, reference, predicted))
    if not found:
        return []
    limits = _limits([reference for _, _, reference, _ in found])
    return [_square(parity, limits, name=n, look=k, values=(r, p)) for n, k, r, p in found]


def points(evaluation: Evaluation, target: str) -> tuple[Floats, Floats]:
    """Reference and prediction of every labelled number, as plotted."""
    both = evaluation.compared.get(target)
    if both is None:
        return np.empty(0), np.empty(0)
    reference, predicted = both.reference, both.predicted
    if target == "energy":
        zero = _composition_energy(evaluation)
        reference, predicted = ((values - zero) / evaluation.n_atoms for values in (reference, predicted))
    if target == "stress":
        reference, predicted = 1e3 * reference, 1e3 * predicted
    labelled = np.isfinite(reference) & np.isfinite(predicted)
    return reference[labelled], predicted[labelled]


def _composition_energy(evaluation: Evaluation) -> Floats:
    """Best fit of the reference by a constant for each element ``(frames,)`` eV: what is left is chemistry."""
    reference = evaluation.compared["energy"].reference
    known = np.isfinite(reference)
    elements, column = np.unique(evaluation.numbers, return_inverse=True)
    counts = np.zeros((evaluation.n_frames, len(elements)))
    np.add.at(counts, (evaluation.frame, column), 1.0)
    return np.asarray(counts @ np.linalg.lstsq(counts[known], reference[known], rcond=None)[0])


def _limits(references: list[Floats]) -> tuple[float, float]:
    """Find the limits of the reference, with some room; predictions beyond are pushed onto the border."""
    values = np.concatenate(references)
    low, high = float(values.min()), float(values.max())
    room = 0.1 * (high - low) or 0.1 * abs(high) or 0.1
    return low - room, high + room


def _square(
    parity: Parity, limits: tuple[float, float], *, name: str, look: Look, values: tuple[Floats, Floats]
) -> Picture:
    reference, predicted = values
    rmse = f"{significant(parity.scale * float(np.sqrt(np.mean((predicted - reference) ** 2))))} {parity.unit}"
    with mpl.rc_context(RC):
        figure = Figure(figsize=(2.9, 3.0), layout="constrained")
        axes = figure.subplots()
        axes.plot(limits, limits, color=FAINT, linewidth=0.8, zorder=1)
        _draw_points(axes, reference, np.clip(predicted, *limits), look=look, limits=limits)
        axes.set(xlim=limits, ylim=limits, aspect="equal")
        axes.set_title(name, color=look.colour)
        axes.set(xlabel=f"reference ({parity.axis})", ylabel=f"predicted ({parity.axis})")
        axes.text(
            0.04, 0.96, f"RMSE {rmse}\n{_count(parity, len(reference))}", transform=axes.transAxes, va="top",
            linespacing=1.5, bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
        )  # fmt: skip
    return picture(figure, f"{parity.title}: {name} against reference, {len(reference)} points, RMSE {rmse}.")


def _draw_points(axes: Axes, x: Floats, y: Floats, *, look: Look, limits: tuple[float, float]) -> None:
    if len(x) <= MOST_POINTS:
        axes.plot(x, y, look.marker, color=look.colour, markersize=3.2, alpha=0.55, mew=0, rasterized=len(x) > 300)
        return
    # from a veil to the full colour, so that the page shines through in light and dark alike
    shades = LinearSegmentedColormap.from_list("density", [to_rgba(look.colour, 0.18), to_rgba(look.colour, 1.0)])
    axes.hexbin(
        x, y, gridsize=70, extent=(*limits, *limits), mincnt=1, cmap=shades, norm=LogNorm(), linewidths=0,
        rasterized=True, zorder=2,
    )  # fmt: skip


def _count(parity: Parity, count: int) -> str:
    quantity = QUANTITIES.get(parity.target)
    components = quantity is not None and quantity.shape != ()
    points = quantity is not None and quantity.per_point
    rows = "atoms" if parity.target in PER_ATOM else "points" if points else "frames"
    what = "components" if components else rows
    return f"{count:,} {what}".replace(",", " ")
