"""Evaluation of a model against its reference: predictions beside labels, and tables of errors."""

from farfield.evaluation.errors import MEASURES, ErrorRow, Measure, errors, table
from farfield.evaluation.record import Compared, Evaluation
from farfield.evaluation.run import Predicts, evaluate

__all__ = ["MEASURES", "Compared", "ErrorRow", "Evaluation", "Measure", "Predicts", "errors", "evaluate", "table"]
