"""What the training set says as a whole: baselines and scales that every model starts from."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Statistics:
    """Fitted once, on the training frames only."""

    species: tuple[int, ...]  # atomic numbers present, ascending
    counts: Tensor  # (frames, species) float64, atoms of each element
    charge: Tensor  # (frames,) float64, total charge, e
    baseline: Tensor  # (species,) float64, eV per atom of each element
    energy_scale: float  # eV per atom, rms of the energy left above the baseline
    force_scale: float  # eV/Å, rms force component; energy_scale / 1 Å where there are no forces
    average_neighbors: float  # neighbours of an atom within the backbone's cutoff
