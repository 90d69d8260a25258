"""The real-space kernel B_0 of every pair: a sparse symmetric matrix, evaluated once for whatever charges follow."""

from typing import NamedTuple

import numpy as np

from farfield.compiled import Array, regrouped, together
from farfield.coulomb.kernels.numba.pair_sums import (
    FAR,
    PairCells,
    PairCharges,
    displacements,
    functions,
    kernels,
    rows,
    squares,
    table_of,
    total_of,
    with_images,
)
from farfield.coulomb.kernels.numba.radial import Boys
from farfield.coulomb.kernels.numba.simd import LANES, ROW, fill, smaller, smallest, store
from farfield.geometry.rows import NeighborRows


class PairMatrix(NamedTuple):
    """Entries of pairs, each once; an atom meets its own images on the diagonal."""

    atom: Array  # (atoms,) int64, whose pairs come next
    first: Array  # (atoms + 1,) int64, where the pairs of each of them begin
    other: Array  # (pairs,) int32, the other atom
    value: Array  # (pairs,), 1/Å


def pair_matrix(charges: PairCharges, cells: PairCells, listed: NeighborRows) -> tuple[PairMatrix, float]:
    """Evaluate B_0 of the pairs of a list, and the square of the least distance, Å²; charges play no part."""
    form, variances = functions(charges, cells), with_images(charges.variances, listed)
    table = table_of(charges.positions, charges.charges, 0, charges.owner, cells.cell, listed)
    given = table, variances, charges.owner

    def share(first: int, last: int) -> tuple[Array, float]:
        begin, end = listed.first[first], listed.first[last]
        value = np.empty(end - begin + LANES)  # whole registers are written
        closest = _values(given, cells, listed, form, (first, last), value)
        return value[: end - begin], closest

    values, distances = zip(*together(share, rows(listed)))
    other = listed.source[listed.other[: listed.pairs]]
    value = values[0] if len(values) == 1 else np.concatenate(values)
    return PairMatrix(listed.atom, listed.first, other, value), min(distances)


def times(matrix: PairMatrix, charges: Array, listed: NeighborRows) -> Array:
    """Potentials ``(sources, channels)`` in e/Å of charges ``(sources, channels)``."""

    def share(first: int, last: int) -> Array:
        out = np.zeros(charges.shape)
        _times(matrix, charges, (first, last), out)
        return out

    return total_of(tuple(together(share, rows(listed))))


def add_dense(matrix: PairMatrix, factor: float, slots: Array, block: Array) -> None:
    """Add ``factor`` times it to ``block`` (systems, longest, longest); atom i stands at ``slots[i]`` of all rows."""
    _add_dense(matrix, factor, slots, block.reshape(-1, block.shape[2]))


@regrouped
def _values(
    given: tuple[Array, Array, Array],
    cells: PairCells,
    listed: NeighborRows,
    form: Boys,
    reach: tuple[int, int],
    out: Array,
) -> float:
    table, variances, owner = given
    row, begin = listed.other, listed.first
    closest, before = fill(FAR), begin[reach[0]]
    for run in range(reach[0], reach[1]):
        i = listed.atom[run]
        origin = table[ROW * i], table[ROW * i + 1], table[ROW * i + 2]
        cutoff = cells.splitting[owner[i]], cells.cutoff[owner[i]] ** 2
        own = variances[i] if len(variances) > 0 else 0.0
        for pair in range(begin[run], begin[run + 1], LANES):
            at, count = np.uintp(pair), begin[run + 1] - pair
            x, y, z, _ = displacements(table, row, at, count, origin)
            squared = squares(x, y, z, count)
            closest = smaller(closest, squared)
            zeroth, _, _ = kernels(squared, (variances, own, row, at), cutoff, form.top, form.terms)
            # the next atom overwrites what stands in lanes without a pair
            store(out, np.uintp(pair - before), zeroth)
    return float(smallest(closest))


@regrouped
def _times(matrix: PairMatrix, charges: Array, reach: tuple[int, int], out: Array) -> None:
    for c in range(charges.shape[1]):
        for run in range(reach[0], reach[1]):
            i, total = matrix.atom[run], 0.0
            q = charges[i, c]
            for pair in range(matrix.first[run], matrix.first[run + 1]):
                j, value = matrix.other[pair], matrix.value[pair]
                total += value * charges[j, c]
                out[j, c] += value * q
            out[i, c] += total


@regrouped
def _add_dense(matrix: PairMatrix, factor: float, slots: Array, block: Array) -> None:
    longest = block.shape[1]
    for run in range(len(matrix.atom)):
        row = slots[matrix.atom[run]]
        for pair in range(matrix.first[run], matrix.first[run + 1]):
            other, value = slots[matrix.other[pair]], factor * matrix.value[pair]
            block[row, other % longest] += value
            block[other, row % longest] += value
