"""Remarks on what was read in another way than it is written, told once a file."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from farfield.errors import InputError
from farfield.notices import Grade, Notice, OnNotice

_MANY = 8
"""Details that are named before the rest is only counted."""


@dataclass
class _Remark:
    grade: Grade
    details: dict[str, None] = field(default_factory=dict)  # in the order they came
    frames: int = 0
    example: str = ""  # a sentence, of the first frame concerned


class UnreadableFrame(InputError):
    """A frame that could be left out, were that asked for."""


class Remarks:
    """Collects what is to be said of the frames of a file, however often it is met."""

    def __init__(self, skip_unreadable: bool = False) -> None:
        self.skip_unreadable = skip_unreadable
        self._remarks: dict[str, _Remark] = {}
        self._failures: list[InputError] = []

    def add(self, grade: Grade, topic: str, details: Iterable[str] = (), *, example: str = "") -> None:
        """Note a topic that concerns the present frame, with what is to be named of it, of every frame or the first."""
        remark = self._remarks.setdefault(topic, _Remark(grade, example=example))
        remark.details.update(dict.fromkeys(details))
        remark.frames += 1

    @property
    def first_reason(self) -> str:
        """Say why the first frame was left out; empty if none was."""
        return str(self._failures[0]) if self._failures else ""

    def leave_out(self, failure: InputError) -> None:
        """Count a frame that cannot be read.

        Raises:
            UnreadableFrame: where none may be left out.
        """
        if not self.skip_unreadable:
            raise UnreadableFrame(str(failure)) from failure
        self._failures.append(failure)

    def tell(self, path: Path, frames: int, on_notice: OnNotice) -> None:
        """Say all of it, with the number of frames that each concerns."""
        if self._failures:
            count = len(self._failures)
            what = f"{count} frame{'s' * (count > 1)} that cannot be read left out, {frames} kept and numbered anew"
            on_notice(Notice("warning", f"{path}: {what}; the first: {self.first_reason}"))
        for topic, remark in self._remarks.items():
            names = list(remark.details)
            listed = f": {', '.join(names[:_MANY])}" if names else ""
            more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
            where = f"(in {remark.frames} of {frames} frames)" + f". {remark.example}" * bool(remark.example)
            on_notice(Notice(remark.grade, f"{path}: {topic}{listed}{more} {where}"))
