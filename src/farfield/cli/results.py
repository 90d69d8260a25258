"""Results of trained models, shown at the end."""

from collections.abc import Collection
from pathlib import Path

from rich.console import Console
from rich.table import Table

from farfield.cli.notices import show_notice
from farfield.cli.progress import clock
from farfield.notices import Notice
from farfield.report import RunResult
from farfield.report.result import SPLIT_NAMES, headline_split
from farfield.train.run import REPORT

MOST_COLUMNS = 5
"""Runs whose names and numbers a terminal has room for side by side."""


def show(results: list[RunResult], folder: Path, *, said: Collection[str] = ()) -> None:
    """Print the table at the end, warnings and notes that were not ``said`` before, and where the rest is."""
    console = Console()
    split = headline_split(results)
    if split:
        console.print(_errors(results, split))
    for warning in dict.fromkeys(warning for result in results for warning in result.warnings):
        if warning not in said:
            show_notice(Notice("warning", warning))
    for result in results:
        for note in (note for note in result.notes if note not in said):
            console.print(f"{result.name}: {note}", style="dim", markup=False)
    spent = sum(result.train_seconds for result in results)  # nan where nothing was trained
    trained = f"trained in {clock(spent)}; " if spent > 0 else ""
    console.print(f"{trained}report: {folder / REPORT}", highlight=False)


def _errors(results: list[RunResult], split: str) -> Table:
    """Root mean square errors on one split: a column a run, or a row where they are many."""
    from farfield.report.tables import verdict  # here, for it brings matplotlib along

    lines, names = verdict(results, split), [result.name for result in results]
    cells = [[f"[bold]{c.text}[/]" if c.best and len(names) > 1 else c.text for c in line.cells] for line in lines]
    title = f"RMSE on {SPLIT_NAMES.get(split, split)}"
    if len(names) <= MOST_COLUMNS:
        table = Table("", "unit", *names, title=title)
        for line, row in zip(lines, cells):
            table.add_row(line.label, line.unit, *row)
        return table
    table = Table("", *(f"{line.label}, {line.unit}" for line in lines), title=title)
    for name, of_run in zip(names, zip(*cells)):
        table.add_row(name, *of_run)
    return table
