"""A frozen batch of atoms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ase
import numpy as np
import torch
from torch import Tensor

from farfield.conditions import CONDITIONS, join_conditions, read_conditions
from farfield.errors import InputError
from farfield.system.external_charges import ExternalCharges, external_charges_of, joined_external_charges
from farfield.system.neighbor_list import NeighborList, joined_neighbors
from farfield.system.numbering import numbers_among
from farfield.system.potential_points import PotentialPoints, joined_potential_points, potential_points_of
from farfield.system.structure_checks import check_structure, number_of


@dataclass(frozen=True)
class System:
    """A batch of atoms, in Å and e. Rows of ``cell`` are the lattice vectors (as in ASE).

    ``neighbors`` is a search done earlier for these positions (or near enough, with a skin): rooms that need pairs
    use it when it reaches far enough, and search anew otherwise.
    """

    numbers: Tensor  # (atoms,) int64
    positions: Tensor  # (atoms, 3)
    cell: Tensor  # (systems, 3, 3); zero rows along open axes are allowed
    periodic: Tensor  # (systems, 3) bool
    system_index: Tensor  # (atoms,) int64, ascending
    charge: Tensor  # (systems,) total charge
    spin: Tensor  # (systems,) 2S
    neighbors: NeighborList | None = None
    external_field: Tensor | None = None  # (systems, 3) V/Å; zero for systems of a batch that are in none
    displacement_field: Tensor | None = None  # (systems, 3) V/Å; nan for those under none, as all below
    electrode_potentials: Tensor | None = None  # (systems, electrodes) V
    fermi_level: Tensor | None = None  # (systems,) eV
    fragment: Tensor | None = None  # (atoms,) int64, counted from 0 in each system
    fragment_charges: Tensor | None = None  # (systems, most fragments), e; nan beyond those a system has
    electrode: Tensor | None = None  # (atoms,) int64, column of electrode_potentials; -1 for other atoms
    external_charges: ExternalCharges | None = None  # charges that are no atoms
    potential_points: PotentialPoints | None = None  # where the potential is asked for

    def __post_init__(self) -> None:
        atoms, systems = len(self.numbers), len(self.cell)
        want = {
            "positions": (atoms, 3),
            "cell": (systems, 3, 3),
            "periodic": (systems, 3),
            "system_index": (atoms,),
            "charge": (systems,),
            "spin": (systems,),
        }
        for name, value in self.conditions.items():
            shape = CONDITIONS[name].shape
            want[name] = (systems, *(value.shape[-1:] if shape is None else shape))
        if self.fragment is not None and self.fragment_charges is not None:
            want |= {"fragment": (atoms,), "fragment_charges": (systems, *self.fragment_charges.shape[-1:])}
        if self.electrode is not None:
            want["electrode"] = (atoms,)
        for name, shape in want.items():
            got = tuple(getattr(self, name).shape)
            if got != shape:
                raise InputError(f"System.{name} has shape {got}, expected {shape}")

    @classmethod
    def from_ase(cls, atoms: ase.Atoms | Sequence[ase.Atoms], dtype: torch.dtype = torch.float64) -> "System":
        """A batch from one ``ase.Atoms`` or a list of them.

        Total charge and spin come from ``info["charge"]`` (e) and ``info["spin"]`` (2S), both 0 if absent. Where there
        are ``info["external_field"]``, ``["displacement_field"]`` (V/Å), ``["electrode_potentials"]`` (V) and
        ``["fermi_level"]`` (eV), they are taken, too; and so are ``arrays["fragment"]`` (0, 1, …) with
        ``info["fragment_charges"]`` (e), where one frame has both; ``arrays["electrode"]`` (which of the potentials,
        -1 for none); ``info["external_charges"]``, a row x, y, z (Å), charge (e) and, perhaps, Gaussian width (Å)
        for each; and ``info["potential_points"]``, rows x, y, z (Å).

        Raises:
            InputError: no atoms, positions that are not finite, periodic along a missing lattice vector, zero volume,
                an element outside 1-118, or a total charge, a spin, another condition, a fragment, an electrode or an
                external charge that is no number.
        """
        frames = [atoms] if isinstance(atoms, ase.Atoms) else list(atoms)
        if not frames:
            raise InputError("System.from_ase was given an empty list; it needs at least one ase.Atoms")
        for k, frame in enumerate(frames):
            check_structure(frame, f"structure {k}: " if len(frames) > 1 else "")
        sizes = torch.tensor([len(frame) for frame in frames])
        conditions: dict[str, Any] = read_conditions([frame.info for frame in frames], dtype)
        return cls(
            numbers=torch.from_numpy(np.concatenate([f.numbers for f in frames]).astype(np.int64)),
            positions=torch.tensor(np.concatenate([f.positions for f in frames]), dtype=dtype),
            cell=torch.tensor(np.stack([f.cell.array for f in frames]), dtype=dtype),
            periodic=torch.tensor(np.stack([f.pbc for f in frames])),
            system_index=torch.repeat_interleave(torch.arange(len(frames)), sizes),
            charge=torch.tensor([number_of(f.info, "charge") for f in frames], dtype=dtype),
            spin=torch.tensor([number_of(f.info, "spin") for f in frames], dtype=dtype),
            electrode=_electrodes(frames),
            external_charges=external_charges_of([f.info for f in frames], dtype),
            potential_points=potential_points_of([f.info for f in frames], dtype),
            **conditions,
            **join_fragments([_fragments(frame, dtype) for frame in frames], sizes.tolist(), [1] * len(frames)),
        )

    @property
    def conditions(self) -> dict[str, Tensor]:
        """List the ``CONDITIONS`` that any system is under, a row a system."""
        return {name: value for name in CONDITIONS if (value := getattr(self, name)) is not None}

    @property
    def n_atoms(self) -> int:
        """Atoms in the whole batch."""
        return len(self.numbers)

    @property
    def n_systems(self) -> int:
        """Systems in the batch."""
        return len(self.cell)

    @property
    def atoms_per_system(self) -> Tensor:
        """Number of atoms of each system ``(systems,)``."""
        return torch.bincount(self.system_index, minlength=self.n_systems)

    def volume(self) -> Tensor:
        """|det cell| of each system ``(systems,)`` in Å³; 0 where an axis is missing."""
        determinant: Tensor = torch.linalg.det(self.cell)
        return determinant.abs()

    def with_positions(self, positions: Tensor) -> "System":
        """Place the same atoms somewhere else, ``(atoms, 3)`` Å; differentiable. Forgets the neighbours."""
        return replace(self, positions=positions, neighbors=None)

    def select(self, systems: Tensor) -> tuple["System", Tensor]:
        """Take some systems (ascending indices), and the places of their atoms among all."""
        number = numbers_among(systems, self.n_systems)
        places = (number[self.system_index] >= 0).nonzero().squeeze(1)
        known, charges, points = self.neighbors, self.external_charges, self.potential_points
        kept = {
            "system_index": number[self.system_index[places]],
            "neighbors": None if known is None else known.among(places, self.n_atoms),
            "external_charges": None if charges is None else charges.select(systems, self.n_systems),
            "potential_points": None if points is None else points.select(systems, self.n_systems),
        }
        return self._with(kept, atoms=places, systems=systems), places

    def with_sites(self, positions: Tensor, system_index: Tensor) -> tuple["System", Tensor]:
        """Put something else, ``(sites, 3)`` Å, in place of all atoms, and the order ``(sites,)`` that sorts it.

        Cells and conditions stay; what belongs to atoms goes.

        Raises:
            InputError: an index of a system that is not there.
        """
        if len(system_index) and not 0 <= int(system_index.min()) <= int(system_index.max()) < self.n_systems:
            raise InputError(
                f"system_index must lie in 0 to {self.n_systems - 1}, got {int(system_index.min())} to "
                f"{int(system_index.max())}"
            )
        order = torch.argsort(system_index, stable=True)
        gone: dict[str, Any] = dict.fromkeys(
            ("neighbors", "fragment", "fragment_charges", "electrode", "external_charges", "potential_points")
        )
        sites: dict[str, Any] = {
            "numbers": torch.ones_like(order), "positions": positions[order], "system_index": system_index[order],
        }  # fmt: skip
        return replace(self, cell=self.cell.to(positions.dtype), **sites, **gone), order

    def atoms_at(self, places: Tensor) -> "System":
        """Take some atoms (ascending places), with nothing of the others; cells, totals and conditions stay."""
        everything = torch.arange(self.n_systems, device=places.device)
        kept = {"system_index": self.system_index[places], "neighbors": None, "potential_points": None}
        return self._with(kept, atoms=places, systems=everything)

    def _with(self, kept: dict[str, Any], *, atoms: Tensor, systems: Tensor) -> "System":
        """Take rows of what belongs to atoms and of what belongs to systems."""
        rows = dict.fromkeys(PER_ATOM, atoms) | dict.fromkeys((*PER_SYSTEM, *CONDITIONS), systems)
        values = {name: (getattr(self, name), row) for name, row in rows.items()}
        taken: dict[str, Any] = {name: None if x is None else x[row] for name, (x, row) in values.items()}
        return replace(self, **taken, **kept)

    def strained(self, strain: Tensor) -> "System":
        """Positions and cells under the strain ``(systems, 3, 3)`` or ``(3, 3)``: r → (1 + ε) r; differentiable.

        External charges and points of the potential go along, and an external field, E → (1 + ε)⁻ᵀ E: the voltage E·a
        along every lattice vector stays. Keeps the neighbours: meant for strains so small that they do not change.
        """
        deform = (torch.eye(3, dtype=strain.dtype, device=strain.device) + strain).expand(self.n_systems, 3, 3)
        positions = torch.einsum("nij,nj->ni", deform[self.system_index], self.positions)
        field = self.external_field
        if field is not None:
            field = torch.linalg.solve(deform.transpose(1, 2), field)
        along: dict[str, Any] = {}
        for name in ("external_charges", "potential_points"):
            if (places := getattr(self, name)) is not None:
                moved = torch.einsum("nij,nj->ni", deform[places.system_index], places.positions)
                along[name] = places.with_positions(moved)
        cell = self.cell @ deform.transpose(1, 2)
        return replace(self, positions=positions, cell=cell, external_field=field, **along)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "System":
        """Move to another device or convert to another floating-point type."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None)

        moved: dict[str, Any] = {name: move(value) for name, value in vars(self).items() if isinstance(value, Tensor)}
        if (known := self.neighbors) is not None:
            columns: dict[str, Any] = {
                name: move(value) for name, value in vars(known).items() if isinstance(value, Tensor)
            }
            moved["neighbors"] = replace(known, **columns)
        if self.external_charges is not None:
            moved["external_charges"] = self.external_charges.to(device, dtype)
        if self.potential_points is not None:
            moved["potential_points"] = self.potential_points.to(device, dtype)
        return replace(self, **moved)


