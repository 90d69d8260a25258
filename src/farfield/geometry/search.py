"""The search from end to end: atoms into bins, pairs counted, pairs written.

Runs of bins need nothing of one another, so any number of threads writes the same list.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from farfield.geometry.bins import Batch, Bins, binned
from farfield.geometry.listing import Listing, count, write

ENOUGH = 2000
"""Atoms that are worth a second thread."""


def search(batch: Batch, cutoff: float, *, half: bool, closest: float, dtype: type) -> tuple[Listing, bool]:
    """All pairs closer than ``cutoff`` Å, by as many threads as torch has, and whether any of them touch.

    ``half`` gives each pair once: i < j, and of an atom's own images those with lexicographically positive shift;
    pairs closer than ``closest`` Å touch; ``dtype`` is that of the shifts.
    """
    bins = binned(batch, cutoff)
    offsets = np.zeros(len(batch.positions) + 1, np.int64)
    parts = _parts(bins, torch.get_num_threads())
    pairs = sum(_in_threads(lambda begin, end: count(bins, begin, end, cutoff, half, offsets), parts))
    np.cumsum(offsets, out=offsets)
    listing = Listing(np.empty(pairs, np.int64), np.empty(pairs, np.int64), np.empty((pairs, 3), dtype), offsets)
    touching = _in_threads(lambda begin, end: write(bins, begin, end, cutoff, half, closest, listing), parts)
    return listing, sum(touching) > 0


def _parts(bins: Bins, threads: int) -> list[tuple[int, int]]:
    """Runs of bins with about equally many atoms: several for each thread, for some will be denser."""
    atoms, last = len(bins.atom), len(bins.key)
    if threads == 1 or atoms < ENOUGH:
        return [(0, last)]
    cuts = np.searchsorted(bins.first_atom, np.linspace(0, atoms, 8 * threads + 1)).clip(0, last).tolist()
    return list(zip(cuts[:-1], cuts[1:]))


def _in_threads(work: Callable[[int, int], int], parts: list[tuple[int, int]]) -> list[int]:
    # threads of our own: numba's do not survive a fork, and may be called from one thread at a time only
    if len(parts) == 1:
        return [work(*parts[0])]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return list(pool.map(lambda part: work(*part), parts))
