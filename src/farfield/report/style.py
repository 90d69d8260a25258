"""The look of all pictures: colours, axes, and figures that follow the page's light or dark."""

import base64
import io
import itertools
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from ase.data import chemical_symbols
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from farfield.evaluation.record import Floats
from farfield.paradigms.registry import PARADIGMS
from farfield.report.result import RunResult

PAPER, INK, FAINT, GRID, SHADE = "#fefefe", "#1c2330", "#667084", "#e4e8ee", "#e9f0f9"
_DARK = {PAPER: "#171b22", INK: "#e7eaf0", FAINT: "#98a2b3", GRID: "#2c333f", SHADE: "#202c3d"}
_PAGE_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

_PALETTE = (
    "#d55e00", "#3182c4", "#009e73", "#c66da0", "#b8860b", "#56b4e9", "#8c7ae6", "#a0522d", "#e69f00", "#7f8c8d",
    "#6b8e23", "#cf3759", "#20b2aa", "#5b5ea6",
)  # fmt: skip
"""Of paradigms in the order of the registry, where ours come first."""
_SPARE = ("#e69f00", "#3182c4", "#009e73", "#c66da0", "#56b4e9", "#d55e00", "#8c7ae6", "#7f8c8d")
_MARKERS = "osD^vPXp"
_DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (6, 1.5, 1, 1.5)),
    (0, (2, 1)),
    "-",
    (0, (5, 1.5)),
    "-",
    (0, (2, 1)),
)

LONGEST_NAME = 22
"""Letters of a name beside a curve: longer ones would leave it no room."""

RC = {
    "font.size": 8.5,
    "axes.labelsize": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "svg.fonttype": "none",
    "svg.hashsalt": "farfield",
    "axes.unicode_minus": True,
}


@dataclass(frozen=True)
class Look:
    """Look of one run everywhere on the page; the marker and dashes tell it apart without colour."""

    colour: str
    marker: str
    dashes: Any


@dataclass(frozen=True)
class Picture:
    """A figure ready for the page."""

    address: str  # data URI
    alternative: str  # what it shows, for those who cannot see it
    width: int  # points
    height: int


def looks(runs: Sequence[RunResult]) -> list[Look]:
    """A colour for every run: its paradigm's own, unless another run has it already."""
    known, taken = dict(zip(PARADIGMS, itertools.cycle(_PALETTE))), list[str]()
    for run in runs:
        own = known.get(run.name) or known.get(run.kind)
        reserved = {colour for r in runs if (colour := known.get(r.name))}
        free = [c for c in _SPARE if c not in taken and c not in reserved] or [c for c in _SPARE if c not in taken]
        taken.append(own if own and own not in taken else (free or _SPARE)[0])
    return [Look(c, _MARKERS[k % len(_MARKERS)], _DASHES[k % len(_DASHES)]) for k, c in enumerate(taken)]


def picture(figure: Figure, alternative: str) -> Picture:
    """The figure as a themed SVG in a data URI: no font, no file and no address outside."""
    buffer = io.BytesIO()
    with mpl.rc_context(RC), warnings.catch_warnings():
        # the browser has the glyphs that matplotlib's own font lacks
        warnings.filterwarnings("ignore", message=r"(?s)Glyph .* missing")
        figure.savefig(buffer, format="svg", dpi=220, metadata={"Date": None, "Creator": None})
    text = _themed(buffer.getvalue().decode())
    width, height = (round(72 * size) for size in figure.get_size_inches())
    return Picture("data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode(), alternative, width, height)


def _themed(svg: str) -> str:
    """Colours as variables that change with the reader's preference; never on paper."""
    names = {colour: f"--c{k}" for k, colour in enumerate(_DARK)}
    light = "".join(f"{name}:{colour};" for colour, name in names.items())
    dark = "".join(f"{names[colour]}:{shade};" for colour, shade in _DARK.items())
    svg = re.sub(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub("|".join(names), lambda found: f"var({names[found[0]]})", svg)
    svg = svg.replace("'DejaVu Sans'", _PAGE_FONT)
    style = f"<style>:root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    return re.sub(r"(<svg[^>]*>)", lambda found: found[1] + style, svg, count=1)


def logarithmic(axis: Axis) -> None:
    """Ticks of a logarithmic axis as plain numbers; between the decades too where there are few."""
    low, high = axis.get_view_interval()
    decades = np.log10(high / low)
    steps = (1.0,) if decades > 2.5 else (1.0, 2.0, 5.0) if decades > 0.9 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
    axis.set_major_locator(LogLocator(10, subs=steps, numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axis.set_minor_locator(FixedLocator([]))
    axis.set_minor_formatter(NullFormatter())


def plain(value: float) -> str:
    """0.02, 10, 3000, or 2·10⁻⁵ where that is shorter."""
    if value <= 0 or 1e-3 <= value < 1e5:
        return f"{value:g}"
    mantissa, exponent = f"{value:.0e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if mantissa == "1" else f"{mantissa}·10{raised}"


_FORMULA = re.compile(r"(?![A-Z][a-z]?\d+[+-])((?:[A-Z][a-z]?\d*)+)([+-]?)")  # not Ca2+: charge two, or two atoms?
_LOW = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_HIGH = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")


def formula(group: str) -> str:
    """A group's name as chemists set it where it reads as formulas: "NH4+ H2O" is NH₄⁺⋯H₂O; else as it is."""
    words = [_FORMULA.fullmatch(word) for word in group.split(" ")]
    found = [w for w in words if w is not None and set(re.findall("[A-Z][a-z]?", w[1])) <= set(chemical_symbols)]
    if len(found) < len(words):
        return group
    return "⋯".join(w[1].translate(_LOW) + w[2].translate(_HIGH) for w in found)


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, str]], *, gap: float = 0.085) -> None:
    """Names of curves at their right ends, (x, y, name, colour) each, moved apart where they would collide."""
    if not ends:
        return
    to_fraction = axes.transData + axes.transAxes.inverted()
    at = np.array([to_fraction.transform((x, y))[1] for x, y, _, _ in ends])
    for (x, y, name, colour), height in zip(ends, spread(np.clip(at, 0, 1), gap)):
        axes.annotate(
            name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…",
            xy=(x, y),
            xycoords="data",
            xytext=(1.035, height),
            textcoords="axes fraction",
            va="center",
            color=colour,
            fontsize=8,
            annotation_clip=False,
        )


def spread(wanted: Floats, gap: float) -> Floats:
    """Positions as near to ``wanted`` (each in 0-1) as a gap between neighbours allows, in the order given.

    Pools neighbours that collide and centres each pool where its members wanted to be.
    """
    order = np.argsort(wanted, kind="stable")
    pools: list[list[float]] = []
    for target in wanted[order]:
        pools.append([float(target)])
        while len(pools) > 1 and _low(pools[-1], gap) < _high(pools[-2], gap) + gap:
            last = pools.pop()
            pools[-1] += last
    out = np.empty(len(wanted))
    out[order] = np.concatenate([_low(pool, gap) + gap * np.arange(len(pool)) for pool in pools] or [np.empty(0)])
    return out - max(0.0, float(out.max(initial=0.0)) - 1.0) - min(0.0, float(out.min(initial=0.0)))


def _low(pool: list[float], gap: float) -> float:
    return float(np.mean(pool)) - gap * (len(pool) - 1) / 2


def _high(pool: list[float], gap: float) -> float:
    return float(np.mean(pool)) + gap * (len(pool) - 1) / 2
