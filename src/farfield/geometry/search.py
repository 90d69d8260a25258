"""The search from end to end: atoms into bins, pairs counted, pairs written.

Runs of bins need nothing of one another, so any number of threads writes the same list.
"""

import itertools

import numpy as np

from farfield.compiled import Array, compiled, thread_count, together
from farfield.geometry.bins import Batch, Bins, binned
from farfield.geometry.listing import Listing, Wanted, visit

ENOUGH = 2000
"""Atoms that are worth a second thread, and memory in huge pages, which is numpy's to give."""


def search(batch: Batch, wanted: Wanted, dtype: type) -> tuple[Listing, bool]:
    """The pairs of a batch, by as many threads as torch has, and whether any of them touch; shifts in ``dtype``."""
    if len(batch.positions) < ENOUGH:
        listing, touching = _at_once(batch, wanted, np.empty((0, 3), dtype))
        return listing, touching > 0
    bins = binned(batch, wanted.cutoff)
    parts = _parts(bins, thread_count())
    nothing = np.empty(0, np.int64)
    listing = Listing(nothing, nothing, np.empty((0, 3), dtype), np.zeros(len(batch.positions) + 1, np.int64))
    touching = sum(together(lambda begin, end: visit(bins, begin, end, wanted, listing), parts))
    offsets = np.cumsum(listing.offsets)
    pairs = offsets[-1]
    listing = Listing(np.empty(pairs, np.int64), np.empty(pairs, np.int64), np.empty((pairs, 3), dtype), offsets)
    together(lambda begin, end: visit(bins, begin, end, wanted, listing), parts)
    return listing, touching > 0


@compiled
def _at_once(batch: Batch, wanted: Wanted, no_shift: Array) -> tuple[Listing, int]:
    """Search without a way through Python, which costs more than the search of a molecule."""
    bins = binned(batch, wanted.cutoff)
    nothing, offsets = np.empty(0, np.int64), np.zeros(len(batch.positions) + 1, np.int64)
    begin, end = bins.first_bin[0], bins.first_bin[-1]
    touching = visit(bins, begin, end, wanted, Listing(nothing, nothing, no_shift, offsets))
    for atom in range(len(batch.positions)):
        offsets[atom + 1] += offsets[atom]
    i, j = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.int64)
    listing = Listing(i, j, np.empty((offsets[-1], 3), no_shift.dtype), offsets)
    visit(bins, begin, end, wanted, listing)
    return listing, touching


def _parts(bins: Bins, threads: int) -> list[tuple[int, int]]:
    """Runs of bins with about equally many atoms: several for each thread, for some will be denser."""
    atoms, last = len(bins.atom), len(bins.key)
    if threads == 1:
        return [(0, last)]
    cuts = np.searchsorted(bins.first_atom, np.linspace(0, atoms, 8 * threads + 1)).clip(0, last).tolist()
    return list(itertools.pairwise(cuts))
