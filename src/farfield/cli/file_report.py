"""Report of ``farfield data check`` on a terminal."""

from collections.abc import Sequence

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from farfield.cli.notices import STYLES
from farfield.data.check import Report
from farfield.data.checking.keys import KeyReport
from farfield.paradigms.registry import PARADIGMS


def show_report(console: Console, report: Report) -> None:
    """Print content, findings (the gravest first) and, unless something is wrong, what to write to train on it."""
    console.print(f"\n[bold]{escape(report.path)}[/bold]")
    if report.frames:
        _show_content(console, report)
    for finding in report.findings:
        console.print(f"[{STYLES[finding.grade]}]{finding.grade:>7}[/]  {escape(finding.message)}", soft_wrap=True)
    if report.teaches and not report.failed:
        whole = {"data": report.config, "model": report.model}
        lines = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=1000)
        console.print("\nTo train on it, write this into run.yaml, and farfield train run.yaml:")
        console.print(escape(lines.rstrip()), style="green", soft_wrap=True)
        others = [kind for kind in PARADIGMS if kind != report.model["paradigm"]["kind"]]
        console.print(f"Other kinds of paradigm: {', '.join(others)}; farfield compare trains several.", soft_wrap=True)


def _show_content(console: Console, report: Report) -> None:
    common = list(report.formulas.items())
    formulas = ", ".join(f"{name} ({count})" for name, count in common[:6]) + (", …" if len(common) > 6 else "")
    facts = {
        "frames": f"{report.frames} of {_range(*report.atoms)} atoms: {', '.join(report.elements)}",
        "formulas": formulas,
        "periodic": ", ".join(f"{axes} ({count})" for axes, count in report.periodicity.items()),
        "volume": f"{_range(*report.volume)} Å³" if report.volume else None,
        "closest": f"{report.closest:.3f} Å" if report.closest is not None else None,
    }
    for name, fact in facts.items():
        if fact is not None:
            console.print(f"{name:>9}  {escape(fact)}", soft_wrap=True)
    console.print(_key_table(report.keys, report.frames))
    for key in report.keys:
        use, _, why = key.use.partition(": ")
        if why:
            console.print(f"{use}  {escape(key.name)}: {escape(why)}", soft_wrap=True)


def _key_table(keys: Sequence[KeyReport], frames: int) -> Table:
    table = Table()
    for column in ("key", "per", "holds", "frames", "lowest", "highest", "taken as"):
        number = column in ("frames", "lowest", "highest")
        table.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=column == "key")
    for key in keys:
        ends = ("" if end is None else f"{end:.6g}" for end in (key.lowest, key.highest))
        count = "all" if key.frames == frames else str(key.frames)
        use = key.use.partition(": ")[0].replace("not proposed", "no")
        table.add_row(escape(key.name), key.place, key.kind, count, *ends, escape(use))
    return table


def _range(low: float, high: float) -> str:
    return f"{low:.6g}" if low == high else f"{low:.6g}-{high:.6g}"
