"""Several paradigms on the same data, backbone and splits, side by side in one report."""

import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from farfield.config import to_plain, validated
from farfield.errors import InputError
from farfield.model import load
from farfield.notices import OnNotice, unheard
from farfield.paradigms.registry import PARADIGMS
from farfield.report import RunResult
from farfield.train.config import RunConfig
from farfield.train.fit import MODEL
from farfield.train.judge import judged
from farfield.train.run import REPORT, OnProgress, Prepared, prepare, train


def runs_of(config: RunConfig, kinds: Sequence[str] = ()) -> dict[str, RunConfig]:
    """One configuration per run, by name: the kinds named, or those under ``compare:``, or all there are.

    A kind named that stands nowhere takes the keys of ``model.paradigm`` that it has too, so that charges conserved by
    bonds are compared with charges conserved by bonds. Several entries of one kind are called by what sets them apart:
    latent-shift, latent-bond.

    Raises:
        InputError: a name that is no paradigm, or the same paradigm twice.
    """
    if strange := [kind for kind in kinds if kind not in PARADIGMS]:
        raise InputError(f"there is no paradigm {', '.join(strange)}; known: {', '.join(PARADIGMS)}")
    written = list(config.compare)
    if kinds:
        known = [config.model.paradigm, *written]
        written = [next((r for r in reversed(known) if r.kind == k), None) or _alike(known[0], k) for k in kinds]
    rooms = written or [room.Config() for room in PARADIGMS.values()]
    names = [_name(room, rooms) for room in rooms]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"compare: holds {', '.join(twice)} twice, with the same keys")
    return {
        name: replace(config, model=replace(config.model, paradigm=room), compare=())
        for name, room in zip(names, rooms)
    }


def _alike(room: Any, kind: str) -> Any:
    """A configuration of another kind with the keys that were set in this one and mean the same there."""
    other = PARADIGMS[kind].Config()
    mine, plain = {f.name: f for f in fields(room)}, type(room)()
    shared = [f.name for f in fields(other) if f.name in mine and f.type == mine[f.name].type and f.name != "kind"]
    return replace(other, **{n: getattr(room, n) for n in shared if getattr(room, n) != getattr(plain, n)})


def _name(room: Any, rooms: Sequence[Any]) -> str:
    """The kind, and the keys in which it differs from the others of its kind; tables only if they must."""
    alike = [other for other in rooms if other.kind == room.kind]
    differing = [f.name for f in fields(room) if any(getattr(room, f.name) != getattr(o, f.name) for o in alike)]
    plain = [key for key in differing if not any(isinstance(getattr(o, key), dict) for o in alike)]
    enough = len({tuple(getattr(o, key) for key in plain) for o in alike}) == len(alike)
    return "-".join([room.kind, *(str(getattr(room, key)) for key in (plain if enough else differing))])


def compare(
    runs: dict[str, RunConfig],
    folder: Path,
    *,
    workers: int,
    on_progress: dict[str, OnProgress],
    on_notice: OnNotice = unheard,
) -> list[RunResult]:
    """Train every run in ``folder/NAME`` (``workers`` at a time) and write ``folder/report.html``.

    All of them are prepared first, so that what is wrong with any is said before the first epoch of one; ``on_notice``
    hears once what is to be known of all of them.
    """
    jobs = {name: prepare(config, name) for name, config in runs.items()}
    for notice in dict.fromkeys(notice for job in jobs.values() for notice in job.notices):
        on_notice(notice)
    if workers == 1:
        found = [train(job, folder / name, on_progress=on_progress[name]) for name, job in jobs.items()]
    else:
        found = _in_parallel(runs, folder, workers, on_progress)
    results = [result for result in found if result is not None]
    results = [_with_scorecard(result, jobs[result.name], folder, on_progress[result.name]) for result in results]
    if results:
        from farfield.report import write_report  # here, for it draws

        write_report(folder / REPORT, results, title=f"{len(results)} paradigms compared")
    return results


def _with_scorecard(result: RunResult, job: Prepared, folder: Path, on_progress: OnProgress) -> RunResult:
    """The result with what the laws of physics say of its model, where that is wanted."""
    if job.config.probe is False:
        return result
    on_progress("judge", 0, 1, {})
    card = judged(load(folder / result.name / MODEL), result.name, job.splits.train, fast=job.config.probe == "fast")
    on_progress("judge", 1, 1, {})
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
            name, *step = news.get(timeout=0.2)
        except queue.Empty:
            continue
        on_progress[name](*step)


def _train_alone(plain: dict[str, Any], folder: Path, name: str, news: Any) -> RunResult | None:
    """One run in a process of its own, on one thread unless told otherwise."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    config = validated(RunConfig, plain, "")
    torch.set_num_threads(config.train.threads or 1)
    return train(prepare(config, name), folder, on_progress=lambda *step: news.put((name, *step)))


def _end_with(parent: int) -> None:
    """Nobody waits for a worker whose parent was killed; its checkpoint is kept like that of any killed run."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