PER_ATOM = ("numbers", "positions", "fragment", "electrode")
PER_SYSTEM = ("cell", "periodic", "charge", "spin", "fragment_charges")
"""Fields of a ``System`` that have a row an atom, and a row a system (as conditions have)."""


def per_system(values: Tensor, system: System) -> Tensor:
    """Sum atom values ``(atoms, ...)`` into ``(systems, ...)``."""
    if system.n_systems == 1:  # several times faster
        return values.sum(0, keepdim=True)
    out = values.new_zeros(system.n_systems, *values.shape[1:])
    return out.index_add(0, system.system_index, values)


def per_atom(values: Tensor, system: System) -> Tensor:
    """Values of systems ``(systems, ...)`` at their atoms: ``(atoms, ...)``, or one row that stands for all of them."""
    return values if system.n_systems == 1 else values[system.system_index]


def concatenate(systems: Sequence[System]) -> System:
    """One batch out of several; neighbours are kept if all have them, and of one kind."""
    counts = torch.tensor([s.n_systems for s in systems])
    atoms = torch.tensor([s.n_atoms for s in systems])
    first_system, first_atom = (torch.cumsum(n, 0) - n for n in (counts, atoms))
    conditions: dict[str, Any] = join_conditions([s.conditions for s in systems], counts.tolist())
    return System(
        numbers=torch.cat([s.numbers for s in systems]),
        positions=torch.cat([s.positions for s in systems]),
        cell=torch.cat([s.cell for s in systems]),
        periodic=torch.cat([s.periodic for s in systems]),
        system_index=torch.cat([s.system_index + first for s, first in zip(systems, first_system)]),
        charge=torch.cat([s.charge for s in systems]),
        spin=torch.cat([s.spin for s in systems]),
        neighbors=joined_neighbors([s.neighbors for s in systems], first_atom),
        electrode=_joined_electrodes([s.electrode for s in systems], atoms.tolist()),
        external_charges=joined_external_charges([s.external_charges for s in systems], first_system.tolist()),
        potential_points=joined_potential_points([s.potential_points for s in systems], first_system.tolist()),
        **conditions,
        **join_fragments([(s.fragment, s.fragment_charges) for s in systems], atoms.tolist(), counts.tolist()),
    )


