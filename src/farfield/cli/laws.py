"""Laws of physics, and what they say of a model, on a terminal."""

import inspect
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from farfield.cli.progress import clock
from farfield.probe import LAWS, Scorecard
from farfield.report.laws import GLYPHS, found_in_words, summary, value

_STYLES = {"pass": "green", "fail": "bold red", "skip": "dim", "info": "dim"}


def table_of_laws() -> Table:
    """Every law, what must hold, and how it is judged."""
    table = Table("law", "what must hold", "how it is judged")
    for law in LAWS.values():
        words = " ".join((inspect.getdoc(law.judge) or "").split("\n\n")[0].split())
        table.add_row(law.name, escape(law.title), escape(words))
    return table


def show_scorecard(console: Console, card: Scorecard, folder: Path) -> None:
    """A line a law, warnings, the sum of it, and where the page is."""
    table = Table("law", "", "must be", "found", "what it says")
    for finding in card.findings:
        style, unit = _STYLES[finding.status], f" {finding.unit}" if finding.unit else ""
        numbers = ("", "") if finding.found is None and finding.expected is None else (
            f"{value(finding.expected)}{unit}", f"{found_in_words(finding)}{unit}"
        )  # fmt: skip
        glyph = f"[{style}]{GLYPHS[finding.status]}[/]"  # the rest may quote a program that writes brackets
        table.add_row(finding.law, glyph, *map(escape, (*numbers, finding.explanation)))
    console.print(table)
    for warning in card.warnings:
        console.print(f"warning: {warning}", style="bold red", markup=False)
    console.print(summary(card), style="bold red" if card.failed else "bold green", markup=False)
    console.print(f"judged in {clock(card.seconds)}; report: {folder / 'scorecard.html'}", soft_wrap=True, markup=False)
