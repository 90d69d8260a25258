"""Every law judged in turn: the scorecard of a model."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ase

from farfield.errors import ConvergenceError
from farfield.probe.finding import Finding, NotApplicable, Status, finding_of
from farfield.probe.law import Law
from farfield.probe.measures.uncharged import uncharged
from farfield.probe.registry import chosen_laws
from farfield.probe.stage import Stage, set_free
from farfield.probe.subject import Refused, Subject, Unphysical


@dataclass(frozen=True)
class Scorecard:
    """Findings of all laws on one model."""

    name: str
    findings: tuple[Finding, ...]
    seconds: float
    warnings: tuple[str, ...] = ()  # what nobody may miss, whatever the laws say

    @property
    def failed(self) -> list[Finding]:
        """The laws that it breaks."""
        return [finding for finding in self.findings if finding.status == "fail"]

    @property
    def nothing_judged(self) -> str:
        """Say why no law could be judged, the most frequent reasons first, alike ones once; empty where any was."""
        if self.count("pass") + self.count("fail") or not self.count("skip"):
            return ""
        reasons = Counter(finding.explanation for finding in self.findings if finding.status == "skip")
        unlike = {reason.rpartition(": ")[2]: reason for reason, _ in reversed(reasons.most_common())}
        return " ".join(reversed(list(unlike.values())[-3:]))

    def count(self, status: Status) -> int:
        """Laws with this outcome."""
        return sum(finding.status == status for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Plain types: name, seconds, and every finding with its checks and what was plotted."""
        return {
            "name": self.name,
            "seconds": self.seconds,
            "warnings": list(self.warnings),
            "findings": [f.to_plain() for f in self.findings],
        }


def scorecard(
    subject: Subject,
    *,
    laws: Sequence[str] = (),
    structures: Sequence[ase.Atoms] = (),
    fragments: Sequence[ase.Atoms] = (),
    fast: bool = False,
    on_law: Callable[[str, int, int], None] | None = None,
) -> Scorecard:
    """Judge a model by the laws named, or by all.

    Args:
        subject: ``ModelSubject.of(model)`` or a ``CalculatorSubject``.
        laws: names of ``LAWS``.
        structures: where consistency is judged: the first crystal and the first molecule; invented where empty.
            Constraints, and fields and potentials in their ``info``, are left out.
        fragments: ions and molecules (total charge in ``info["charge"]``) for the laws of separated fragments.
        fast: fewer points, smaller cells.
        on_law: hears (title of the law that starts, laws done, laws in all).

    Raises:
        InputError: a law that there is not.
    """
    chosen = chosen_laws(laws)
    stage = Stage(subject, set_free(structures), set_free(fragments), fast)
    start, findings = time.perf_counter(), []
    for done, law in enumerate(chosen):
        if on_law is not None:
            on_law(law.title, done, len(chosen))
        findings.append(_judged(law, stage))
    if on_law is not None:
        on_law("done", len(chosen), len(chosen))
    return Scorecard(subject.name, tuple(findings), time.perf_counter() - start, uncharged(stage))


def _judged(law: Law, stage: Stage) -> Finding:
    start = time.perf_counter()

    def without_numbers(status: Status, words: str) -> Finding:
        return Finding(law.name, law.title, status, words, seconds=time.perf_counter() - start)

    try:
        verdict = law.judge(stage)
        return finding_of(law.name, law.title, verdict, time.perf_counter() - start)
    except NotApplicable as reason:
        return without_numbers("skip", _sentence(str(reason)))
    except Refused as refusal:
        return without_numbers("skip", f"The model does not take it: {refusal}")
    except ConvergenceError as failure:
        return without_numbers("fail", f"The model did not converge: {failure}")
    except Unphysical as fault:
        return without_numbers("fail", _sentence(str(fault)))
    except Exception as failure:  # any program stands behind it, and the other laws can be judged still
        return without_numbers("fail", f"The law could not be judged: {type(failure).__name__}: {failure}")


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")
