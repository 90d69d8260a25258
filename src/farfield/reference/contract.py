"""What an engine promises: a structure in, labels with farfield's units out."""

from dataclasses import dataclass
from typing import Protocol

import ase
import numpy as np
from numpy.typing import NDArray

from farfield.errors import InputError


@dataclass(frozen=True)
class Label:
    """What one calculation says of one structure: eV, Å, e."""

    energy: float
    forces: NDArray[np.float64]  # (atoms, 3)
    charges: NDArray[np.float64] | None = None  # (atoms,)
    scheme: str = ""  # of the charges: mbis, mulliken
    dipole: NDArray[np.float64] | None = None  # (3,), about the origin
    fragment_energies: NDArray[np.float64] | None = None  # (fragments,), each alone where it stands

    def written_on(self, atoms: ase.Atoms) -> ase.Atoms:
        """A copy of ``atoms`` that carries the labels in ``info`` and ``arrays``."""
        out = atoms.copy()
        out.calc = None
        out.info["energy"] = self.energy
        out.arrays["forces"] = self.forces
        if self.charges is not None:
            out.arrays[f"{self.scheme}_charges"] = self.charges  # ASE would rename a plain "charges"
        if self.dipole is not None:
            out.info["dipole"] = self.dipole
        if self.fragment_energies is not None:
            out.info["fragment_energies"] = self.fragment_energies
        return out


class Engine(Protocol):
    """A source of reference labels."""

    @property
    def provides(self) -> frozenset[str]:
        """The labels it gives: energy, forces, charges, dipole."""
        ...

    @property
    def description(self) -> str:
        """Method, basis, program and version: the provenance."""
        ...

    def label(self, atoms: ase.Atoms) -> Label:
        """Labels of one structure. The total charge is ``atoms.info["charge"]`` (0 if absent)."""
        ...


@dataclass(frozen=True)
class Fragment:
    """Atoms solved together, with their own total charge."""

    indices: NDArray[np.int64]
    symbols: list[str]
    positions: NDArray[np.float64]  # (atoms, 3), Å
    charge: int


def fragments_of(atoms: ase.Atoms) -> tuple[Fragment, list[Fragment]]:
    """The whole, and its parts if ``arrays["fragment"]`` and ``info["fragment_charges"]`` name them."""
    whole = _cut(atoms, np.arange(len(atoms)), _integer(atoms.info.get("charge", 0)))
    if "fragment" not in atoms.arrays or "fragment_charges" not in atoms.info:
        return whole, []
    charges = np.atleast_1d(atoms.info["fragment_charges"])
    owner = np.asarray(atoms.arrays["fragment"])
    if set(owner) != set(range(len(charges))):
        raise InputError(f"fragments are numbered {sorted(set(owner))} but there are {len(charges)} fragment_charges")
    if _integer(charges.sum()) != whole.charge:
        raise InputError(f"fragment_charges sum to {charges.sum():g} but charge is {whole.charge}")
    return whole, [_cut(atoms, np.flatnonzero(owner == k), _integer(c)) for k, c in enumerate(charges)]


def _cut(atoms: ase.Atoms, indices: NDArray[np.int64], charge: int) -> Fragment:
    symbols = [atoms.symbols[i] for i in indices]
    return Fragment(indices, symbols, atoms.positions[indices], charge)


def _integer(charge: float) -> int:
    if abs(charge - round(charge)) > 1e-6:
        raise InputError(f"a quantum-chemical calculation needs an integer charge, not {charge:g}")
    return round(charge)
