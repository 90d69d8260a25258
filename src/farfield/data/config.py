"""Configuration of the data to learn from: files, keys, units, splits."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from farfield import conditions
from farfield.data.conversion import (
    DIPOLE,
    ENERGY,
    LENGTH,
    POLARIZABILITY,
    POLARIZATION,
    QUADRUPOLE,
    STRESS,
    DipoleUnit,
    EnergyUnit,
    Factors,
    FieldUnit,
    LengthUnit,
    PolarizabilityUnit,
    PolarizationUnit,
    QuadrupoleForm,
    QuadrupoleUnit,
    SpinUnit,
    StressUnit,
    tensor_components,
)
from farfield.quantities import QUANTITIES

TARGETS = tuple(QUANTITIES)
CONDITIONS = {"total_charge": "charge", "spin": "spin"} | {name: name for name in conditions.CONDITIONS}
"""Field → its default key; in all frames of a file or in none."""
ANNOTATIONS = {"group": "group", "distance": "distance"}
"""Field → its default key; any frame may lack it."""


def _target(value: str) -> str:
    if value in QUANTITIES:
        return value
    raise ValueError(f"expected one of {', '.join(QUANTITIES)}")


Target = Annotated[str, AfterValidator(_target)]


def _files_only(value: Any) -> Any:
    entries = value if isinstance(value, list | tuple) else [value]
    if all(isinstance(entry, str | Path) for entry in entries) and len(entries):
        return value
    raise ValueError("expected a file or a list of files")


Files = Annotated[Path | tuple[Path, ...], BeforeValidator(_files_only)]


def _axes(value: Any) -> Any:
    """``"F F F"``, ``"TTF"`` or three booleans, as the latter."""
    if isinstance(value, str) and re.fullmatch(r"[TF]\s*[TF]\s*[TF]", value.strip().upper()):
        return tuple(letter == "T" for letter in value.upper() if letter in "TF")
    if isinstance(value, list | tuple) and len(value) == 3 and all(isinstance(axis, bool) for axis in value):
        return tuple(value)
    raise ValueError('expected periodic axes such as "F F F" or "T T T"')


def _order(value: Any) -> Any:
    """Complain of an order of components that is none, before any file is read."""
    if isinstance(value, str):
        tensor_components(value)
    return value


def _vectors(value: Any) -> Any:
    """An edge of a cube, three edges or three vectors, as the last."""
    if isinstance(value, str):
        value = [float(word) if re.fullmatch(r"[-+.\deE]+", word) else word for word in value.split()]
    numbers = np.asarray(value, dtype=object)
    if all(isinstance(x, int | float) and not isinstance(x, bool) for x in numbers.flat):
        cell = np.asarray(value, dtype=float)
        if cell.shape in ((), (3,)) and (cell > 0).all():
            cell = np.eye(3) * cell
        if cell.shape == (3, 3) and np.isfinite(cell).all() and abs(np.linalg.det(cell)) > 0:
            return tuple(tuple(row) for row in cell.tolist())
    raise ValueError("expected the edge of a cube (33.0), three edges or three vectors of a cell")


Vector = tuple[float, float, float]
Cell = Annotated[tuple[Vector, Vector, Vector], BeforeValidator(_vectors)]
Periodicity = Annotated[tuple[bool, bool, bool], BeforeValidator(_axes)]
ComponentOrder = Annotated[str, BeforeValidator(_order)]
Key = Annotated[str, Field(min_length=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class DataConfig:
    """Files of the data, and what their keys and units mean. A target whose key is null is not learned.

    Where atoms have a ``fragment`` (0, 1, …) and frames ``fragment_charges`` (e), ``qeq`` with ``transfer: fragments``
    keeps these charges, and other paradigms are trained to them where nothing joins the fragments; with
    ``fragment_energies`` besides, binding energies are compared.
    """

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
    """Key of the stress (1/V) dE/dstrain, tension positive: 9, 3 x 3 or 6 numbers (stress_order)."""
    virial: Key | None = None
    """Key of the virial -dE/dstrain = -volume x stress, in energy_unit: 9, 3 x 3 or 6 numbers; becomes the stress."""
    charges: Key | None = None
    """Key of the atomic charges, e."""
    dipoles: Key | None = None
    """Key of the dipoles of atoms (dipole_unit), beside what their charges make: 3 numbers an atom."""
    quadrupoles: Key | None = None
    """Key of the quadrupoles of atoms (quadrupole_unit, _form, _order), beside both: 9 or 6 numbers an atom."""
    wannier_displacement: Key | None = None
    """Key of the Wannier centroids' displacements from their atoms (length_unit): 3 numbers an atom, those of elements
    without a centroid 0 or nan."""
    dipole: Key | None = None
    """Key of the molecular dipole, about the origin."""
    quadrupole: Key | None = None
    """Key of the molecular quadrupole (quadrupole_unit, _form, _order, _origin): 9, 3 x 3 or 6 numbers."""
    polarization: Key | None = None
    """Key of the polarization of crystals, whichever branch of it (errors count modulo e a/V)."""
    potential: Key | None = None
    """Key of the electrostatic potential outside (energy_unit/e): rows x, y, z, potential, of any number of points."""
    born_charges: Key | None = None
    """Key of the Born charges (atomic polar tensors), e: 9 numbers an atom, dipole axis before displacement axis."""
    polarizability: Key | None = None
    """Key of the polarizability at fixed atoms: 9 numbers."""
    total_charge: Key = "charge"
    """Key of the total charge, e; 0 in files without."""
    spin: Key = "spin"
    """Key of the spin (spin_unit); 0 unpaired electrons in files without."""
    external_field: Key = "external_field"
    """Key of a uniform external field E; the energy is then E(R) - dipole·E. None in files without."""
    displacement_field: Key = "displacement_field"
    """Key of a displacement field D; none in files without."""
    electrode_potentials: Key = "electrode_potentials"
    """Key of the potentials of electrodes, V; none in files without."""
    fermi_level: Key = "fermi_level"
    """Key of a Fermi level, in energy_unit; none in files without."""
    group: Key = "group"
    """Key by which error tables are broken down."""
    distance: Key = "distance"
    """Key of the separation that binding curves are drawn against."""
    energy_unit: EnergyUnit | None = None
    """Of energies and, over length_unit, of forces; eV where absent, but for formats that leave it open."""
    length_unit: LengthUnit = "angstrom"
    """Of positions, cells, distances and, under energy_unit, of forces."""
    stress_unit: StressUnit | None = None
    """Of the stress; eV/angstrom^3 where absent, and then no stress may be larger than any in that unit could be."""
    stress_order: ComponentOrder | None = None
    """Of six numbers of a stress or virial: voigt is xx yy zz yz xz xy (ASE), taken where absent, and said; vasp is
    xx yy zz xy yz xz; any other is spelt out like these."""
    spin_unit: SpinUnit = "unpaired"
    """Of the spin: the number of unpaired electrons 2S, or the multiplicity 2S + 1."""
    dipole_unit: DipoleUnit = "e*angstrom"
    """Of the dipole, and of dipoles of atoms."""
    quadrupole_unit: QuadrupoleUnit = "e*angstrom^2"
    """Of the quadrupole, and of quadrupoles of atoms, as are the next two."""
    quadrupole_form: QuadrupoleForm = "buckingham"
    """buckingham: ½ Σ q (3 rr - r²), traceless; jackson: twice that; second_moment: Σ q rr, its trace is left out."""
    quadrupole_order: ComponentOrder | None = None
    """Of six numbers of a quadrupole: spelt out, e.g. xx xy xz yy yz zz; it has to be said, as files do not agree."""
    quadrupole_origin: Literal["mass", "positions"] = "mass"
    """What molecular quadrupoles are about: the centre of mass, or where the positions are zero (needs the dipole)."""
    polarization_unit: PolarizationUnit = "e/angstrom^2"
    """Of the polarization; e*angstrom if it is the dipole of the cell."""
    polarizability_unit: PolarizabilityUnit = "e^2*angstrom^2/V"
    """Of the polarizability."""
    field_unit: FieldUnit = "V/angstrom"
    """Of external and displacement fields."""
    valid_fraction: Fraction = 0.1
    """Part of ``train`` that becomes ``valid`` (at least one frame) where no file is given for it."""
    test_fraction: Fraction = 0.1
    """Part of ``train`` that becomes ``test`` where no file is given for it."""
    split_by: Literal["frame", "group"] = "frame"
    """What is kept together by the split: a frame (and those like it to the last digit), or all frames of a group."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the split."""
    allow_missing: tuple[Target, ...] = ()
    """Targets that some frames may lack (no key, or nan); those frames are skipped for that target only."""
    pbc: Periodicity | None = None
    """Periodicity of every frame, whatever the file says, e.g. "F F F" for molecules in boxes."""
    cell: Cell | None = None
    """Cell (length_unit) of frames whose file has lost it, as of molecules computed in a box: an edge, three edges or
    three vectors. These frames are then periodic, along the axes of pbc if that is said; others keep theirs."""
    skip_unreadable: bool = False
    """Whether frames that cannot be read are left out, and counted, instead of stopping."""

    @property
    def train_paths(self) -> tuple[Path, ...]:
        """Files to learn from, always as a list."""
        return as_paths(self.train)

    @property
    def targets(self) -> dict[Target, dict[str, str]]:
        """Every target asked for → field of this configuration → key in the file; a stress has two such fields."""
        fields: dict[Target, tuple[str, ...]] = {name: (name,) for name in TARGETS} | {"stress": ("stress", "virial")}
        asked = {t: {f: key for f in names if (key := getattr(self, f)) is not None} for t, names in fields.items()}
        return {target: keys for target, keys in asked.items() if keys}

    @property
    def factors(self) -> Factors:
        """File units → Å, eV, e."""
        return Factors(
            energy=ENERGY[self.energy_unit or "eV"],
            length=LENGTH[self.length_unit],
            stress=STRESS[self.stress_unit or "eV/angstrom^3"],
            dipole=DIPOLE[self.dipole_unit],
            quadrupole=QUADRUPOLE[self.quadrupole_unit],
            polarization=POLARIZATION[self.polarization_unit],
            polarizability=POLARIZABILITY[self.polarizability_unit],
        )


def as_paths(files: Files | str | None) -> tuple[Path, ...]:
    """One file, several, or none, always as a tuple."""
    if files is None:
        return ()
    return (Path(files),) if isinstance(files, str | Path) else tuple(files)
