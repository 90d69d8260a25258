"""The physics scorecard of any trained model, with known laws as judges."""

from farfield.probe.calculator_subject import CalculatorSubject
from farfield.probe.finding import Finding
from farfield.probe.model_subject import ModelSubject
from farfield.probe.registry import LAWS, Law
from farfield.probe.scorecard import Scorecard, scorecard
from farfield.probe.subject import Refused, Seen, Subject

__all__ = [
    "LAWS", "CalculatorSubject", "Finding", "Law", "ModelSubject", "Refused", "Scorecard", "Seen", "Subject",
    "scorecard",
]  # fmt: skip
