"""The sums as loops over atoms or bonds, each of which writes only to its own place. Channels are innermost.

They run from ``begin`` to ``end`` and write over whatever their first array held. Seen from the second atom of a bond,
harmonics of odd order change sign.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from farfield.compiled import regrouped

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.int64]


@regrouped
def gather(
    begin: int,
    end: int,
    density: Floats,  # (atoms, m, channels)
    radial: Floats,  # (bonds, orders, channels)
    harmonics: Floats,  # (bonds, m)
    sent: Floats,  # (atoms, channels)
    visits: Integers,
    start: Integers,
) -> None:
    """density[i, m] = Σ R[bond, l] · Y[bond, m] · sent[j] over the visits of atoms i."""
    channels = sent.shape[1]
    message = np.empty(channels, sent.dtype)
    for i in range(begin, end):
        density[i] = 0
        for visit in range(start[i], start[i + 1]):
            bond, j = visits[visit, 0], visits[visit, 1]
            for order in range(radial.shape[1]):
                turned = order % 2 == 1 and visits[visit, 2] < 0
                for c in range(channels):
                    message[c] = radial[bond, order, c] * sent[j, c]
                for m in range(order * order, (order + 1) * (order + 1)):
                    harmonic = -harmonics[bond, m] if turned else harmonics[bond, m]
                    for c in range(channels):
                        density[i, m, c] += harmonic * message[c]


@regrouped
def slope_of_sent(
    begin: int,
    end: int,
    slope: Floats,  # (atoms, channels)
    density: Floats,  # (atoms, m, channels), what the densities are multiplied with
    radial: Floats,
    harmonics: Floats,
    visits: Integers,
    start: Integers,
) -> None:
    """slope[j] = Σ R[bond, l] · Y[bond, m] · density[i, m] over the visits of atoms j, seen from their far ends i."""
    channels = slope.shape[1]
    along = np.empty(channels, slope.dtype)
    for j in range(begin, end):
        slope[j] = 0
        for visit in range(start[j], start[j + 1]):
            bond, i = visits[visit, 0], visits[visit, 1]
            for order in range(radial.shape[1]):
                turned = order % 2 == 1 and visits[visit, 2] > 0
                along[:] = 0
                for m in range(order * order, (order + 1) * (order + 1)):
                    harmonic = -harmonics[bond, m] if turned else harmonics[bond, m]
                    for c in range(channels):
                        along[c] += harmonic * density[i, m, c]
                for c in range(channels):
                    slope[j, c] += radial[bond, order, c] * along[c]


@regrouped
def slope_of_bonds(
    begin: int,
    end: int,
    to_radial: Floats,  # (bonds, orders, channels)
    to_harmonics: Floats,  # (bonds, m)
    density: Floats,  # (atoms, m, channels), what the densities are multiplied with
    radial: Floats,
    harmonics: Floats,
    sent: Floats,
    ends: Integers,
) -> None:
    """Both slopes of a bond: sent of each end times the density of the other, times Y or times R."""
    for bond in range(begin, end):
        i, j = ends[bond, 0], ends[bond, 1]
        to_radial[bond] = 0
        for order in range(radial.shape[1]):
            for m in range(order * order, (order + 1) * (order + 1)):
                harmonic = harmonics[bond, m]
                total = 0 * harmonic
                if order % 2 == 0:
                    for c in range(sent.shape[1]):
                        both = sent[j, c] * density[i, m, c] + sent[i, c] * density[j, m, c]
                        to_radial[bond, order, c] += harmonic * both
                        total += radial[bond, order, c] * both
                else:
                    for c in range(sent.shape[1]):
                        both = sent[j, c] * density[i, m, c] - sent[i, c] * density[j, m, c]
                        to_radial[bond, order, c] += harmonic * both
                        total += radial[bond, order, c] * both
                to_harmonics[bond, m] = total


@regrouped
def couple(
    begin: int,
    end: int,
    out: Floats,  # (atoms, rows, channels)
    weights: Floats,  # (paths, elements, channels)
    a: Floats,  # (atoms, rows, channels)
    b: Floats,
    element: Integers,  # (atoms,)
    table: Integers,  # (4, terms): path, and the rows of a, b and out
    coefficients: Floats,  # (terms,)
) -> None:
    """out[n] = Σ coefficient · weight of the path and the element · a[n] · b[n] over all terms, for atoms n."""
    for n in range(begin, end):
        out[n] = 0
        for term in range(len(coefficients)):
            weight, left, right = weights[table[0, term], element[n]], a[n, table[1, term]], b[n, table[2, term]]
            target, coefficient = out[n, table[3, term]], coefficients[term]
            for c in range(len(target)):
                target[c] += coefficient * weight[c] * left[c] * right[c]


@regrouped
def slope_of_weights(
    begin: int,
    end: int,
    slope: Floats,  # (blocks, paths, elements, channels)
    a: Floats,  # (atoms, rows, channels)
    b: Floats,
    d: Floats,
    element: Integers,  # (atoms,)
    table: Integers,  # (4, terms): path, and the rows of a, b and d
    coefficients: Floats,  # (terms,)
) -> None:
    """slope[path, element] = Σ coefficient · a[n] · b[n] · d[n] over all terms and the atoms n of each block."""
    atoms, blocks = len(element), len(slope)
    for block in range(begin, end):
        slope[block] = 0
        for n in range(block * atoms // blocks, (block + 1) * atoms // blocks):
            for term in range(len(coefficients)):
                target, left = slope[block, table[0, term], element[n]], a[n, table[1, term]]
                right, far, coefficient = b[n, table[2, term]], d[n, table[3, term]], coefficients[term]
                for c in range(len(target)):
                    target[c] += coefficient * left[c] * right[c] * far[c]
