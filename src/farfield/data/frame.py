"""One structure with its labels, and many of them as a batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from farfield.system import System, concatenate


@dataclass(frozen=True)
class Labels:
    """Reference values; None where the data set has none, nan in the rows of frames that lack one."""

    energy: Tensor | None = None  # (systems,) eV, float64
    forces: Tensor | None = None  # (atoms, 3) eV/Å
    stress: Tensor | None = None  # (systems, 3, 3) eV/Å³
    charges: Tensor | None = None  # (atoms,) e
    dipole: Tensor | None = None  # (systems, 3) e·Å about the origin
    polarization: Tensor | None = None  # (systems, 3) e/Å², known modulo e a/V
    born_charges: Tensor | None = None  # (atoms, 3, 3) e, [i, a, b] = ∂d_a/∂R_ib
    polarizability: Tensor | None = None  # (systems, 3, 3) e²·Å²/V
    dipoles: Tensor | None = None  # (atoms, 3) e·Å, beside what the charges make
    quadrupoles: Tensor | None = None  # (atoms, 3, 3) e·Å², beside both; ½ Σ q (3 r⊗r - r²)
    potential: Tensor | None = None  # (points,) V, at the system's ``potential_points``
    wannier_displacement: Tensor | None = None  # (atoms, 3) Å, of electrons' centroids off their atoms; nan without one
    quadrupole: Tensor | None = None  # (systems, 3, 3) e·Å², ½ Σ q (3 r⊗r - r²) about the centre of mass

    @property
    def targets(self) -> frozenset[str]:
        """Names of what is labelled."""
        return frozenset(name for name, value in vars(self).items() if value is not None)


@dataclass(frozen=True)
class Fragments:
    """Parts of a frame: each alone where it stands, with its own charge."""

    index: Tensor  # (atoms,) int64, which fragment an atom belongs to
    charges: Tensor  # (fragments,) e
    energies: Tensor  # (fragments,) eV, float64; nan where unknown
    spins: Tensor | None = None  # (fragments,) 2S, below 0 where the unpaired electrons point down; None: all paired


@dataclass(frozen=True)
class Frame:
    """A single structure (a System of one) and what is known of it."""

    system: System
    labels: Labels
    source: str = ""  # file and position in it, for messages
    group: str = "all"  # error tables are broken down by it
    distance: float | None = None  # Å, for binding curves
    fragments: Fragments | None = None
    apart: Fragments | None = None  # parts that nothing joins, where their whole charges are known (``data.apart``)


def collate(frames: list[Frame]) -> tuple[System, Labels]:
    """A batch out of frames; all of them carry the same targets (the reader sees to it)."""
    targets = frames[0].labels.targets
    joined = {}
    for name in targets:
        joined[name] = torch.cat([getattr(frame.labels, name) for frame in frames])
    return concatenate([frame.system for frame in frames]), Labels(**joined)
