"""Numbers side by side: runs are columns, the best of a row stands out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from farfield.evaluation import MEASURES, ErrorRow, Measure, errors
from farfield.evaluation.errors import differences, significant
from farfield.report.result import SPLIT_NAMES, RunResult, longest_trained, splits_of
from farfield.report.style import formula

NOTHING = "–"
HEADLINES = tuple(measure for measure in MEASURES if measure.name != "energy")
"""Without the total energy: beside the energy per atom it says little more."""


@dataclass(frozen=True)
class Cell:
    """One number as it is shown."""

    text: str
    aside: str = ""  # smaller, below
    best: bool = False
    value: float = float("nan")


@dataclass(frozen=True)
class Line:
    """One row of a table."""

    label: str
    unit: str
    cells: tuple[Cell, ...]
    count: int = 0


@dataclass(frozen=True)
class Block:
    """Rows that belong together."""

    title: str
    unit: str
    lines: tuple[Line, ...]


def verdict(runs: Sequence[RunResult], split: str) -> list[Line]:
    """RMSE of every target on one split; binding also on either side of what training has seen."""
    lines = []
    for measure in HEADLINES:
        lines.append(_line(measure.label, measure.unit, [_whole(run, split, measure) for run in runs]))
        if measure.name == "binding":
            lines += _near_and_far(runs, split, measure)
    return [line for line in lines if line.count]


def by_split(runs: Sequence[RunResult]) -> list[Block]:
    """Tabulate every measure, a line a split."""
    tables = [{split: errors(e) for split, e in run.evaluations.items()} for run in runs]
    out = []
    for measure in MEASURES:
        lines = []
        for split in splits_of(runs):
            rows = [_find(table.get(split, []), measure, None) for table in tables]
            lines.append(_line(SPLIT_NAMES.get(split, split), measure.unit, rows))
        out.append(Block(measure.label, measure.unit, tuple(line for line in lines if line.count)))
    return [block for block in out if block.lines]


def by_group(runs: Sequence[RunResult], split: str) -> list[Block]:
    """Tabulate every measure, a line a group of one split."""
    tables = [errors(run.evaluations[split]) if split in run.evaluations else [] for run in runs]
    groups = list(dict.fromkeys(row.group for table in tables for row in table if row.group is not None))
    out = []
    for measure in HEADLINES:
        lines = [_line(formula(g), measure.unit, [_find(table, measure, g) for table in tables]) for g in groups]
        out.append(Block(measure.label, measure.unit, tuple(line for line in lines if line.count)))
    return [block for block in out if block.lines]


def timings(runs: Sequence[RunResult], split: str) -> list[Line]:
    """List what each run costs."""
    pace = [1e6 * r.evaluations[split].seconds_per_atom if split in r.evaluations else np.nan for r in runs]
    rows: list[tuple[str, str, list[float], Callable[[float], str]]] = [
        ("Parameters", "", [float(run.parameters or np.nan) for run in runs], thousands),
        ("Epochs", "", [float(len(run.history) or np.nan) for run in runs], thousands),
        ("Training", "", [run.train_seconds for run in runs], duration),
        ("Prediction", "µs/atom", pace, significant),
    ]
    return [
        Line(label, unit, tuple(Cell(show(v) if np.isfinite(v) else NOTHING) for v in values))
        for label, unit, values, show in rows
        if np.isfinite(values).any()
    ]


def sentence(lines: Sequence[Line], names: Sequence[str]) -> str:
    """The verdict in words."""
    if not lines:
        return ""
    if len(names) == 1:
        said = ", ".join(f"{_inner(line.label)} {line.cells[0].text} {line.unit}" for line in lines)
        return f"Root mean square errors: {said}."
    for name, column in zip(names, zip(*(line.cells for line in lines))):
        if all(cell.best for cell in column):
            return f"{name} has the smallest error in everything measured."
    won: dict[str, list[str]] = {}
    for line in lines:
        if first := [name for name, cell in zip(names, line.cells) if cell.best]:
            won.setdefault(" and ".join(first), []).append(_inner(line.label))
    said = "; ".join(f"{name} in {', '.join(what)}" for name, what in won.items())
    return f"Smallest errors: {said}."


def thousands(value: float) -> str:
    """12 345, with thin spaces."""
    return f"{value:,.0f}".replace(",", "\u2009")


def duration(seconds: float) -> str:
    """Write a time as one would say it: 42 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _inner(label: str) -> str:
    """A label inside a sentence."""
    return label[0].lower() + label[1:]


def _near_and_far(runs: Sequence[RunResult], split: str, measure: Measure) -> list[Line]:
    boundary = longest_trained(runs)
    if not np.isfinite(boundary):
        return []
    sides = []
    for far, words in ((False, "up to"), (True, "beyond")):
        rows = [_side(run, split, measure, boundary=boundary, far=far) for run in runs]
        sides.append(_line(f"{measure.label} {words} {boundary:.1f} Å", measure.unit, rows))
    # one side alone says what the line above has said already
    return sides if all(line.count for line in sides) else []


def _side(run: RunResult, split: str, measure: Measure, *, boundary: float, far: bool) -> ErrorRow | None:
    if split not in run.evaluations:
        return None
    evaluation = run.evaluations[split]
    difference, frame = differences(evaluation, measure)
    distance = evaluation.distance[frame]
    return ErrorRow.of(measure, difference[(distance > boundary) if far else (distance <= boundary)])


def _whole(run: RunResult, split: str, measure: Measure) -> ErrorRow | None:
    return _find(errors(run.evaluations[split]), measure, None) if split in run.evaluations else None


def _find(rows: Sequence[ErrorRow], measure: Measure, group: str | None) -> ErrorRow | None:
    return next((row for row in rows if row.measure == measure.name and row.group == group), None)


def _line(label: str, unit: str, rows: Sequence[ErrorRow | None]) -> Line:
    cells = [
        Cell(NOTHING)
        if row is None
        else Cell(significant(row.rmse), f"MAE {significant(row.mae)} · max {significant(row.max)}", value=row.rmse)
        for row in rows
    ]
    return Line(label, unit, tuple(_with_best(cells)), max((row.count for row in rows if row is not None), default=0))


def _with_best(cells: list[Cell]) -> list[Cell]:
    """Mark the smallest number, and all that read the same; nothing wins against itself."""
    values = [cell.value for cell in cells if np.isfinite(cell.value)]
    if len(cells) < 2 or not values:
        return cells
    smallest = significant(min(values))
    return [replace(cell, best=cell.text == smallest) for cell in cells]
