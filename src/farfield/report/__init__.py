"""The pictures and the page: what a training or a comparison found, in one file that needs nothing else."""

from typing import TYPE_CHECKING, Any

from farfield.report.result import RunResult

if TYPE_CHECKING:
    from farfield.report.binding import save_binding_picture
    from farfield.report.page import write_report

__all__ = ["RunResult", "save_binding_picture", "write_report"]


def __getattr__(name: str) -> Any:
    """What draws, at its first use: a training holds no matplotlib in memory until it is done."""
    if name == "write_report":
        from farfield.report.page import write_report

        return write_report
    if name == "save_binding_picture":
        from farfield.report.binding import save_binding_picture

        return save_binding_picture
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
