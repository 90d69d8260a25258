"""Options of a run of molecular dynamics."""

from dataclasses import dataclass
from typing import Literal

from farfield.errors import InputError

Ensemble = Literal["nve", "nvt", "npt"]


@dataclass(frozen=True, kw_only=True)
class MDOptions:
    """Ensemble, length, and thermostat or barostat of a run."""

    ensemble: Ensemble = "nve"
    steps: int = 1000
    timestep: float = 0.5  # fs
    temperature: float = 300.0  # K, of the first velocities and of the thermostat
    pressure: float = 0.0  # GPa, npt
    friction: float = 0.01  # 1/fs, nvt
    every: int = 10  # steps between stored frames
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "timestep", "every"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} must be positive, not {getattr(self, name)}")
        for name in ("temperature", "friction"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must not be negative, not {getattr(self, name)}")
        if self.ensemble not in ("nve", "nvt", "npt"):
            raise InputError(f"there is no ensemble {self.ensemble!r}: nve, nvt or npt")
