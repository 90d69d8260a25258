"""One pass over the transform of the charges: energy and stress are summed while it is multiplied."""

import numpy as np

from farfield.compiled import Array, regrouped, shares, together

LEAST = 1 << 18
"""Points of k-space that are worth a thread."""


def multiply(spectrum: Array, weight: Array, stretch: Array) -> tuple[float, Array]:
    """Multiply with real weights in place; Σ over half of k-space of weight|Q|² and of stretch|Q|² n⊗n (3, 3).

    All are laid out as rfftn has them, real and imaginary parts side by side in ``spectrum``'s last axis. The plane
    of the last axis' wave 0 counts half.
    """
    shape = weight.shape
    waves = [np.fft.fftfreq(n, 1 / n).round() for n in shape[:2]]

    def share(first: int, last: int) -> Array:
        total = np.zeros(7)
        _multiply((spectrum, weight, stretch), (waves[0], waves[1]), (first, last), total)
        return total

    found = together(share, shares(shape[0], -(-LEAST // (shape[1] * shape[2]))))
    energy, xx, yy, zz, yz, xz, xy = np.sum(found, 0)
    return float(energy), np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


@regrouped
def _multiply(
    arrays: tuple[Array, Array, Array], waves: tuple[Array, Array], planes: tuple[int, int], total: Array
) -> None:
    spectrum, weight, stretch = arrays
    columns, depth = weight.shape[1], weight.shape[2]
    for a in range(planes[0], planes[1]):
        for b in range(columns):
            x, y = waves[0][a], waves[1][b]
            energy, zeroth, first, second = 0.0, 0.0, 0.0, 0.0
            for c in range(depth):
                re, im = np.float64(spectrum[a, b, 2 * c]), np.float64(spectrum[a, b, 2 * c + 1])
                factor = weight[a, b, c]
                power = (re * re + im * im) * (1.0 if c > 0 else 0.5)
                stretched = power * stretch[a, b, c]
                energy += power * factor
                zeroth += stretched
                first += stretched * c
                second += stretched * (c * c)
                spectrum[a, b, 2 * c] = re * factor
                spectrum[a, b, 2 * c + 1] = im * factor
            total[0] += energy
            total[1] += zeroth * x * x
            total[2] += zeroth * y * y
            total[3] += second
            total[4] += first * y
            total[5] += first * x
            total[6] += zeroth * x * y
