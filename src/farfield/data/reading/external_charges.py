"""External charges as files have them: rows x, y, z, charge and perhaps Gaussian width."""

import numpy as np

from farfield.data.keys import Numbers

EXTERNAL = "external_charges"
"""Key of a frame."""


def in_angstrom(rows: Numbers, length: float) -> Numbers:
    """Convert places and widths, ``length`` the file's unit in Å; the charge between them is in e."""
    scale = np.full(rows.shape[-1] if rows.ndim else 1, length)
    scale[3:4] = 1.0
    return np.asarray(rows * scale)
