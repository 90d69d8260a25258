"""What to learn from: files, keys, units, splits."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from farfield.data.conversion import (
    DIPOLE,
    ENERGY,
    LENGTH,
    STRESS,
    DipoleUnit,
    EnergyUnit,
    Factors,
    LengthUnit,
    StressUnit,
)

Target = Literal["energy", "forces", "stress", "charges", "dipole"]
TARGETS: tuple[Target, ...] = ("energy", "forces", "stress", "charges", "dipole")
CONDITIONS = {"total_charge": "charge", "spin": "spin"}
"""Field → its default key; in all frames of a file or in none."""
ANNOTATIONS = {"group": "group", "distance": "distance"}
"""Field → its default key; any frame may lack it."""


def _files_only(value: Any) -> Any:
    entries = value if isinstance(value, list | tuple) else [value]
    if all(isinstance(entry, str | Path) for entry in entries) and len(entries):
        return value
    raise ValueError("expected a file or a list of files")


Files = Annotated[Path | tuple[Path, ...], BeforeValidator(_files_only)]
Key = Annotated[str, Field(min_length=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class DataConfig:
    """Where the data are, and what their keys and units mean. A target whose key is null is not learned."""

    train: Files
    """Structures to learn from: a file or a list of them (extxyz, ASE database, what ASE reads) or embedded:NAME."""
    valid: Files | None = None
    """Structures that choose the best epoch; split off ``train`` where absent."""
    test: Files | None = None
    """Structures that are only looked at in the end; split off ``train`` where absent."""
    energy: Key | None = "energy"
    """Key of the total energy, as it stands in the file."""
    forces: Key | None = "forces"
    """Key of the forces (energy_unit/length_unit); null trains on energies only."""
    stress: Key | None = None
    """Key of the stress (1/V) dE/dstrain, tension positive: 9, 3 x 3 or 6 numbers in the order xx yy zz yz xz xy."""
    charges: Key | None = None
    """Key of the atomic charges, e."""
    dipole: Key | None = None
    """Key of the molecular dipole, about the origin."""
    total_charge: Key = "charge"
    """Key of the total charge, e; 0 in files without."""
    spin: Key = "spin"
    """Key of the number of unpaired electrons 2S; 0 in files without."""
    group: Key = "group"
    """Key by which error tables are broken down."""
    distance: Key = "distance"
    """Key of the separation that binding curves are drawn against."""
    energy_unit: EnergyUnit = "eV"
    """Of energies and, over length_unit, of forces."""
    length_unit: LengthUnit = "angstrom"
    """Of positions, cells, distances and, under energy_unit, of forces."""
    stress_unit: StressUnit = "eV/angstrom^3"
    """Of the stress."""
    dipole_unit: DipoleUnit = "e*angstrom"
    """Of the dipole."""
    valid_fraction: Fraction = 0.1
    """Part of ``train`` that becomes ``valid`` (at least one frame) where no file is given for it."""
    test_fraction: Fraction = 0.1
    """Part of ``train`` that becomes ``test`` where no file is given for it."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the split."""
    allow_missing: tuple[Target, ...] = ()
    """Targets that some frames may lack (no key, or nan); those frames are skipped for that target only."""

    @property
    def train_paths(self) -> tuple[Path, ...]:
        """Files to learn from, always as a list."""
        return as_paths(self.train)

    @property
    def keys(self) -> dict[Target, str]:
        """Target → key in the file, of every target asked for."""
        return {name: key for name in TARGETS if (key := getattr(self, name)) is not None}

    @property
    def factors(self) -> Factors:
        """File units → Å, eV, e."""
        return Factors(
            energy=ENERGY[self.energy_unit],
            length=LENGTH[self.length_unit],
            stress=STRESS[self.stress_unit],
            dipole=DIPOLE[self.dipole_unit],
        )


def as_paths(files: Files | str | None) -> tuple[Path, ...]:
    """One file, several, or none, always as a tuple."""
    if files is None:
        return ()
    return (Path(files),) if isinstance(files, str | Path) else tuple(files)
