"""Label many structures: in parallel, restartable, nothing lost when stopped."""

import contextlib
import hashlib
import json
import multiprocessing
import signal
import tempfile
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import ase
import ase.io
import numpy as np

from farfield.atomic_write import write_atomically
from farfield.errors import FarfieldError, InputError
from farfield.reference.contract import Engine, Label


@dataclass(frozen=True)
class Outcome:
    """Outcome of a labelling run."""

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

    Finished frames are kept one by one in ``parts_folder(out)``; running again labels only what is missing there
    (failed frames are tried again). Parts made from other structures or by another method are refused, not mixed.
    Frames that fail are left out; where all do, ``out`` is not written.

    Raises:
        InputError: fewer than one worker, nowhere to write, parts that belong to another method, or an engine that
            would fail on every frame. All before the first frame.
    """
    parts = parts_folder(out)
    _check_place(out, workers)
    places: dict[Path, list[int]] = {}  # frames that differ in name only are solved once
    for i, frame in enumerate(frames):
        places.setdefault(_part(parts, frame), []).append(i)
    todo = {part: members for part, members in places.items() if not part.exists()}
    if todo:
        _check_engine(engine, frozenset(s for members in todo.values() for s in frames[members[0]].symbols))
    _claim(parts, engine.description)
    done, failures = len(frames) - sum(map(len, todo.values())), {}
    report = on_frame or _silent
    report(done, len(frames))
    jobs = {part: frames[members[0]] for part, members in todo.items()}
    with contextlib.closing(_solved(engine, jobs, workers)) as solved:
        for part, failure in solved:
            if failure is not None:
                failures.update(dict.fromkeys(todo[part], failure))
            done += len(todo[part])
            report(done, len(frames))
    kept = [_collected(_part(parts, f), f) for i, f in enumerate(frames) if i not in failures]
    if kept:
        write_atomically(out, _as_extxyz(kept))
    return Outcome(len(kept), failures)


def parts_folder(out: Path) -> Path:
    """Name the folder where finished frames wait until ``out`` is written."""
    return out.with_name(out.name + ".parts")


def _silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def _check_place(out: Path, workers: int) -> None:
    if workers < 1:
        raise InputError(f"labelling needs at least 1 worker, not {workers}")
    if out.is_dir():
        raise InputError(f"{out} is a folder: expected a file to write, e.g. --out {out / 'labelled.xyz'}")
    if not out.parent.is_dir():
        raise InputError(f"cannot write {out}: there is no folder {out.parent}. Make it first: mkdir -p {out.parent}")
    parts = parts_folder(out)
    for folder in (out.parent, parts) if parts.exists() else (out.parent,):
        try:
            tempfile.TemporaryFile(dir=folder).close()  # permissions alone do not tell
        except OSError as failure:
            raise InputError(f"cannot write into {folder}: {failure.strerror}. Choose another --out") from failure


def _check_engine(engine: Engine, elements: frozenset[str]) -> None:
    """Check in a process of its own: a calculator may take hold of a GPU, and workers forked afterwards could not."""
    with ProcessPoolExecutor(1, initializer=_quiet_worker) as pool:
        try:
            pool.submit(engine.check, elements).result()
        except BrokenProcessPool as failure:
            raise InputError(f"{engine.description}: the process that tried it died (out of memory?)") from failure


def _solved(
    engine: Engine, jobs: dict[Path, ase.Atoms], workers: int
) -> Generator[tuple[Path, str | None], None, None]:
    """Parts as they come, each with its failure in words or None. Left early, it stops the workers where they are."""
    if not jobs:
        return
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, initializer=_quiet_worker) as pool:
        try:
            parts = {pool.submit(_label_one, engine, frame, part): part for part, frame in jobs.items()}
            for job in as_completed(parts):
                yield parts[job], _result(job)
        except BaseException:  # Ctrl-C; a frame can take an hour, and parts are whole or not there
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise


def _result(job: "Future[str | None]") -> str | None:
    try:
        return job.result()
    except BrokenProcessPool:
        return "a worker process died (out of memory?): run again, with fewer --workers"
    except Exception as failure:  # a frame that cannot travel to a process
        return f"{type(failure).__name__}: {failure}"


def _label_one(engine: Engine, frame: ase.Atoms, part: Path) -> str | None:
    """Label one frame into its own file; a failure is returned as words, so that the rest goes on."""
    try:
        bare = ase.Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=frame.pbc)
        write_atomically(part, _as_extxyz([engine.label(frame).written_on(bare)]))
    except FarfieldError as failure:
        return str(failure)
    except Exception as failure:  # engines are strangers: theirs is not ours to know
        return f"{type(failure).__name__}: {failure}"
    return None


def _collected(part: Path, frame: ase.Atoms) -> ase.Atoms:
    """The caller's own frame with the labels of the part: another frame's names may have made it."""
    labelled: ase.Atoms = ase.io.read(part, format="extxyz")
    return Label.read_from(labelled).written_on(frame)


def _as_extxyz(frames: list[ase.Atoms]) -> bytes:
    text = StringIO()
    ase.io.write(text, frames, format="extxyz")
    return text.getvalue().encode()


def _part(parts: Path, frame: ase.Atoms) -> Path:
    """The file of one frame, named by what its labels depend on: a changed structure is another file."""
    digest = hashlib.sha256()
    for array in (frame.numbers, np.round(frame.positions, 10), np.round(frame.cell.array, 10), frame.pbc):
        digest.update(np.ascontiguousarray(array).tobytes())
    for name in ("fragment", "initial_charges", "initial_magmoms"):
        digest.update(repr((name, np.asarray(frame.arrays.get(name, [])).tolist())).encode())
    for name in ("charge", "spin", "fragment_charges", "fragment_spins"):
        digest.update(repr((name, np.asarray(frame.info.get(name, 0)).tolist())).encode())
    return parts / f"{digest.hexdigest()[:20]}.xyz"


def _claim(parts: Path, description: str) -> None:
    """Mark the parts with their method, or find that they are another method's."""
    parts.mkdir(exist_ok=True)
    mark = parts / "engine.json"
    if not mark.exists():
        write_atomically(mark, json.dumps({"engine": description}).encode())
        return
    before = json.loads(mark.read_text())["engine"]
    if before != description:
        raise InputError(f"{parts} holds frames labelled by {before}, not by {description}. Choose another --out")


def _quiet_worker() -> None:
    """One thread a worker: two on two cores beat two threads on one frame. Ctrl-C is the parent's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(ImportError):
        from threadpoolctl import threadpool_limits

        threadpool_limits(1)
    with contextlib.suppress(ImportError):
        from pyscf import lib

        lib.num_threads(1)
