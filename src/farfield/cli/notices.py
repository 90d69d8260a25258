"""Notices on a terminal: on standard error, so that standard output stays clean for pipes."""

from rich.console import Console

from farfield.notices import Notice

STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}


def show_notice(notice: Notice) -> None:
    """Print a notice, its grade first."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[{STYLES[notice.grade]}]{notice.grade}:[/]", end=" ")
    console.print(notice.message, markup=False)
