"""The search from end to end: atoms into bins, pairs counted, pairs written.

Runs of bins need nothing of one another, so any number of threads writes the same list.
"""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from farfield.geometry.bins import Batch, Bins, binned
from farfield.geometry.compiled import compiled
from farfield.geometry.lattice import Array
from farfield.geometry.listing import Listing, count, write

ENOUGH = 2000
"""Atoms that are worth a second thread, and memory in huge pages, which is numpy's to give."""


def search(batch: Batch, cutoff: float, *, half: bool, closest: float, dtype: type) -> tuple[Listing, bool]:
    """All pairs closer than ``cutoff`` Å, by as many threads as torch has, and whether any of them touch.

    ``half`` gives each pair once: i < j, and of an atom's own images those with lexicographically positive shift;
    pairs closer than ``closest`` Å touch; ``dtype`` is that of the shifts.
    """
    if len(batch.positions) < ENOUGH:
        listing, touching = _at_once(batch, cutoff, half, closest, np.empty((0, 3), dtype))
        return listing, touching > 0
    bins = binned(batch, cutoff)
    parts = _parts(bins, torch.get_num_threads())
    offsets = np.zeros(len(batch.positions) + 1, np.int64)
    pairs = sum(_in_threads(lambda begin, end: count(bins, begin, end, cutoff, half, offsets), parts))
    np.cumsum(offsets, out=offsets)
    listing = Listing(np.empty(pairs, np.int64), np.empty(pairs, np.int64), np.empty((pairs, 3), dtype), offsets)
    return listing, sum(
        _in_threads(lambda begin, end: write(bins, begin, end, cutoff, half, closest, listing), parts)
    ) > 0


@compiled
def _at_once(batch: Batch, cutoff: float, half: bool, closest: float, no_shifts: Array) -> tuple[Listing, int]:
    """The same without a way through Python, which costs more than the search of a molecule."""
    bins = binned(batch, cutoff)
    offsets = np.zeros(len(batch.positions) + 1, np.int64)
    pairs = count(bins, 0, len(bins.key), cutoff, half, offsets)
    for atom in range(len(batch.positions)):
        offsets[atom + 1] += offsets[atom]
    shift = np.empty((pairs, 3), no_shifts.dtype)
    listing = Listing(np.empty(pairs, np.int64), np.empty(pairs, np.int64), shift, offsets)
    return listing, write(bins, 0, len(bins.key), cutoff, half, closest, listing)


def _parts(bins: Bins, threads: int) -> list[tuple[int, int]]:
    """Runs of bins with about equally many atoms: several for each thread, for some will be denser."""
    atoms, last = len(bins.atom), len(bins.key)
    if threads == 1:
        return [(0, last)]
    cuts = np.searchsorted(bins.first_atom, np.linspace(0, atoms, 8 * threads + 1)).clip(0, last).tolist()
    return list(itertools.pairwise(cuts))


def _in_threads(work: Callable[[int, int], int], parts: list[tuple[int, int]]) -> list[int]:
    # threads of our own: numba's do not survive a fork, and may be called from one thread at a time only
    if len(parts) == 1:
        return [work(*parts[0])]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return list(pool.map(lambda part: work(*part), parts))
