"""Kernels compiled by numba: at the first call, once per machine."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(kernel: Kernel) -> Kernel:
    """Machine code for ``kernel``, kept on disk; lets other threads run meanwhile, so that threads can share work."""
    return cast(Kernel, numba.njit(cache=True, nogil=True, error_model="numpy")(kernel))
