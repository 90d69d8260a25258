"""Electrostatic potentials as files have them: rows x, y, z and potential, a row a point."""

from typing import Any

import numpy as np

from farfield.data.config import DataConfig
from farfield.data.keys import Numbers, numeric
from farfield.errors import InputError


def potential_rows(raw: Any, config: DataConfig, where: str) -> Numbers:
    """The points and the potentials there ``(points, 4)``, Å and V, of rows that a file may have flattened.

    Raises:
        InputError: not numbers, not finite, or not four a point.
    """
    value = np.zeros(0) if raw is None else numeric(raw, where)
    if value.size % 4 or (value.ndim > 1 and value.shape[-1] != 4):
        raise InputError(f"{where} has shape {value.shape}, expected rows x, y, z, potential, four numbers a point")
    if len(wrong := np.argwhere(~np.isfinite(value.reshape(-1, 4)))):
        raise InputError(f"{where} is not finite in row {int(wrong[0, 0])}: leave such points away")
    return in_angstrom_and_volt(value, config.factors.length, config.factors.energy)


def in_angstrom_and_volt(rows: Numbers, length: float, energy: float) -> Numbers:
    """Convert rows of four numbers, flattened or not; ``length`` and ``energy`` are the file's units in Å and eV."""
    return np.asarray(rows.reshape(-1, 4) * [length, length, length, energy])
