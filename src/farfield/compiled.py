"""Loops compiled by numba at their first call, kept on disk, and shared between as many threads as torch may use."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
import torch
from torch import Tensor

from farfield.compilation import say_that_nothing_is_kept, say_what_is_compiled

Array = np.ndarray[Any, np.dtype[Any]]
Loop = TypeVar("Loop", bound=Callable[..., Any])
Result = TypeVar("Result")

_lent = threading.local()

_REGROUPED = {"contract", "reassoc", "nsz", "arcp"}
"""What the compiler may do to sums so that they fill vector registers; nan and infinity keep their meaning."""

say_what_is_compiled()


def compiled(loop: Loop) -> Loop:
    """Machine code to the letter of IEEE arithmetic; runs without the interpreter's lock.

    A loop may call those in other files of its folder: a change in any of them compiles all of them anew.
    """
    return _built(loop, nogil=True)


def regrouped(loop: Loop) -> Loop:
    """Compile a loop whose sums may be regrouped: several times faster, and right to rounding."""
    return _built(loop, nogil=True, fastmath=_REGROUPED)


def inlined(loop: Loop) -> Loop:
    """The insides of a ``regrouped`` loop: a call of it, with values in registers, costs nothing."""
    return _built(loop, nogil=True, forceinline=True, fastmath=_REGROUPED)


@contextmanager
def own_threads() -> Iterator[None]:
    """Torch's own operations on one thread, so that ``together`` has the cores to itself.

    OpenMP's threads go on spinning for milliseconds after each of them; on two cores that costs more than the second
    core gives. (A thread that calls torch for the first time meanwhile keeps to one: torch's default is the process's.)
    """
    count = torch.get_num_threads()
    if count == 1:
        yield
        return
    torch.set_num_threads(1)
    _lent.count = count
    try:
        yield
    finally:
        _lent.count = 0
        torch.set_num_threads(count)


def has_loops(tensor: Tensor) -> bool:
    """Tell whether compiled loops take a tensor; plain torch does where not.

    They take whatever is on a processor, and nothing where the environment says ``FARFIELD_KERNELS=reference``.
    """
    return tensor.device.type == "cpu" and os.environ.get("FARFIELD_KERNELS", "compiled") != "reference"


def thread_count() -> int:
    """Count the threads that torch may use, or has lent us."""
    return getattr(_lent, "count", 0) or torch.get_num_threads()


def shares(work: int, least: int) -> list[tuple[int, int]]:
    """Even ranges of ``work``, one per thread, none smaller than ``least``."""
    count = max(min(thread_count(), work // max(least, 1)), 1)
    ends = [work * k // count for k in range(count + 1)]
    return list(pairwise(ends))


def together(task: Callable[[int, int], Result], ranges: list[tuple[int, int]]) -> list[Result]:
    """The task on every range, on threads of our own (numba's do not survive a fork); results in their order."""
    if len(ranges) == 1:
        return [task(*ranges[0])]
    pool = _threads(os.getpid(), max(thread_count() - 1, 1))
    pending = [pool.submit(task, *share) for share in ranges[1:]]
    return [task(*ranges[0]), *(one.result() for one in pending)]


def numbers(tensor: Tensor) -> Array:
    """A tensor's values in double precision, contiguous, without its graph."""
    array: Array = tensor.detach().to(torch.float64).contiguous().numpy()
    return array


def _built(loop: Loop, **options: Any) -> Loop:
    try:
        dispatcher = numba.njit(cache=True, error_model="numpy", **options)(loop)
    except RuntimeError:  # nowhere on disk to keep it
        say_that_nothing_is_kept()
        return cast(Loop, numba.njit(error_model="numpy", **options)(loop))
    # numba looks at the loop's own file only, and would run on with what it had inlined from the others
    if (kept := getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)) is not None:
        kept._source_stamp = _stamp(Path(loop.__code__.co_filename).parent)
    return cast(Loop, dispatcher)


@cache
def _stamp(folder: Path) -> tuple[tuple[str, float, int], ...]:
    """Name, time and size of the sources in a folder."""
    found = [(path.name, path.stat()) for path in sorted(folder.glob("*.py"))]
    return tuple((name, stat.st_mtime, stat.st_size) for name, stat in found)


@lru_cache(maxsize=1)
def _threads(process: int, count: int) -> ThreadPoolExecutor:  # noqa: ARG001  (a forked process has none of its parent's)
    return ThreadPoolExecutor(count, thread_name_prefix="farfield")
