"""Scorecards in tables: laws are rows, models are columns."""

from collections.abc import Sequence
from dataclasses import dataclass

from farfield.evaluation.errors import significant
from farfield.probe import LAWS, Finding, Scorecard
from farfield.report.result import RunResult

GLYPHS = {"pass": "✓", "fail": "✗", "skip": "–", "info": "·"}


@dataclass(frozen=True)
class Mark:
    """One law of one model."""

    glyph: str
    status: str
    aside: str = ""  # smaller, below
    explanation: str = ""


@dataclass(frozen=True)
class LawLine:
    """One law of all of them."""

    label: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Chapter:
    """Laws that belong together."""

    title: str
    lines: tuple[LawLine, ...]


def laws(runs: Sequence[RunResult]) -> list[Chapter]:
    """Every law that any run was judged by and that judges."""
    found = [{f.law: f for f in run.scorecard.findings} if run.scorecard else {} for run in runs]
    lines: dict[str, list[LawLine]] = {}
    for name, law in LAWS.items():
        findings = [known.get(name) for known in found]
        if any(finding is not None and finding.status in ("pass", "fail") for finding in findings):
            marks = tuple(mark(finding) for finding in findings)
            lines.setdefault(law.chapter, []).append(LawLine(law.title, marks))
    return [Chapter(title, tuple(some)) for title, some in lines.items()]


def faults(runs: Sequence[RunResult]) -> list[tuple[str, str, str]]:
    """List every broken law: run, title, what is likely wrong."""
    return [
        (run.name, finding.title, finding.explanation)
        for run in runs
        if run.scorecard is not None
        for finding in run.scorecard.failed
    ]


def mark(finding: Finding | None) -> Mark:
    """Mark a finding as the table shows it."""
    if finding is None:
        return Mark(GLYPHS["skip"], "skip")
    aside = f"{value(finding.found)}, not {value(finding.expected)} {finding.unit}".rstrip()
    aside = aside if finding.status == "fail" and finding.found is not None else ""
    return Mark(GLYPHS[finding.status], finding.status, aside, finding.explanation)


def value(number: float | None) -> str:
    """Three significant digits; a dash where there is no number."""
    return "–" if number is None else significant(number)


def summary(card: Scorecard) -> str:
    """Sum up a scorecard in a sentence."""
    failed = card.count("fail")
    held = f"{card.count('pass')} of {card.count('pass') + failed} laws that apply hold"
    if not failed:
        return f"{held}."
    return f"{held}. Broken: {'; '.join(_inner(finding.title) for finding in card.failed)}."


def _inner(title: str) -> str:
    """A title inside a sentence."""
    return title if title[1:2].isupper() else title[0].lower() + title[1:]


def found_in_words(finding: Finding) -> str:
    """Write down what was found; of a zero that is one to rounding, only that."""
    if finding.found and finding.expected == 0 and abs(finding.found) < 1e-3 * (finding.tolerance or 0):
        return "≈ 0"
    return value(finding.found)
