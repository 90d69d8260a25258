"""Law of physics: a sentence that must hold, and who judges whether it does."""

from collections.abc import Callable
from dataclasses import dataclass

from farfield.probe.finding import Verdict
from farfield.probe.stage import Stage

CONSISTENCY, SMOOTHNESS, RANGE, RESPONSE, COST = (
    "Consistency", "Smoothness and size", "Long range", "Response", "Cost",
)  # fmt: skip


@dataclass(frozen=True)
class Law:
    """Law of physics: what must hold, and who judges it; the docstring of ``judge`` says how."""

    name: str
    title: str
    judge: Callable[[Stage], Verdict]
    """Raises ``NotApplicable`` with the reason where it has nothing to judge."""
    chapter: str
