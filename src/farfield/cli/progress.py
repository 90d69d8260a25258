"""Progress with time left: bars on a terminal, a line every few seconds in a log."""

import sys
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from farfield.quantities import QUANTITIES

LOG_SECONDS = 10.0
QUIET_SECONDS = 2.0
"""What is over sooner needs no progress."""
Step = Callable[[str, int, int, dict[str, float]], None]


class ProgressDisplay:
    """One bar per named job. Bars go to standard error, so that standard output stays clean for pipes."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self.live = console.is_terminal
        self.bars = Progress(
            TextColumn("[bold]{task.fields[job]:>11}"), TextColumn("{task.description:<16}"), BarColumn(),
            MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[latest]}"),
            console=console, disable=not self.live,
        )  # fmt: skip
        self.spoken: dict[str, tuple[str, float]] = {}
        self.started: dict[tuple[str, str], tuple[float, int]] = {}

    def __enter__(self) -> "ProgressDisplay":
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def job(self, name: str) -> Step:
        """A reporter for one job: call it with (stage, done, total, latest numbers)."""
        tasks: dict[str, TaskID] = {}
        begun = time.monotonic()

        def step(stage: str, done: int, total: int, latest: dict[str, float]) -> None:
            if time.monotonic() - begun < QUIET_SECONDS:
                return
            if not self.live:
                self._say(name, stage, done, total, latest)
                return
            for old in [s for s in tasks if s != stage]:
                self.bars.remove_task(tasks.pop(old))
            if stage not in tasks:
                tasks[stage] = self.bars.add_task(stage, total=total, job=name, latest="", completed=done)
            self.bars.update(tasks[stage], completed=done, latest=in_short(latest))

        return step

    def _say(self, name: str, stage: str, done: int, total: int, latest: dict[str, float]) -> None:
        now = time.monotonic()
        started, first = self.started.setdefault((name, stage), (now, done))
        before, when = self.spoken.get(name, (stage, 0.0))
        if now - when < LOG_SECONDS and not (stage == before and done == total):
            return
        self.spoken[name] = (stage, now)
        left = (now - started) / (done - first) * (total - done) if done > first else None
        time_left = f", {clock(left)} left" if left and done < total else ""
        print(f"{name}: {stage} {done}/{total}{time_left} {in_short(latest)}".rstrip(), file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def in_short(latest: dict[str, float]) -> str:
    """The two errors people watch, those of energies and forces; or where there are neither, those there are."""
    words = {"energy": "E {:.2f} meV/atom", "forces": "F {:.1f} meV/Å"}
    others = {name: f"{q.label} {{:.3g}} m{q.unit}" for name, q in QUANTITIES.items() if name not in words}
    said = [
        [form.format(latest[key]) for name, form in some.items() if (key := f"valid_{name}_rmse") in latest]
        for some in (words, others)
    ]
    return "  ".join(said[0] or said[1])
