"""Loops compiled by numba on first use, kept on disk, and divided among torch's threads."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

REORDERED = {"reassoc", "contract", "nsz"}
"""What the compiler may do to sums: reorder and fuse them, so that they vectorise; nan and inf stay what they are."""

WORTHWHILE = 64
"""Atoms or bonds below which a loop is not divided further."""

Loop = Callable[..., None]


def share(loop: Loop, count: int, *arguments: Tensor | NDArray[Any]) -> None:
    """Run ``loop(begin, end, *arguments)`` over 0 to ``count``, divided among as many threads as torch may use.

    Whoever writes a place of the result is decided by the loop alone: the result is the same for any number of threads.
    """
    ready = [_array(argument) for argument in arguments]
    run, threads = _machine_code(loop), min(torch.get_num_threads(), 1 + count // WORTHWHILE)
    if threads == 1:
        run(0, count, *ready)
        return
    bounds = [count * thread // threads for thread in range(threads + 1)]
    rest = [_pool(os.getpid(), threads).submit(run, b, e, *ready) for b, e in pairwise(bounds[1:])]
    run(0, bounds[1], *ready)
    for part in rest:
        part.result()


def _array(argument: Tensor | NDArray[Any]) -> NDArray[Any]:
    if isinstance(argument, Tensor):
        return np.asarray(argument.detach().contiguous().numpy())
    return argument


@lru_cache
def _machine_code(loop: Loop) -> Loop:
    import numba  # half a second, which only those pay who compute

    options: dict[str, Any] = {"nogil": True, "fastmath": REORDERED}
    try:
        compiled: Loop = numba.njit(loop, cache=True, **options)
    except RuntimeError:  # nowhere on disk to keep it
        compiled = numba.njit(loop, **options)
    return compiled


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:  # noqa: ARG001  (a fork does not inherit threads)
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="farfield")
