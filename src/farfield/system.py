"""The one thing that travels between rooms: a frozen batch of atoms."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ase
import numpy as np
import torch
from torch import Tensor

from farfield.conditions import CONDITIONS, check_conditions, join_conditions, read_conditions
from farfield.errors import InputError

FARTHEST = 1e9
"""Å; coordinates and lattice vectors beyond this are mistakes, and would lose their digits."""
SHORTEST = 0.2
"""Å; lattices with a shorter vector are mistakes: no atom comes so close to another, its image or not."""


@dataclass(frozen=True)
class NeighborList:
    """Which atoms are closer than ``cutoff``; every pair twice (i→j and j→i), ``i == j`` only through an image.

    With a skin it holds more pairs, out to ``cutoff + skin`` when it was made, and stays complete to ``cutoff`` until
    some atom has moved by half the skin (``geometry.kept.still_complete``). A ``half`` list has every pair once: i < j,
    and of an atom's own images those whose shift is lexicographically positive.
    """

    i: Tensor  # (pairs,) int64
    j: Tensor  # (pairs,) int64
    shift: Tensor  # (pairs, 3) lattice vectors added to j, in the positions' dtype
    cutoff: float  # Å
    skin: float = 0.0  # Å
    half: bool = False
    offsets: Tensor | None = None  # (atoms + 1,) where the pairs of each atom begin, if sorted by i, then j, then shift


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
    start: Tensor | None = None  # (atoms, …) where a response may begin to iterate; no part of what the system is

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
        ``info["fragment_charges"]`` (e), where one frame has both.

        Raises:
            InputError: no atoms, positions that are not finite, periodic along a missing lattice vector, zero volume,
                an element outside 1-118, or a total charge, a spin, another condition or a fragment that is no number.
        """
        frames = [atoms] if isinstance(atoms, ase.Atoms) else list(atoms)
        if not frames:
            raise InputError("System.from_ase was given an empty list; it needs at least one ase.Atoms")
        for k, frame in enumerate(frames):
            _check(frame, f"structure {k}: " if len(frames) > 1 else "")
        sizes = torch.tensor([len(frame) for frame in frames])
        conditions: dict[str, Any] = read_conditions([frame.info for frame in frames], dtype)
        return cls(
            numbers=torch.from_numpy(np.concatenate([f.numbers for f in frames]).astype(np.int64)),
            positions=torch.tensor(np.concatenate([f.positions for f in frames]), dtype=dtype),
            cell=torch.tensor(np.stack([f.cell.array for f in frames]), dtype=dtype),
            periodic=torch.tensor(np.stack([f.pbc for f in frames])),
            system_index=torch.repeat_interleave(torch.arange(len(frames)), sizes),
            charge=torch.tensor([_number(f.info, "charge") for f in frames], dtype=dtype),
            spin=torch.tensor([_number(f.info, "spin") for f in frames], dtype=dtype),
            **conditions,
            **join_fragments([_fragments(frame, dtype) for frame in frames], sizes.tolist(), [1] * len(frames)),
        )

    @property
    def conditions(self) -> dict[str, Tensor]:
        """Those of ``CONDITIONS`` that any system is under, a row a system."""
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
        """The same atoms somewhere else, ``(atoms, 3)`` Å; differentiable. Forgets the neighbours."""
        return replace(self, positions=positions, neighbors=None)

    def strained(self, strain: Tensor) -> "System":
        """Positions and cells under the strain ``(systems, 3, 3)`` or ``(3, 3)``: r → (1 + ε) r; differentiable.

        An external field goes along, E → (1 + ε)⁻ᵀ E: the voltage E·a along every lattice vector stays. Keeps the
        neighbours: meant for strains so small that they do not change.
        """
        deform = (torch.eye(3, dtype=strain.dtype, device=strain.device) + strain).expand(self.n_systems, 3, 3)
        positions = torch.einsum("nij,nj->ni", deform[self.system_index], self.positions)
        field = self.external_field
        if field is not None:
            field = torch.linalg.solve(deform.transpose(1, 2), field)
        return replace(self, positions=positions, cell=self.cell @ deform.transpose(1, 2), external_field=field)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "System":
        """On another device or in another floating-point type."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None)

        moved: dict[str, Any] = {name: move(value) for name, value in vars(self).items() if isinstance(value, Tensor)}
        if (known := self.neighbors) is not None:
            columns: dict[str, Any] = {
                name: move(value) for name, value in vars(known).items() if isinstance(value, Tensor)
            }
            moved["neighbors"] = replace(known, **columns)
        return replace(self, **moved)


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
        neighbors=_concatenated([s.neighbors for s in systems], first_atom),
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


def _concatenated(known: Sequence[NeighborList | None], first_atom: Tensor) -> NeighborList | None:
    lists = [n for n in known if n is not None]
    if len(lists) < len(known) or len({n.half for n in lists}) > 1:
        return None
    offsets = None
    if all(n.offsets is not None for n in lists):
        first_pair = np.cumsum([0] + [len(n.i) for n in lists]).tolist()
        rows = [n.offsets[:-1] + first for n, first in zip(lists, first_pair) if n.offsets is not None]
        offsets = torch.cat([*rows, rows[0].new_tensor(first_pair[-1:])])
    cutoff = min(n.cutoff for n in lists)
    return NeighborList(
        torch.cat([n.i + first for n, first in zip(lists, first_atom)]),
        torch.cat([n.j + first for n, first in zip(lists, first_atom)]),
        torch.cat([n.shift for n in lists]),
        cutoff,
        max(n.cutoff + n.skin for n in lists) - cutoff,
        lists[0].half,
        offsets,
    )


def _check(frame: ase.Atoms, where: str) -> None:
    if len(frame) == 0:
        raise InputError(f"{where}no atoms")
    if not np.isfinite(frame.positions).all():
        atom = int(np.flatnonzero(~np.isfinite(frame.positions).all(1))[0])
        raise InputError(f"{where}position of atom {atom} ({frame.symbols[atom]}) is {frame.positions[atom]}")
    if np.abs(frame.positions).max() > FARTHEST:
        atom = int(np.abs(frame.positions).max(1).argmax())
        raise InputError(f"{where}atom {atom} ({frame.symbols[atom]}) is at {frame.positions[atom]} Å: no such place")
    if frame.numbers.min() < 1 or frame.numbers.max() > 118:
        raise InputError(f"{where}atomic numbers must lie in 1-118, found {sorted(set(frame.numbers.tolist()))}")
    if not np.isfinite(frame.cell.array).all():
        raise InputError(f"{where}the cell is not finite: {frame.cell.array.tolist()}")
    if frame.pbc.any():
        check_cell(frame.cell.array, frame.pbc, where)
    for condition in ("charge", "spin"):
        if not np.isfinite(_number(frame.info, condition)):
            raise InputError(f"{where}info[{condition!r}] should be one finite number, it is {frame.info[condition]!r}")
    check_conditions(frame.info, where)


def _number(info: dict[str, Any], name: str) -> float:
    """0 if it is absent, nan if it is no single number."""
    try:
        return float(np.asarray(info.get(name, 0), dtype=np.float64).reshape(()))
    except (TypeError, ValueError):
        return float("nan")


def check_cell(cell: np.ndarray[Any, Any], periodic: np.ndarray[Any, Any], where: str) -> None:
    """Raise an InputError, which begins with ``where``, if there is no such periodic lattice.

    Its vectors may not be missing, flat, or beyond all size; none of the lattice may be so short that atoms lie on top
    of their own images.
    """
    rows = cell[periodic].astype(np.float64)
    if not (np.abs(rows) <= FARTHEST).all():
        finite = "has no such lengths" if np.isfinite(rows).all() else "is not finite"
        raise InputError(f"{where}the cell {finite}: {cell.tolist()}")
    lengths = np.linalg.norm(rows, axis=1)
    if missing := ["abc"[axis] for axis, length in zip(np.flatnonzero(periodic), lengths) if length < 1e-6]:
        raise InputError(
            f"{where}periodic along {', '.join(missing)} but the cell has no such lattice vector: "
            'give Lattice="..." in the file, or pbc="F F F" for a molecule'
        )
    if not periodic.any():
        return
    spanned = np.linalg.svd(rows / lengths[:, None], compute_uv=False)
    if spanned.min() < 1e-6:
        raise InputError(f"{where}the periodic lattice vectors {rows.tolist()} span no volume")
    if spanned.min() * lengths.min() < SHORTEST:  # no vector of the lattice is shorter than this product
        shortest = _shortest_vector(rows)
        if (length := float(np.linalg.norm(shortest))) < SHORTEST:
            raise InputError(
                f"{where}the lattice has a vector of {length:.2g} Å, {shortest.tolist()}: every atom would lie on its "
                "own image. Is the cell in Å?"
            )


def _shortest_vector(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Of a lattice, by Lagrange's and Gauss' reduction of pairs."""
    changed = True
    while changed:
        changed = False
        for a, b in itertools.permutations(range(len(rows)), 2):
            shorter = rows[a] - np.rint(rows[a] @ rows[b] / (rows[b] @ rows[b])) * rows[b]
            if shorter @ shorter < (1 - 1e-9) * (rows[a] @ rows[a]):
                rows[a], changed = shorter, True
    found: np.ndarray[Any, Any] = rows[np.linalg.norm(rows, axis=1).argmin()]
    return found
