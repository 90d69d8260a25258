"""Binding energies against distance: where long-range physics shows."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from farfield.atomic_write import write_atomically
from farfield.errors import InputError
from farfield.evaluation.errors import significant
from farfield.evaluation.record import Floats, Integers
from farfield.report.curves import DistanceCurve, binding, curve, groups_along_distance, smooth
from farfield.report.result import RunResult, longest_trained
from farfield.report.style import (
    FAINT,
    INK,
    PAPER,
    RC,
    SHADE,
    Look,
    Picture,
    formula,
    label_ends,
    logarithmic,
    looks,
    picture,
)

GOAL = 10.0
"""meV or me: a line to hold the errors against."""

MOST_POINTS = 400
"""Points drawn of one curve; beyond them a sample stands for all."""

Ends = list[tuple[float, float, str, str]]


def binding_pictures(runs: Sequence[RunResult]) -> dict[str, Picture]:
    """For every group with a distance: binding energies, and their errors on a logarithmic axis."""
    out = {}
    for group in groups_along_distance(runs, binding):
        with mpl.rc_context(RC):
            figure = Figure(figsize=(4.3, 4.4), layout="constrained")
            top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(1.45, 1))
            draw_binding(top, bottom, runs, group=group)
        out[group] = picture(figure, _in_words(runs, group))
    return out


def save_binding_picture(
    path: Path | str,
    runs: Sequence[RunResult],
    *,
    groups: Sequence[str] | None = None,
    reference: str = "DFT",
) -> Path:
    """Write one PNG: binding energies and their errors, a column a group (three at most, unless ``groups`` says so).

    Raises:
        InputError: no run knows binding energies along a distance, a group is unknown, or the folder cannot be written.
    """
    known = groups_along_distance(runs, binding)
    chosen = known[:3] if groups is None else list(groups)
    if not chosen or set(chosen) - set(known):
        raise InputError(
            f"no binding curve of {', '.join(chosen) or 'any group'}; there are: {', '.join(known) or 'none'}"
        )
    with mpl.rc_context(
        RC | {"font.size": 10, "axes.titlesize": 12, "axes.labelsize": 10, "figure.facecolor": "white"}
    ):
        figure = Figure(figsize=(4.1 * len(chosen) + 0.4, 5.6), layout="constrained")
        axes = figure.subplots(2, len(chosen), sharex="col", height_ratios=(1.5, 1), squeeze=False)
        for column, group in enumerate(chosen):
            draw_binding(axes[0, column], axes[1, column], runs, group=group, reference=reference)
            if column:
                axes[0, column].set_ylabel("")
                axes[1, column].set_ylabel("")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=200, facecolor="white", metadata={"Software": None})
    write_atomically(Path(path), buffer.getvalue())
    return Path(path)


def draw_binding(
    top: Axes, bottom: Axes, runs: Sequence[RunResult], *, group: str, reference: str = "reference"
) -> None:
    """One group: the curves above, the size of their errors below; call within the style."""
    curves = [(run.name, look, c) for run, look in zip(runs, looks(runs)) if (c := curve(run, group, binding))]
    draw_along_distance(top, curves, reference=reference)
    top.axhline(0, color=FAINT, linewidth=0.6, zorder=1)
    top.set_title(formula(group), pad=15)
    top.set(ylabel="binding energy (eV)", xlabel="")
    draw_errors(bottom, curves, unit="meV")
    boundary = longest_trained(runs, group)
    for axes in (top, bottom):
        shade_trained(axes, boundary, named=axes is top)


def draw_along_distance(
    axes: Axes, curves: list[tuple[str, Look, DistanceCurve]], *, reference: str, level: float = float("nan")
) -> None:
    """Reference and models against distance: a point a frame, a line through them, the name at its end.

    ``level`` is a value to mark and to keep in sight (nan: none).
    """
    ends: Ends = []
    known = max((c for _, _, c in curves), key=lambda c: int(np.isfinite(c.reference).sum()))
    labelled = np.isfinite(known.reference)
    if labelled.any():
        x, y = known.distance[labelled], known.reference[labelled]
        ends.append(_draw_reference(axes, x, y, name=reference))
    for name, look, c in curves:
        some = _sample(len(c.distance))
        axes.plot(
            c.distance[some], c.predicted[some], look.marker, color=look.colour, markersize=2.8, alpha=0.75, mew=0
        )
        x, y = smooth(c.distance, c.predicted)
        axes.plot(x, y, color=look.colour, linestyle=look.dashes, linewidth=1.6, zorder=3)
        ends.append((float(x[-1]), float(y[-1]), name, look.colour))
    _frame(axes, curves)
    if np.isfinite(level):
        low, high = axes.get_ylim()
        margin = 0.05 * (high - low)
        axes.set_ylim(min(low, level - margin), max(high, level + margin))
        axes.axhline(level, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    label_ends(axes, ends)


def draw_errors(axes: Axes, curves: list[tuple[str, Look, DistanceCurve]], *, unit: str) -> None:
    """Size of the errors of models in thousandths (``unit``) against distance, on a logarithmic axis."""
    axes.set_yscale("log")
    for _, look, c in curves:
        labelled = np.isfinite(c.reference)
        if not labelled.any():
            continue
        # a hundredth of a thousandth is as good as none, and zero has no logarithm
        x, size = c.distance[labelled], np.maximum(1e3 * np.abs(c.predicted - c.reference)[labelled], 1e-2)
        some = _sample(len(x))
        axes.plot(x[some], size[some], look.marker, color=look.colour, markersize=2.8, alpha=0.6, mew=0)
        line_x, line_y = smooth(x, np.log10(size), neighbors=10)
        axes.plot(line_x, 10**line_y, color=look.colour, linestyle=look.dashes, linewidth=1.6)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.5 * GOAL), max(high, 2 * GOAL))
    axes.axhline(GOAL, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.annotate(
        f"{GOAL:g} {unit}", (1.035, GOAL), xycoords=axes.get_yaxis_transform(), va="center", color=FAINT, fontsize=7.5
    )
    logarithmic(axes.yaxis)
    axes.set(xlabel="distance (Å)", ylabel=f"|error| ({unit})")


def shade_trained(axes: Axes, boundary: float, *, named: bool) -> None:
    """Mark what training has seen, up to ``boundary`` Å (nan: nothing is known of it)."""
    if not np.isfinite(boundary):
        return
    low, high = axes.get_xlim()
    axes.axvspan(low, boundary, color=SHADE, zorder=0, linewidth=0)
    axes.set_xlim(low, high)
    if named:
        for words, side, offset in (("trained", "right", -4), ("not seen", "left", 4)):
            axes.annotate(
                words, (boundary, 1.0), xycoords=axes.get_xaxis_transform(), xytext=(offset, 2),
                textcoords="offset points", ha=side, va="bottom", color=FAINT, fontsize=7.5,
            )  # fmt: skip


def _draw_reference(axes: Axes, x: Floats, y: Floats, *, name: str) -> tuple[float, float, str, str]:
    some = _sample(len(x))
    axes.plot(x[some], y[some], "o", mfc="none", mec=INK, mew=0.8, markersize=5, zorder=2.5)
    line_x, line_y = smooth(x, y)
    axes.plot(line_x, line_y, color=INK, linewidth=0.9, zorder=2.4)
    return float(line_x[-1]), float(line_y[-1]), name, INK


def _frame(axes: Axes, curves: list[tuple[str, Look, DistanceCurve]]) -> None:
    """Limits that the reference sets: a model gone astray must not flatten everything else; say what is cut off."""
    references = np.concatenate([c.reference for _, _, c in curves])
    predicted = np.concatenate([c.predicted for _, _, c in curves])
    shown = references[np.isfinite(references)] if np.isfinite(references).any() else predicted
    low, high = float(shown.min()), float(shown.max())
    room = 0.5 * (high - low) or 0.1 * abs(high) or 0.1
    low, high = max(low - room, min(low, predicted.min())), min(high + room, max(high, predicted.max()))
    margin = 0.05 * (high - low) or 0.05
    axes.set_ylim(low - margin, high + margin)
    distances = np.concatenate([c.distance for _, _, c in curves])
    margin = 0.03 * float(np.ptp(distances)) or 0.1
    axes.set_xlim(distances.min() - margin, distances.max() + margin)
    if cut := int(((predicted < low) | (predicted > high)).sum()):
        axes.text(
            0.99, 0.02, f"{cut} predictions beyond the frame", transform=axes.transAxes, ha="right", color=FAINT,
            fontsize=7.5, bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.7, "pad": 1},
        )  # fmt: skip


def _sample(count: int) -> Integers:
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).astype(int))


def _in_words(runs: Sequence[RunResult], group: str) -> str:
    boundary = longest_trained(runs, group)
    parts = []
    for run in runs:
        if (c := curve(run, group, binding)) is None:
            continue
        near = ~(c.distance > boundary)
        said = [f"{_rmse(c, here)} {where}" for here, where in ((near, "near"), (~near, "far")) if _rmse(c, here)]
        parts.append(f"{run.name} {', '.join(said)}")
    where = f", training reaches {boundary:.1f} Å" if np.isfinite(boundary) else ""
    return f"Binding energy of {group} against distance{where}. Root mean square errors: {'; '.join(parts)}."


def _rmse(c: DistanceCurve, here: NDArray[np.bool_]) -> str:
    difference = 1e3 * (c.predicted - c.reference)[here]
    difference = difference[np.isfinite(difference)]
    return f"{significant(float(np.sqrt(np.mean(difference**2))))} meV" if len(difference) else ""
