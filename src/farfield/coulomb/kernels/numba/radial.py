"""B_n of erfc(αr)/r and of (erf(ar) - erf(αr))/r, eight pairs at a time; B_{n+1} = -(1/r) dB_n/dr.

erf(ar)/r has B_n = (2a/√π)(2a²)ⁿ F_n(a²r²), F_n being the Boys functions. These are entire: up to some T a polynomial
gives them to rounding, down to r = 0, without a root, an exponential or a branch. Beyond T = 36 erf(ar) is 1.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial.chebyshev import cheb2poly

from farfield.compiled import Array, inlined
from farfield.coulomb.kernels.numba.simd import fill, root, same, where_below

ORDERS = 3

ALL = 36.0
"""erfc(√T) is nothing beside 1."""

_NODES = 512
_ODD = 2 * np.arange(_NODES) + 1
_ONE, _TWO, _THREE, _FOUR, _FIVE = (np.uintp(k) for k in range(1, 6))
_FACTOR = 2 / math.sqrt(math.pi)


class Boys(NamedTuple):
    """F_0, F_1 and F_2 up to T: polynomials of u = 2z/T - 1, E(u²) + u·O(u²), which halves the chains of products."""

    top: float  # T
    terms: Array  # (powers · 6,): E, O of F_0, of F_1, of F_2; highest powers of u² first


@lru_cache(maxsize=64)
def boys(top: float) -> Boys:
    """Polynomials of the Boys functions up to ``top`` (36 at most), to rounding; kept for every T, so round it."""
    top = float(min(max(top, 1), ALL))
    series = [_chebyshev(boys_values(n, top / 2 * (1 + np.cos(np.pi / 2 / _NODES * _ODD)))) for n in range(ORDERS)]
    powers = max(_length(one) for one in series) // 2 + 1
    terms = np.zeros((powers, 2 * ORDERS))
    for n, one in enumerate(series):
        polynomial = cheb2poly(one[: 2 * powers])
        polynomial = np.pad(polynomial, (0, 2 * powers - len(polynomial)))
        terms[:, 2 * n], terms[:, 2 * n + 1] = polynomial[0::2], polynomial[1::2]
    return Boys(top, terms[::-1].reshape(-1).copy())


def _chebyshev(values: Array) -> Array:
    """Series of a function known at many nodes, whose rounding averages out."""
    series: Array = 2 / _NODES * np.cos(np.pi / _NODES / 2 * (np.outer(np.arange(64), _ODD) % (4 * _NODES))) @ values
    series[0] /= 2
    return series


def _length(series: Array) -> int:
    """Count the terms of a series that falls faster than any power, until rounding."""
    small = np.abs(series) < 5e-16 * np.abs(series).max()
    return int(np.flatnonzero(small[:-1] & small[1:])[0])


def boys_values(order: int, z: Array) -> Array:
    """F_n(z) = ∫₀¹ t^2n exp(-zt²) dt for 0 ≤ z ≤ 36: exp(-z) Σ_k (2z)^k / (2n+1)(2n+3)…(2n+2k+1), no term negative."""
    term = np.full_like(z, 1 / (2 * order + 1))
    series = term.copy()
    for k in range(1, 200):
        term = term * 2 * z / (2 * order + 2 * k + 1)
        series = series + term
    return np.exp(-z) * series


@inlined
def of_erf(squared: Any, rate: Any, top: float, terms: Array) -> tuple[Any, Any, Any]:
    """B_0, B_1 and B_2 of erf(rate·r)/r in eight lanes, ``rate`` one number or eight; right while (rate·r)² ≤ T."""
    square = rate * rate
    z = squared * square
    u = where_below(z, top, z, fill(top)) * (2 / top) - 1.0
    v = u * u
    a, b, c, d, e, f = fill(0.0), fill(0.0), fill(0.0), fill(0.0), fill(0.0), fill(0.0)
    for k in range(0, len(terms), 6):
        at = np.uintp(k)  # not negative: nothing to count from the end
        a = a * v + same(terms, at)
        b = b * v + same(terms, at + _ONE)
        c = c * v + same(terms, at + _TWO)
        d = d * v + same(terms, at + _THREE)
        e = e * v + same(terms, at + _FOUR)
        f = f * v + same(terms, at + _FIVE)
    zeroth, twice = rate * _FACTOR, square * 2.0
    return (a + u * b) * zeroth, (c + u * d) * (zeroth * twice), (e + u * f) * (zeroth * twice * twice)


@inlined
def of_points(squared: Any) -> tuple[Any, Any, Any]:
    """B_0, B_1 and B_2 of 1/r in eight lanes."""
    square = fill(1.0) / squared
    zeroth = root(square)
    first = zeroth * square
    return zeroth, first, first * square * 3.0
