"""Label many structures: in parallel, restartable, nothing lost when stopped."""

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import ase
import ase.io
import numpy as np

from farfield.errors import FarfieldError, InputError
from farfield.reference.contract import Engine


@dataclass(frozen=True)
class Outcome:
    """How a labelling run ended."""

    labelled: int
    failures: dict[int, str]  # frame → what its engine said


def label_structures(
    frames: list[ase.Atoms],
    engine: Engine,
    out: Path,
    *,
    workers: int = 1,
    on_frame: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Label every frame and write ``out`` (extxyz) once all are done, in the order given.

    Finished frames are kept one by one in ``out.parts/``; running again labels only what is missing there (failed
    frames are tried again). Parts made from other structures or by another method are refused, not mixed.

    Raises:
        InputError: ``out.parts/`` belongs to another method.
    """
    parts = out.with_name(out.name + ".parts")
    parts.mkdir(parents=True, exist_ok=True)
    _claim(parts, engine.description)
    todo = {i: frame for i, frame in enumerate(frames) if not _part(parts, frame).exists()}
    done, failures = len(frames) - len(todo), {}
    report = on_frame or _silent
    report(done, len(frames))
    with ProcessPoolExecutor(workers, initializer=_one_thread) as pool:
        jobs = {pool.submit(_label_one, engine, frame, _part(parts, frame)): i for i, frame in todo.items()}
        for job in as_completed(jobs):
            if (failure := job.result()) is not None:
                failures[jobs[job]] = failure
            done += 1
            report(done, len(frames))
    kept = [ase.io.read(_part(parts, f), format="extxyz") for i, f in enumerate(frames) if i not in failures]
    temporary = out.with_name(out.name + ".tmp")
    ase.io.write(temporary, kept, format="extxyz")
    temporary.replace(out)
    return Outcome(len(kept), failures)


def _silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def _label_one(engine: Engine, frame: ase.Atoms, part: Path) -> str | None:
    """Label one frame into its own file; a failure is returned as words, so that the rest goes on."""
    try:
        labelled = engine.label(frame).written_on(frame)
    except FarfieldError as failure:
        return str(failure)
    temporary = part.with_suffix(f".{os.getpid()}.tmp")
    ase.io.write(temporary, labelled, format="extxyz")
    temporary.replace(part)
    return None


def _part(parts: Path, frame: ase.Atoms) -> Path:
    """The file of one frame, named by what it holds: a changed structure is another file."""
    digest = hashlib.sha256()
    for array in (frame.numbers, np.round(frame.positions, 10), np.round(frame.cell.array, 10), frame.pbc):
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(repr((float(frame.info.get("charge", 0)), frame.info.get("spin", 0))).encode())
    digest.update(repr(np.asarray(frame.info.get("fragment_charges", [])).tolist()).encode())
    return parts / f"{digest.hexdigest()[:20]}.xyz"


def _claim(parts: Path, description: str) -> None:
    """Mark the parts with their method, or find that they are another method's."""
    mark = parts / "engine.json"
    if not mark.exists():
        mark.write_text(json.dumps({"engine": description}))
        return
    before = json.loads(mark.read_text())["engine"]
    if before != description:
        raise InputError(f"{parts} holds frames labelled by {before}, not by {description}. Choose another --out")


def _one_thread() -> None:
    """One thread a worker: two workers on two cores beat two threads on one frame."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    try:
        from pyscf import lib
    except ImportError:
        return
    lib.num_threads(1)