Fragments = tuple[Tensor | None, Tensor | None]
"""Whose each atom is, and their charges ``(systems, fragments)``."""


def join_fragments(parts: Sequence[Fragments], atoms: Sequence[int], systems: Sequence[int]) -> dict[str, Any]:
    """Fragments of batches of so many atoms and systems, one after the other; nothing where none has any."""
    given = [charges for _, charges in parts if charges is not None]
    if not given:
        return {}
    most = max(charges.shape[1] for charges in given)
    index = [torch.zeros(n, dtype=torch.int64) if i is None else i for (i, _), n in zip(parts, atoms)]
    rows = [given[0].new_full((n, most), torch.nan) for n in systems]
    for row, (_, charges) in zip(rows, parts):
        if charges is not None:
            row[:, : charges.shape[1]] = charges
    return {"fragment": torch.cat([i.to(given[0].device) for i in index]), "fragment_charges": torch.cat(rows)}


def _electrodes(frames: Sequence[ase.Atoms]) -> Tensor | None:
    """Read which electrode every atom is part of; None where nobody says."""
    given = []
    for frame in frames:
        index = frame.arrays.get("electrode")
        if index is not None and (index.dtype.kind not in "iu" or index.ndim != 1 or index.min() < -1):
            raise InputError('arrays["electrode"] should be integers: 0, 1, … for the electrodes, -1 for other atoms')
        given.append(None if index is None else torch.from_numpy(index.astype(np.int64)))
    return _joined_electrodes(given, [len(frame) for frame in frames])


