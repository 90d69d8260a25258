"""Learning curves: errors against epochs and time."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from farfield.evaluation.errors import significant
from farfield.evaluation.record import Floats
from farfield.quantities import QUANTITIES
from farfield.report.result import RunResult
from farfield.report.style import RC, Look, Picture, label_ends, logarithmic, looks, picture

_UNIT = {"energy": "meV/atom"}
_ABSCISSAE = {"epoch": "epoch", "seconds": "training time (s)"}
_NO_CURVES = {"epoch", "seconds", "learning_rate", "step", "steps"}


def learning_pictures(runs: Sequence[RunResult]) -> list[Picture]:
    """Every recorded error against epochs and against time: validation solid, training faint."""
    return [
        _panel(runs, quantity, along)
        for quantity in _quantities(runs)
        for along in _ABSCISSAE
        if any(_column(run, along).size for run in runs)
    ]


def _quantities(runs: Sequence[RunResult]) -> list[str]:
    """Recorded columns without their split, those that matter first."""
    columns = [key for run in runs for row in run.history for key in row if key not in _NO_CURVES]
    names = dict.fromkeys(key.removeprefix("valid_").removeprefix("train_") for key in columns)
    usable = [n for n in names if any((_column(r, f"{s}{n}") > 0).sum() > 0 for r in runs for s in _PREFIXES)]
    return sorted(usable, key=lambda name: ("rmse" not in name, name == "loss"))


_PREFIXES = ("valid_", "train_", "")


def _panel(runs: Sequence[RunResult], quantity: str, along: str) -> Picture:
    title, axis = _names(quantity)
    ends, said = [], []
    with mpl.rc_context(RC):
        figure = Figure(figsize=(4.3, 2.9), layout="constrained")
        axes = figure.subplots()
        axes.set(xscale="log", yscale="log", title=title, xlabel=_ABSCISSAE[along], ylabel=axis)
        for run, look in zip(runs, looks(runs)):
            if (end := _draw(axes, run, look, (quantity, along))) is not None:
                ends.append((*end, run.name, look.colour))
                said.append(f"{run.name} {significant(end[1])}")
        if ends:
            logarithmic(axes.xaxis)
            logarithmic(axes.yaxis)
            label_ends(axes, ends)
    return picture(figure, f"{title} against {_ABSCISSAE[along]}. At the end: {'; '.join(said)}.")


def _draw(axes: Axes, run: RunResult, look: Look, what: tuple[str, str]) -> tuple[float, float] | None:
    """Draw one run; where its most telling curve ends."""
    quantity, along = what
    end = None
    for prefix in reversed(_PREFIXES):
        x, y = _column(run, along), _column(run, f"{prefix}{quantity}")
        if not len(x) or not len(y):
            continue
        drawn = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
        if not drawn.any():
            continue
        faint = prefix == "train_"
        axes.plot(
            x[drawn], y[drawn], color=look.colour, linestyle=look.dashes, linewidth=1.0 if faint else 1.7,
            alpha=0.4 if faint else 1.0, marker="o" if drawn.sum() == 1 else None, markersize=4,
        )  # fmt: skip
        end = float(x[drawn][-1]), float(y[drawn][-1])
    return end


def _column(run: RunResult, name: str) -> Floats:
    """One column of the history, nan where a row has none; empty where no row has it."""
    if name == "epoch" and run.history and not any("epoch" in row for row in run.history):
        return np.arange(1.0, len(run.history) + 1)
    if not any(name in row for row in run.history):
        return np.empty(0)
    values = np.array([float(row.get(name, np.nan)) for row in run.history])
    # epochs counted from zero have no place on a logarithmic axis
    return values + 1 if name == "epoch" and (values == 0).any() else values


def _thousandth(target: str) -> str:
    """The log holds thousandths of what is inside, whatever errors are quoted in elsewhere."""
    quantity = QUANTITIES[target]
    return quantity.quoted if quantity.scale == 1e3 else f"10⁻³ {quantity.unit}"


def _names(quantity: str) -> tuple[str, str]:
    """Title and axis label of a recorded column."""
    target, _, size = quantity.rpartition("_")
    if target in QUANTITIES and size in ("rmse", "mae"):
        return f"{QUANTITIES[target].label} error", f"{size.upper()} ({_UNIT.get(target, _thousandth(target))})"
    return quantity.replace("_", " ").capitalize(), quantity.replace("_", " ")
