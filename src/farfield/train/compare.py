"""Several paradigms on the same data, backbone and splits, side by side in one report."""

import logging
import logging.handlers
import multiprocessing
import os
import queue
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from farfield.config import to_plain, validated
from farfield.errors import InputError
from farfield.model import load
from farfield.notices import Notice, OnNotice, unheard
from farfield.report import RunResult
from farfield.train.config import RunConfig
from farfield.train.fit import MODEL
from farfield.train.judge import judged
from farfield.train.run import REPORT, OnProgress, Prepared, prepare, train


def prepared(runs: dict[str, RunConfig], *, named: bool, on_notice: OnNotice = unheard) -> dict[str, Prepared]:
    """Prepare all runs, so that what is wrong with any is said before the first epoch of one.

    ``on_notice`` hears once what is to be known of all of them. Paradigms that nobody ``named`` are left out, and said,
    where they cannot take the data.

    Raises:
        InputError: what is wrong with a run that was named, or with all.
    """
    jobs, failures = {}, {}
    for name, config in runs.items():
        try:
            jobs[name] = prepare(config, name)
        except InputError as failure:
            failures[name] = failure
    if failures and (named or not jobs):
        raise next(iter(failures.values()))
    for name, reason in failures.items():
        on_notice(Notice("warning", f"{name} is left out: {reason}"))
    for notice in dict.fromkeys(notice for job in jobs.values() for notice in job.notices):
        on_notice(notice)
    return jobs


def compare(
    jobs: dict[str, Prepared], folder: Path, *, workers: int, on_progress: dict[str, OnProgress]
) -> list[RunResult]:
    """Train every run in ``folder/NAME`` (``workers`` at a time) and write ``folder/report.html``."""
    if workers == 1:
        found = [train(job, folder / name, on_progress=on_progress[name]) for name, job in jobs.items()]
    else:
        found = _in_parallel({name: job.config for name, job in jobs.items()}, folder, workers, on_progress)
    results = [result for result in found if result is not None]
    _report(results, folder)  # laws take their time
    results = [_with_scorecard(result, jobs[result.name], folder, on_progress[result.name]) for result in results]
    _report(results, folder)
    return results


def _report(results: list[RunResult], folder: Path) -> None:
    if results:
        from farfield.report import write_report  # here, for it draws

        write_report(folder / REPORT, results, title=f"{len(results)} paradigms compared")


def _with_scorecard(result: RunResult, job: Prepared, folder: Path, on_progress: OnProgress) -> RunResult:
    """The result with what the laws of physics say of its model, where that is wanted."""
    if job.config.probe is False:
        return result
    card = judged(
        load(folder / result.name / MODEL), result.name, job.splits.train, fast=job.config.probe == "fast",
        on_law=lambda _title, done, total: on_progress("judge", done, total, {}),
    )  # fmt: skip
    return replace(result, scorecard=card)


def _in_parallel(
    runs: dict[str, RunConfig], folder: Path, workers: int, on_progress: dict[str, OnProgress]
) -> list[RunResult | None]:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(workers, mp_context=context) as pool:
        news = manager.Queue()
        jobs = {
            name: pool.submit(_train_alone, to_plain(config), folder / name, name, news)
            for name, config in runs.items()
        }
        _relay(news, jobs, on_progress)
        return [job.result() for job in jobs.values()]


def _relay(news: Any, jobs: dict[str, Future[RunResult | None]], on_progress: dict[str, OnProgress]) -> None:
    """Pass on what the workers report until all have ended."""
    while not all(job.done() for job in jobs.values()):
        try:
            heard = news.get(timeout=0.2)
        except queue.Empty:
            continue
        if isinstance(heard, logging.LogRecord):
            _log(heard)
        else:
            name, *step = heard
            on_progress[name](*step)


def _log(record: logging.LogRecord) -> None:
    """Log what a worker logged, if it would be logged here."""
    log = logging.getLogger(record.name)
    if log.isEnabledFor(record.levelno):
        log.handle(record)


def _train_alone(plain: dict[str, Any], folder: Path, name: str, news: Any) -> RunResult | None:
    """One run in a process of its own, on one thread unless told otherwise."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    log = logging.getLogger("farfield")
    log.addHandler(logging.handlers.QueueHandler(news))
    log.setLevel(logging.INFO)
    config = validated(RunConfig, plain, "")
    torch.set_num_threads(config.train.threads or 1)
    return train(prepare(config, name), folder, on_progress=lambda *step: news.put((name, *step)))


def _end_with(parent: int) -> None:
    """Nobody waits for a worker whose parent was killed; its checkpoint is kept like that of any killed run."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
