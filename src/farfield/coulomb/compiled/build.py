"""How loops are compiled, and how their work is shared between threads."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeVar, cast

import numba
import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]

Loop = TypeVar("Loop", bound=Callable[..., Any])
Result = TypeVar("Result")

_ROUNDING_FREE = {"contract", "reassoc", "nsz", "arcp"}
"""Sums may be regrouped, so that they fill vector registers; nan and infinity keep their meaning."""

_pool: ThreadPoolExecutor | None = None


def compiled(loop: Loop) -> Loop:
    """Compile on first use and keep the result on disk; runs without the interpreter's lock."""
    build = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_ROUNDING_FREE)
    return cast(Loop, build(loop))


def inlined(loop: Loop) -> Loop:
    """The same for the insides of a loop."""
    build = numba.njit(cache=True, inline="always", error_model="numpy", fastmath=_ROUNDING_FREE)
    return cast(Loop, build(loop))


def shares(work: int, least: int) -> list[tuple[int, int]]:
    """Even ranges of ``work``, one per thread of torch, none smaller than ``least``."""
    count = max(min(torch.get_num_threads(), work // max(least, 1)), 1)
    ends = [work * k // count for k in range(count + 1)]
    return list(pairwise(ends))


def together(task: Callable[[int, int], Result], ranges: list[tuple[int, int]]) -> list[Result]:
    """The task on every range, each in a thread of its own; results in their order."""
    if len(ranges) == 1:
        return [task(*ranges[0])]
    pending = [_threads().submit(task, *share) for share in ranges[1:]]
    return [task(*ranges[0]), *(one.result() for one in pending)]


def numbers(tensor: Tensor) -> Array:
    """A tensor's values in double precision, contiguous, without its graph."""
    array: Array = tensor.detach().to(torch.float64).contiguous().numpy()
    return array


def _threads() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="farfield")
    return _pool


def _forget_threads() -> None:
    """A forked process has none of its parent's threads."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
