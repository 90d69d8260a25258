"""``farfield data list|get|check|convert``: the sets that come with farfield, what a file holds, and other formats."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farfield.cli import convert
from farfield.data.catalogue import PREFIX, copy_embedded, embedded_sets
from farfield.data.paths import existing

if TYPE_CHECKING:
    from rich.console import Console


def add_parser(subparsers: Any) -> None:
    """Add ``data`` and its four verbs."""
    parser = subparsers.add_parser(
        "data",
        help="data sets that come with farfield; what a file holds and what is wrong with it",
        description="Data sets that come with farfield, and a look into any file of structures.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|get|check|convert")
    verbs.add_parser("list", help="sets that can be used as embedded:NAME").set_defaults(run=run)
    get = verbs.add_parser("get", help="copy a set out as NAME.xyz")
    get.add_argument("name", help="as farfield data list gives it")
    get.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="folder to copy it to (here)")
    get.set_defaults(run=run)
    check = verbs.add_parser(
        "check",
        help="say what files hold and what is wrong with them; exit code 1 if anything keeps them from being read",
    )
    check.add_argument(
        "files", nargs="+", metavar="FILE", help="extxyz, ASE database, anything ASE reads, embedded:NAME"
    )
    check.set_defaults(run=run)
    convert.add_parser(verbs)


def run(args: argparse.Namespace) -> int:
    """List, copy or check."""
    from rich.console import Console

    console = Console()
    if args.verb == "list":
        return _list(console)
    if args.verb == "get":
        return _get(console, args.name, args.out)
    return _check(console, args.files)


def _list(console: "Console") -> int:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"Use as {PREFIX}NAME")
    for column in ("name", "frames", "what", "method", "licence"):
        table.add_column(
            column, justify="right" if column == "frames" else "left", no_wrap=column == "name", overflow="fold"
        )
    for entry in embedded_sets():
        table.add_row(*(escape(str(v)) for v in (entry.name, entry.frames, entry.about, entry.method, entry.licence)))
    console.print(table)
    return 0


def _get(console: "Console", name: str, out: Path) -> int:
    from rich.markup import escape

    written = copy_embedded(name.removeprefix(PREFIX), out)
    console.print(f"wrote {escape(str(written))}")
    return 0


def _check(console: "Console", files: Sequence[str]) -> int:
    for file in files:
        existing(file)
    from rich.markup import escape

    from farfield.cli.file_report import show_report
    from farfield.data.check import check_file

    reports = []
    for file in files:
        with console.status(f"reading {escape(file)}"):
            reports.append(check_file(file))
        show_report(console, reports[-1])
    return int(any(report.failed for report in reports))
