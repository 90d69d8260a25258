"""The scorecard of one model as a page: every law, what must be, what was found, and the plots."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from farfield.probe import LAWS, Finding, Scorecard
from farfield.probe.finding import Curve, Plot
from farfield.report.laws import GLYPHS, found_in_words, summary, value
from farfield.report.page import render
from farfield.report.style import FAINT, RC, Picture, logarithmic, picture
from farfield.report.tables import duration

_COLOURS = ("#3182c4", "#d55e00", "#009e73", "#c66da0", "#b8860b", "#56b4e9")


@dataclass(frozen=True)
class Row:
    """One law as the page shows it."""

    finding: Finding
    glyph: str
    expected: str
    found: str
    tolerance: str


def write_scorecard(path: Path | str, card: Scorecard, *, title: str, notes: tuple[str, ...] = ()) -> Path:
    """Write the page: a single file, no address outside, whole or not at all.

    Raises:
        InputError: a folder that cannot be written.
    """
    chapters: dict[str, list[Row]] = {}
    for finding in card.findings:
        chapters.setdefault(LAWS[finding.law].chapter, []).append(_row(finding))
    return render(
        path, "scorecard.html.j2", title=title, sentence=summary(card), warnings=card.warnings,
        subtitle=f"judged in {duration(card.seconds)}",
        chapters=list(chapters.items()), failed=card.failed, notes=notes,
        pictures=[(f.title, _picture(f, f.plot)) for f in card.findings if f.plot is not None],
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    )  # fmt: skip


def _row(finding: Finding) -> Row:
    return Row(
        finding, GLYPHS[finding.status], value(finding.expected), found_in_words(finding), value(finding.tolerance)
    )


def _picture(finding: Finding, plot: Plot) -> Picture:
    with mpl.rc_context(RC):
        figure = Figure(figsize=(4.3, 2.9), layout="constrained")
        axes = figure.subplots()
        scale = "log" if plot.logarithmic else "linear"
        axes.set(xscale=scale, yscale=scale, title=finding.title, xlabel=plot.x_label, ylabel=plot.y_label)
        colours = iter(_COLOURS * len(plot.curves))
        for curve in plot.curves:
            _draw(axes, curve, FAINT if curve.role == "expected" else next(colours), plot)
        if plot.logarithmic:
            logarithmic(axes.xaxis)
            logarithmic(axes.yaxis)
        else:
            _calm(axes)
        if len(plot.curves) > 1:
            axes.legend(frameon=False, fontsize=8)
    verdict = {"pass": "The law holds", "fail": "The law is broken"}.get(finding.status, "For information")
    names = " and ".join(curve.label for curve in plot.curves)
    return picture(figure, f"{plot.y_label} against {plot.x_label}: {names}. {verdict}.")


def _calm(axes: Axes) -> None:
    """Widen an axis on which all is constant to a thousandth: rounding does not fill the picture."""
    low, high = axes.get_ylim()
    middle = (low + high) / 2
    if high - low < 1e-3 * abs(middle):
        axes.set_ylim(middle - 0.05 * abs(middle), middle + 0.05 * abs(middle))


def _draw(axes: Axes, curve: Curve, colour: str, plot: Plot) -> None:
    x, y = np.array(curve.x), np.array(curve.y)
    drawn = np.isfinite(x) & np.isfinite(y)
    if plot.logarithmic:
        drawn &= (x > 0) & (y > 0)
    if curve.role == "expected":
        axes.plot(x[drawn], y[drawn], color=colour, linewidth=4, alpha=0.35, label=curve.label)
    else:
        marker = "o" if len(x) <= 30 else ""
        line = "" if plot.y_label.startswith("minus") else "-"
        label = curve.label if drawn.any() else f"{curve.label}: nothing"
        axes.plot(x[drawn], y[drawn], color=colour, marker=marker, markersize=3.5, linestyle=line, label=label)
