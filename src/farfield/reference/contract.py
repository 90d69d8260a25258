"""Contract of an engine: a structure in, labels in farfield's units out."""

from dataclasses import dataclass
from typing import Any, Protocol

import ase
import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from farfield.errors import InputError


@dataclass(frozen=True)
class Label:
    """Labels of one structure from one calculation: eV, Å, e."""

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

    @classmethod
    def read_from(cls, atoms: ase.Atoms) -> "Label":
        """Read what ``written_on`` wrote, after a way through a file: ASE moves some of it into a calculator."""
        known = atoms.info | atoms.arrays | (atoms.calc.results if atoms.calc else {})
        scheme = next((name.removesuffix("_charges") for name in atoms.arrays if name.endswith("_charges")), "")
        energies = known.get("fragment_energies")
        return cls(
            energy=float(known["energy"]),
            forces=known["forces"],
            charges=known.get(f"{scheme}_charges"),
            scheme=scheme,
            dipole=known.get("dipole"),
            fragment_energies=None if energies is None else np.atleast_1d(energies),
        )


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

    def check(self, elements: frozenset[str]) -> None:
        """Raise InputError for what would fail on every structure of these ``elements`` alike."""
        ...

    def label(self, atoms: ase.Atoms) -> Label:
        """Labels of one structure: total charge ``atoms.info["charge"]``, 2S ``atoms.info["spin"]`` (0 if absent)."""
        ...


@dataclass(frozen=True)
class Subsystem:
    """Atoms solved together, with their own total charge and spin."""

    indices: NDArray[np.int64]
    symbols: list[str]
    positions: NDArray[np.float64]  # (atoms, 3), Å
    charge: int
    spin: int = 0  # 2S; below 0 for a part whose unpaired electrons point down

    @property
    def electrons(self) -> int:
        """Count the electrons, of all shells."""
        return sum(int(atomic_numbers[symbol]) for symbol in self.symbols) - self.charge

    def check_spin(self) -> None:
        """Raise InputError where so many electrons cannot have such a spin."""
        if abs(self.spin) <= self.electrons and (self.electrons - self.spin) % 2 == 0:
            return
        name = ase.Atoms(self.symbols).get_chemical_formula()
        parity = "an odd" if self.electrons % 2 else "an even"
        raise InputError(
            f"{name} of charge {self.charge} has {self.electrons} electrons: its spin (2S, the number of unpaired "
            f"ones) must be {parity} number up to that, not {self.spin}. Set info['spin'] (or info['fragment_spins'])"
        )


def fragments_of(atoms: ase.Atoms) -> tuple[Subsystem, list[Subsystem]]:
    """The whole, and its parts if ``arrays["fragment"]`` and ``info["fragment_charges"]`` name them.

    ``info["fragment_spins"]`` (0 if absent) are those of the parts, signed: two radicals are ``[1, 1]`` in a triplet
    and ``[1, -1]`` in a singlet.

    Raises:
        InputError: charges or spins that are not whole numbers, or do not add up to those of the whole.
    """
    whole = _cut(atoms, np.arange(len(atoms)), _integer(atoms, "charge"), spin_of(atoms))
    if "fragment" not in atoms.arrays or "fragment_charges" not in atoms.info:
        return whole, []
    charges = _integers("fragment_charges", atoms.info["fragment_charges"])
    spins = _integers("fragment_spins", atoms.info.get("fragment_spins", [0] * len(charges)))
    owner = np.asarray(atoms.arrays["fragment"])
    if set(owner) != set(range(len(charges))) or len(spins) != len(charges):
        raise InputError(
            f"fragments are numbered {sorted(set(owner.tolist()))} but there are {len(charges)} fragment_charges "
            f"and {len(spins)} fragment_spins"
        )
    for word, parts, total in (("charge", charges, whole.charge), ("spin", spins, whole.spin)):
        if sum(parts) != total:
            raise InputError(f"fragment_{word}s sum to {sum(parts)} but {word} is {total}")
    return whole, [
        _cut(atoms, np.flatnonzero(owner == k), charge, spin)
        for k, (charge, spin) in enumerate(zip(charges, spins, strict=True))
    ]


def spin_of(atoms: ase.Atoms) -> int:
    """2S of the whole structure, ``info["spin"]``, 0 if absent.

    Raises:
        InputError: no whole number, or one below 0.
    """
    if (spin := _integer(atoms, "spin")) < 0:
        raise InputError(f"info['spin'] is 2S of the whole structure: 0 or above, not {spin}")
    return spin


def _cut(atoms: ase.Atoms, indices: NDArray[np.int64], charge: int, spin: int) -> Subsystem:
    symbols = [atoms.symbols[i] for i in indices]
    return Subsystem(indices, symbols, atoms.positions[indices], charge, spin)


def _integer(atoms: ase.Atoms, word: str) -> int:
    found = _integers(word, atoms.info.get(word, 0))
    if len(found) != 1:
        raise InputError(f"info[{word!r}] must be one number, not {len(found)}")
    return found[0]


def _integers(word: str, value: Any) -> list[int]:
    try:
        numbers = np.atleast_1d(np.asarray(value, float))
    except (TypeError, ValueError):
        raise InputError(f"info[{word!r}] must be an integer, not {value!r}") from None
    wrong = [float(number) for number in numbers if not abs(number - np.round(number)) < 1e-6]
    if wrong:
        raise InputError(f"a quantum-chemical calculation needs an integer {word}, not {wrong[0]:g}")
    return [round(float(number)) for number in numbers]
