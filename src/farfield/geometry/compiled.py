"""Kernels compiled by numba: at the first call, once per machine."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(kernel: Kernel) -> Kernel:
    """Machine code for ``kernel``, kept on disk; lets other threads run meanwhile, so that threads can share work.

    A kernel may call those in other files of its folder: a change in any of them compiles all of them anew.
    """
    dispatcher = numba.njit(cache=True, nogil=True, error_model="numpy")(kernel)
    # numba looks at the kernel's own file only, and would run on with what it had inlined from the others
    if (kept := getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)) is not None:
        kept._source_stamp = _stamp(Path(kernel.__code__.co_filename).parent)
    return cast(Kernel, dispatcher)


@cache
def _stamp(folder: Path) -> tuple[tuple[str, float, int], ...]:
    """Name, time and size of the sources in a folder."""
    found = [(path.name, path.stat()) for path in sorted(folder.glob("*.py"))]
    return tuple((name, stat.st_mtime, stat.st_size) for name, stat in found)
