"""Check of a file: what it holds and what is wrong with it, whatever its keys are called."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ase
import numpy as np

from farfield.data.checking.bad_values import condition_findings, gap_findings, text_findings
from farfield.data.checking.content import Content
from farfield.data.checking.draft import Draft
from farfield.data.checking.force_sign import sign_findings
from farfield.data.checking.geometry import Closest, broken_frames, closest_pairs, geometry_findings
from farfield.data.checking.keys import KeyReport, key_reports
from farfield.data.checking.labels.charges import charge_sum_findings, electron_findings
from farfield.data.checking.labels.responses import response_findings
from farfield.data.checking.lone_atoms import lone_atom_findings
from farfield.data.checking.model import proposed_model, unseen_findings
from farfield.data.checking.outliers import energy_findings, force_findings
from farfield.data.checking.proposal import drafted
from farfield.data.checking.repeats import repeat_findings
from farfield.data.checking.slabs import slab_findings
from farfield.data.config import TARGETS
from farfield.data.files import load_structures
from farfield.errors import InputError
from farfield.notices import Notice

_GRADES = ("error", "warning", "note")


@dataclass(frozen=True)
class Report:
    """All there is to say of a file."""

    path: str
    frames: int = 0
    atoms: tuple[int, int] = (0, 0)  # fewest, most in a frame
    formulas: dict[str, int] = field(default_factory=dict)  # → frames, the commonest first
    elements: tuple[str, ...] = ()
    periodicity: dict[str, int] = field(default_factory=dict)  # "TTF" → frames
    volume: tuple[float, float] | None = None  # Å³, of the fully periodic frames
    closest: float | None = None  # Å, shortest distance in the file
    keys: tuple[KeyReport, ...] = ()
    findings: tuple[Notice, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)  # what to write under data: to read it
    model: dict[str, Any] = field(default_factory=dict)  # and under model: to train on it

    @property
    def failed(self) -> bool:
        """Tell whether there is an error among the findings."""
        return any(finding.grade == "error" for finding in self.findings)

    @property
    def teaches(self) -> bool:
        """Tell whether the configuration asks for any target."""
        return any(self.config.get(target) is not None for target in TARGETS)


@np.errstate(over="ignore", invalid="ignore")  # numbers beyond all size are findings of their own
def check_file(path: Path | str) -> Report:
    """Read a file without knowing its keys and say what is in it. Never raises for what is wrong with the file.

    Where some frames cannot be read, that is an error, and the rest of the report is of the others.
    """
    heard: list[Notice] = []
    try:
        return _checked(str(path), load_structures(path, on_notice=heard.append), heard)
    except InputError as wrong:
        return _without_unreadable(str(path), str(wrong))


def _without_unreadable(path: str, wrong: str) -> Report:
    heard: list[Notice] = []
    try:
        frames = load_structures(path, skip_unreadable=True, on_notice=heard.append)
    except InputError:
        return Report(path, findings=(Notice("error", wrong),))
    advice = f"{wrong} (skip_unreadable: true would read the other {len(frames)} frames)"
    others = [notice for notice in heard if wrong not in notice.message]
    return _checked(path, frames, [Notice("error", advice), *others], skip_unreadable=True)


def _checked(path: str, frames: list[ase.Atoms], heard: list[Notice], *, skip_unreadable: bool = False) -> Report:
    with np.errstate(all="ignore"):  # files hold nan, inf and 1e308
        return _looked_through(path, frames, heard, skip_unreadable=skip_unreadable)


def _looked_through(path: str, frames: list[ase.Atoms], heard: list[Notice], *, skip_unreadable: bool) -> Report:
    content = Content(path, frames, tuple(key_reports(frames)))
    draft = drafted(content, skip_unreadable=skip_unreadable)
    broken = broken_frames(frames)
    closest = closest_pairs(frames, broken)
    findings = [
        *(replace(notice, message=notice.message.removeprefix(f"{path}: ")) for notice in heard),
        *_counted(broken, len(frames)),
        *text_findings(draft),
        *draft.findings,
        *condition_findings(draft),
        *gap_findings(draft),
        *geometry_findings(closest),
        *slab_findings(draft),
        *repeat_findings(draft),
        *energy_findings(draft),
        *force_findings(draft),
        *sign_findings(draft),
        *charge_sum_findings(draft),
        *electron_findings(draft),
        *response_findings(draft),
        *lone_atom_findings(draft),
        *unseen_findings(draft),
    ]
    return _report(draft, closest, findings)


def _report(draft: Draft, closest: Sequence[Closest | None], findings: Sequence[Notice]) -> Report:
    content = draft.content
    volumes = content.volumes[content.crystals].tolist()
    distances = [pair.distance for pair in closest if pair is not None]
    return Report(
        path=content.path,
        frames=len(content.frames),
        atoms=(int(content.sizes.min()), int(content.sizes.max())),
        formulas=dict(Counter(content.formulas).most_common()),
        elements=tuple(sorted({symbol for atoms in content.frames for symbol in atoms.symbols})),
        periodicity=dict(Counter("".join("FT"[int(axis)] for axis in axes) for axes in content.periodic)),
        volume=(min(volumes), max(volumes)) if volumes else None,
        closest=min(distances, default=None),
        keys=tuple(replace(key, use=draft.uses.get((key.place, key.name), "")) for key in content.keys),
        findings=tuple(sorted(dict.fromkeys(findings), key=lambda f: _GRADES.index(f.grade))),
        config=draft.config,
        model=proposed_model(draft),
    )


def _counted(broken: dict[int, str], frames: int) -> Iterator[Notice]:
    if broken:
        frame, why = next(iter(broken.items()))
        others = f" ({len(broken)} of {frames} frames cannot be used)" if len(broken) > 1 else ""
        yield Notice("error", f"frame {frame}: {why}{others}")
