"""The only thing that loss, calculator, report and probe see of a model."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """What a model says of a batch. ``None`` where it has nothing to say or was not asked."""

    energy: Tensor  # (systems,) eV, float64 once the baseline is on it
    forces: Tensor | None = None  # (atoms, 3) eV/Å
    stress: Tensor | None = None  # (systems, 3, 3) eV/Å³
    charges: Tensor | None = None  # (atoms,) e
    dipole: Tensor | None = None  # (systems, 3) e·Å about the origin; nan where periodic
    energy_coulomb: Tensor | None = None  # (systems,) eV, the electrostatic part of energy
    charge_residual: Tensor | None = None  # (systems,) e, total charge less the sum of what atoms would carry unasked
