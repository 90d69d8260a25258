"""Findings of laws: checks of a number against what it must be, and the verdict over them."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["pass", "fail", "skip", "info"]


class NotApplicable(Exception):
    """Raised by a law that cannot judge this model; the message is the reason, as readers see it."""


@dataclass(frozen=True)
class Check:
    """One number that must be within ``tolerance`` of ``expected``."""

    what: str  # "charge-dipole exponent, Na+ and NaCl"
    expected: float
    found: float
    tolerance: float
    unit: str
    fault: str  # what is likely wrong with the model where this fails, a sentence

    @property
    def off(self) -> float:
        """Deviation over tolerance; infinite where the number is none, or off at all where nothing is tolerated."""
        away = abs(self.found - self.expected)
        if away == 0:
            return 0.0
        ratio = away / self.tolerance if self.tolerance else math.inf
        return ratio if math.isfinite(ratio) else math.inf


@dataclass(frozen=True)
class Curve:
    """One line of a plot."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    role: Literal["found", "expected"] = "found"


@dataclass(frozen=True)
class Plot:
    """Curves of what was measured, ready to be drawn."""

    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    logarithmic: bool = False  # both axes


@dataclass(frozen=True)
class Verdict:
    """Checks of a law, and a sentence on them; without checks it is information only."""

    checks: tuple[Check, ...]
    said: str  # one sentence, of a model that passes
    plot: Plot | None = None
    left_out: str = ""  # sentences on what the model did not take


@dataclass(frozen=True)
class Finding:
    """One line of the scorecard: the check that is furthest off stands for all of a law's."""

    law: str
    title: str
    status: Status
    explanation: str
    what: str = ""
    expected: float | None = None
    found: float | None = None
    tolerance: float | None = None
    unit: str = ""
    seconds: float = 0.0
    checks: tuple[Check, ...] = ()
    plot: Plot | None = None

    def to_plain(self) -> dict[str, Any]:
        """Convert to dictionaries and lists, ready for JSON; numbers that are none become null."""
        plain: dict[str, Any] = _finite(asdict(self))
        return plain


def finding_of(law: str, title: str, verdict: Verdict, seconds: float) -> Finding:
    """The verdict as a line: passed if every check did."""
    if not verdict.checks:
        return Finding(law, title, "info", verdict.said, seconds=seconds, plot=verdict.plot)
    worst = worst_of(verdict.checks)
    passed = worst.off <= 1
    said = f"{verdict.said if passed else worst.fault} {verdict.left_out}".rstrip()
    return Finding(
        law, title, "pass" if passed else "fail", said, what=worst.what,
        expected=worst.expected, found=worst.found, tolerance=worst.tolerance, unit=worst.unit, seconds=seconds,
        checks=verdict.checks, plot=verdict.plot,
    )  # fmt: skip


def worst_of(checks: Sequence[Check]) -> Check:
    """The check that is furthest off in units of its tolerance."""
    return max(checks, key=lambda check: check.off)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
