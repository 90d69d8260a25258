"""Ions and molecules for the laws of separated fragments: the user's, or what the elements suggest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import ase
import numpy as np
from ase.build import molecule as molecule_named
from ase.data import chemical_symbols

from farfield.chemistry import COVALENT, USUAL
from farfield.probe.finding import NotApplicable
from farfield.probe.stage import Stage
from farfield.probe.subject import Floats

_POLAR = ("H2O", "HF", "HCl", "NH3", "CO")
_SYMMETRIC = ("Cl2", "F2", "H2", "N2", "O2")
_GIVE = "give some with --fragments FILE (ions and neutral molecules, charge and spin of each in its info)"


@dataclass(frozen=True, eq=False)
class Fragment:
    """Atoms about their centre, their dipole (as formal charges see it) along x."""

    atoms: ase.Atoms
    charge: float  # e
    spin: float = 0.0  # 2S

    @property
    def alone(self) -> ase.Atoms:
        """Copy the atoms, with charge and spin where laws and models read them."""
        atoms = self.atoms.copy()
        atoms.info |= {"charge": self.charge, "spin": self.spin}
        return atoms

    @property
    def name(self) -> str:
        """Na+, NaCl."""
        size = abs(round(self.charge))
        sign = "" if not size else ("" if size == 1 else str(size)) + ("+" if self.charge > 0 else "-")
        return f"{self.atoms.get_chemical_formula('metal')}{sign}"

    @property
    def formal(self) -> Floats:
        """``(atoms,)`` e, what chemists would write, moved together so that it sums to the charge."""
        leaning = np.array([_leaning(z) for z in self.atoms.numbers.tolist()])
        shifted: Floats = leaning + (self.charge - leaning.sum()) / len(leaning)
        return shifted

    def turned(self, matrix: Floats) -> "Fragment":
        """The same, rotated."""
        atoms = self.atoms.copy()
        atoms.positions = atoms.positions @ matrix.T
        return replace(self, atoms=atoms)


@dataclass(frozen=True, eq=False)
class Dimer:
    """Two fragments along x."""

    first: Fragment
    second: Fragment

    @property
    def name(self) -> str:
        """Na+ and Cl-."""
        return f"{self.first.name} and {self.second.name}"

    @property
    def split(self) -> int:
        """Atoms of the first fragment."""
        return len(self.first.atoms)

    def at(self, distance: float) -> ase.Atoms:
        """Both, their centres ``distance`` Å apart, with the sum of their charges and spins."""
        second = self.second.atoms.copy()
        second.positions += [distance, 0, 0]
        both = ase.Atoms(
            np.concatenate([self.first.atoms.numbers, second.numbers]),
            np.concatenate([self.first.atoms.positions, second.positions]),
        )
        both.info["charge"] = self.first.charge + self.second.charge
        both.info["spin"] = self.first.spin + self.second.spin
        return both


def ions(stage: Stage) -> tuple[Fragment, Fragment]:
    """A cation and an anion.

    Raises:
        NotApplicable: none among the user's fragments, and no elements that stand alone as ions.
    """
    own = [_own(frame) for frame in stage.fragments]
    positive, negative = (next((f for f in own if sign * f.charge > 0.5), None) for sign in (1, -1))
    if positive is not None and negative is not None:
        return positive, negative
    if stage.salt is not None:
        salt = stage.salt
        return _atom(salt.cation, salt.formal), _atom(salt.anion, -salt.formal)
    single = [z for z in stage.subject.species if z in USUAL and z not in COVALENT]
    cations, anions = ([z for z in single if sign * USUAL[z] > 0] for sign in (1, -1))
    if not (cations and anions):
        raise NotApplicable(f"its elements form no pair of single ions; {_GIVE}")
    return _atom(cations[0], USUAL[cations[0]]), _atom(anions[0], USUAL[anions[0]])


def polar(stage: Stage) -> Fragment:
    """A neutral molecule with a dipole: the user's first, water and its like, or a pair of ions.

    Raises:
        NotApplicable: nothing of the kind.
    """
    own = [f for frame in stage.fragments if abs((f := _own(frame)).charge) < 0.5 and len(frame) > 1]
    if own:
        return own[0]
    if (found := _named(_POLAR, stage)) is not None:
        return found
    if (salt := stage.salt) is None:
        raise NotApplicable(f"its elements form no small polar molecule; {_GIVE}")
    bond = 0.88 * salt.bond  # a pair alone is shorter than in the crystal
    return _oriented(ase.Atoms([salt.cation, salt.anion], [[0, 0, 0], [bond, 0, 0]]), 0.0)


def symmetric(stage: Stage) -> Fragment:
    """A neutral molecule without a dipole, along x.

    Raises:
        NotApplicable: nothing of the kind.
    """
    if (found := _named(_SYMMETRIC, stage)) is None:
        raise NotApplicable("its elements form none of the molecules without dipole that this takes (Cl2, H2, N2, …)")
    return found.turned(np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]))


def _named(names: Sequence[str], stage: Stage) -> Fragment | None:
    known = set(stage.subject.species)
    for name in names:
        atoms = molecule_named(name)
        if set(atoms.numbers.tolist()) <= known:
            return _oriented(atoms, 0.0)
    return None


def _atom(number: int, charge: float) -> Fragment:
    return Fragment(ase.Atoms([number], [[0, 0, 0]]), charge)


def _own(frame: ase.Atoms) -> Fragment:
    charge, spin = (float(frame.info.get(name, 0.0)) for name in ("charge", "spin"))
    return replace(_oriented(ase.Atoms(frame.numbers, frame.positions), charge), spin=spin)


def _oriented(atoms: ase.Atoms, charge: float) -> Fragment:
    """Centred, with Σzr of the formal charges along x where there is any."""
    atoms.positions -= atoms.positions.mean(0)
    along = Fragment(atoms, charge).formal @ atoms.positions
    if np.linalg.norm(along) > 1e-6:
        atoms.rotate(along, [1, 0, 0])
    return Fragment(atoms, charge)


def _leaning(number: int) -> float:
    """Formal charge; oxygen and halogens negative, hydrogen positive, and carbon between them."""
    return 0.0 if chemical_symbols[number] in ("C", "Si") else USUAL.get(number, 0.0)
