"""The pictures and the page: what a training or a comparison found, in one file that needs nothing else."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from farfield.report.result import RunResult

if TYPE_CHECKING:
    from farfield.report.binding import save_binding_picture
    from farfield.report.page import write_report
    from farfield.report.scorecard import write_scorecard

__all__ = ["RunResult", "save_binding_picture", "write_report", "write_scorecard"]

_DRAWN_BY = {"save_binding_picture": "binding", "write_report": "page", "write_scorecard": "scorecard"}


def __getattr__(name: str) -> Any:
    """Import what draws at its first use: a training holds no matplotlib in memory until it is done."""
    if name in _DRAWN_BY:
        return getattr(import_module(f"farfield.report.{_DRAWN_BY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
