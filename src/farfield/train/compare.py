"""Several paradigms on the same data, backbone and splits, side by side in one report."""

import multiprocessing
import queue
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from farfield.config import to_plain, validated
from farfield.errors import InputError
from farfield.paradigms.registry import PARADIGMS
from farfield.report import RunResult, write_report
from farfield.train.config import RunConfig
from farfield.train.run import REPORT, OnProgress, prepare, train


def runs_of(config: RunConfig, kinds: Sequence[str] = ()) -> dict[str, RunConfig]:
    """One configuration per paradigm: those named, or those under ``compare:``, or all there are.

    Raises:
        InputError: a name that is no paradigm.
    """
    written = {room.kind: room for room in (config.model.paradigm, *config.compare)}
    if strange := [kind for kind in kinds if kind not in PARADIGMS]:
        raise InputError(f"there is no paradigm {', '.join(strange)}; known: {', '.join(PARADIGMS)}")
    chosen = kinds or [room.kind for room in config.compare] or list(PARADIGMS)
    rooms = {kind: written.get(kind) or PARADIGMS[kind].Config() for kind in chosen}
    return {kind: replace(config, model=replace(config.model, paradigm=room)) for kind, room in rooms.items()}


def compare(
    runs: dict[str, RunConfig], folder: Path, *, workers: int, on_progress: dict[str, OnProgress]
) -> list[RunResult]:
    """Train every run in ``folder/KIND`` (``workers`` at a time) and write ``folder/report.html``.

    All of them are prepared first, so that what is wrong with any is said before the first epoch of one.
    """
    jobs = {kind: prepare(config) for kind, config in runs.items()}
    if workers == 1:
        results = [train(job, folder / kind, on_progress=on_progress[kind]) for kind, job in jobs.items()]
    else:
        results = _in_parallel(runs, folder, workers, on_progress)
    write_report(folder / REPORT, results, title=f"{len(results)} paradigms compared")
    return results


def _in_parallel(
    runs: dict[str, RunConfig], folder: Path, workers: int, on_progress: dict[str, OnProgress]
) -> list[RunResult]:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(workers, mp_context=context) as pool:
        news = manager.Queue()
        jobs = {
            kind: pool.submit(_train_alone, to_plain(config), folder / kind, kind, news)
            for kind, config in runs.items()
        }
        _relay(news, jobs, on_progress)
        return [job.result() for job in jobs.values()]


def _relay(news: Any, jobs: dict[str, Future[RunResult]], on_progress: dict[str, OnProgress]) -> None:
    """Pass on what the workers report until all are done or one has failed."""
    while not all(job.done() for job in jobs.values()) and not any(
        job.done() and job.exception() for job in jobs.values()
    ):
        try:
            kind, *step = news.get(timeout=0.2)
        except queue.Empty:
            continue
        on_progress[kind](*step)


def _train_alone(plain: dict[str, Any], folder: Path, kind: str, news: Any) -> RunResult:
    """One run in a process of its own, on one thread unless told otherwise."""
    config = validated(RunConfig, plain, "")
    torch.set_num_threads(config.train.threads or 1)
    return train(prepare(config), folder, on_progress=lambda *step: news.put((kind, *step)))
