"""The physics scorecard of any trained model, with known laws as judges."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from farfield.probe.registry import LAWS

if TYPE_CHECKING:
    from farfield.probe.calculator_subject import CalculatorSubject
    from farfield.probe.finding import Finding
    from farfield.probe.law import Law
    from farfield.probe.model_subject import ModelSubject
    from farfield.probe.subject import Refused, Seen, Subject
    from farfield.probe.trial import Scorecard, scorecard

__all__ = [
    "LAWS", "CalculatorSubject", "Finding", "Law", "ModelSubject", "Refused", "Scorecard", "Seen", "Subject",
    "scorecard",
]  # fmt: skip

_HOMES = {
    "CalculatorSubject": "calculator_subject",
    "Finding": "finding",
    "Law": "law",
    "ModelSubject": "model_subject",
    "Refused": "subject",
    "Scorecard": "trial",
    "Seen": "subject",
    "Subject": "subject",
    "scorecard": "trial",
}


def __getattr__(name: str) -> Any:
    """Import what judges at its first use: the names of the laws are known without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"farfield.probe.{_HOMES[name]}"), name)
    return found
