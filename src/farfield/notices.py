"""Notices that a person should see and that stop nobody: before the work begins, and again beside its results."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Grade = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Notice:
    """Something to know: an error keeps a file from being used, a warning will probably spoil what is made of it."""

    grade: Grade
    message: str


OnNotice = Callable[[Notice], None]


def unheard(_: Notice) -> None:
    """Drop a notice: for callers that have nobody to tell."""