def _joined_electrodes(parts: Sequence[Tensor | None], atoms: Sequence[int]) -> Tensor | None:
    given = [part for part in parts if part is not None]
    if not given:
        return None
    none = [given[0].new_full((n,), -1) for n in atoms]
    return torch.cat([other if part is None else part for part, other in zip(parts, none)])


def _fragments(frame: ase.Atoms, dtype: torch.dtype) -> Fragments:
    if "fragment" not in frame.arrays and frame.info.get("fragment_charges") is not None:
        raise InputError('info["fragment_charges"] says what fragments carry: say whose atoms are, arrays["fragment"]')
    if "fragment" not in frame.arrays or frame.info.get("fragment_charges") is None:
        return None, None
    index, charges = frame.arrays["fragment"], np.atleast_1d(np.asarray(frame.info["fragment_charges"]))
    whole = index.dtype.kind in "iu" and index.ndim == 1 and index.min() >= 0
    if not whole or charges.dtype.kind not in "iuf" or charges.ndim != 1 or not np.isfinite(charges).all():
        raise InputError(
            'arrays["fragment"] should be integers from 0 on and info["fragment_charges"] finite numbers, e'
        )
    row = np.full(max(len(charges), int(index.max()) + 1), np.nan)  # who needs a charge that is not there will say so
    row[: len(charges)] = charges
    return torch.from_numpy(index.astype(np.int64)), torch.from_numpy(row).to(dtype).unsqueeze(0)
