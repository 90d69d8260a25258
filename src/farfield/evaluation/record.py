"""Predictions beside labels, as numpy arrays that outlive the model."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farfield.atomic_write import write_atomically
from farfield.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Words = NDArray[np.str_]

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Compared:
    """One target: what the reference says and what the model says, row by row; nan where either is silent."""

    reference: Floats  # (frames, atoms or points, ...)
    predicted: Floats  # the same shape


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One model on one set of frames.

    ``compared`` holds, by name, whatever of ``QUANTITIES`` the model predicted, in their units, rows of frames, of
    atoms or of points, polarization on the branch nearest to the reference; and binding (frames,) eV, the energy less
    that of every fragment alone. The reference is all nan where the data has no label.
    """

    n_atoms: Integers  # (frames,)
    group: Words  # (frames,)
    distance: Floats  # (frames,) Å, nan where the frame has none
    source: Words  # (frames,)
    numbers: Integers  # (atoms,)
    frame: Integers  # (atoms,) the frame an atom belongs to
    fragment: Integers  # (atoms,) the fragment an atom belongs to, -1 where the frame has none
    fragment_charge: Floats  # (frames,) e, given total charge of the first fragment, nan where the frame has none
    charge_residual: Floats  # (frames,) e, what conservation had to shift away, nan where the model has none
    energy_coulomb: Floats  # (frames,) eV, the electrostatic part of the predicted energy, nan where there is none
    seconds_per_atom: float  # of all predictions of the whole frames, median over batches
    compared: Mapping[str, Compared]
    point_frame: Integers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """(points,) the frame a point belongs to where the potential is asked for."""

    @property
    def n_frames(self) -> int:
        """Frames evaluated."""
        return len(self.n_atoms)

    @property
    def coulomb_per_atom(self) -> tuple[float, float] | None:
        """Mean and standard deviation over frames of the electrostatic energy, eV per atom; None without one."""
        known = np.isfinite(self.energy_coulomb)
        per_atom = self.energy_coulomb[known] / self.n_atoms[known]
        return (float(per_atom.mean()), float(per_atom.std())) if len(per_atom) else None

    def first_fragment_charge(self, charges: Floats) -> Floats:
        """Sum of atomic charges ``(atoms,)`` over the first fragment of every frame ``(frames,)``, nan if none."""
        first = self.fragment == 0
        total = np.bincount(self.frame[first], charges[first], minlength=self.n_frames)
        return np.where(np.bincount(self.frame[first], minlength=self.n_frames) > 0, total, np.nan)

    def save(self, path: Path | str) -> None:
        """Write one ``.npz``, whole or not at all.

        Raises:
            InputError: the folder cannot be written.
        """
        content: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "compared"}
        for target, both in self.compared.items():
            content |= {f"reference.{target}": both.reference, f"predicted.{target}": both.predicted}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, format=FORMAT, **content)
        write_atomically(Path(path), buffer.getvalue())

    @classmethod
    def load(cls, path: Path | str) -> "Evaluation":
        """Read what ``save`` wrote.

        Raises:
            InputError: no such file, or not an evaluation of this format.
        """
        found = _read(Path(path))
        targets = [name.removeprefix("reference.") for name in found if name.startswith("reference.")]
        compared = {name: Compared(found[f"reference.{name}"], found[f"predicted.{name}"]) for name in targets}
        simple: dict[str, Any] = {f.name: found[f.name] for f in fields(cls) if f.name != "compared"}
        simple["seconds_per_atom"] = float(simple["seconds_per_atom"])
        return cls(**simple, compared=compared)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            found = dict(file)
    except FileNotFoundError as missing:
        raise InputError(f"there is no evaluation at {path}") from missing
    except (OSError, ValueError, AttributeError, TypeError, EOFError, zipfile.BadZipFile) as broken:
        raise InputError(f"{path} is not an evaluation, or is damaged: {broken}") from broken
    found.setdefault("point_frame", np.zeros(0, dtype=np.int64))  # there were no potentials yet
    if found.get("format") != FORMAT or not {f.name for f in fields(Evaluation)} - {"compared"} <= found.keys():
        raise InputError(f"{path} is not an evaluation of format {FORMAT}; evaluate the model again to write one")
    return found
