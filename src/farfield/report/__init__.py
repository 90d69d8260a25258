"""The pictures and the page: what a training or a comparison found, in one file that needs nothing else."""

from farfield.report.binding import save_binding_picture
from farfield.report.page import write_report
from farfield.report.result import RunResult
from farfield.report.scorecard import write_scorecard

__all__ = ["RunResult", "save_binding_picture", "write_report", "write_scorecard"]
