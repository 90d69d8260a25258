"""Structures that laws are judged on: the user's where there are any, invented ones where there are not."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import ase
import numpy as np

from farfield.conditions import HELD
from farfield.probe.finding import NotApplicable
from farfield.probe.measures.noise import noise
from farfield.probe.structures import invented
from farfield.probe.structures.salt import Salt, find_salt
from farfield.probe.subject import Floats, Refused, Seen, Subject, Unphysical, given

LARGEST = 400
"""Atoms of a user's structure beyond which laws, which need many predictions, do without it."""

RESPONDS = 1e-6
"""e, change of a charge beyond the reach from which on charges are said to respond."""


def set_free(frames: Sequence[ase.Atoms]) -> tuple[ase.Atoms, ...]:
    """Copies without fields, potentials and constraints, which a law that turns or repeats the structure breaks."""
    out = []
    for frame in frames:
        alone = frame.copy()
        alone.set_constraint()
        alone.info = {key: value for key, value in frame.info.items() if key not in HELD}
        out.append(alone)
    return tuple(out)


@dataclass(frozen=True, eq=False)
class Stage:
    """A subject and everything that laws share, made when first asked for."""

    subject: Subject
    structures: tuple[ase.Atoms, ...] = ()  # the user's
    fragments: tuple[ase.Atoms, ...] = ()  # ions and molecules for the dimers, the user's; total charge in info
    fast: bool = False

    def see(self, frames: Sequence[ase.Atoms], *want: str) -> list[Seen]:
        """Energies and whatever ``want`` names.

        Raises:
            Refused: the model does not take one of them.
            Unphysical: energies or forces that are no numbers.
        """
        seen = self.subject(frames, frozenset({"energy", *want}))
        for frame, one in zip(frames, seen):
            check(frame, one)
        return seen

    def energies(self, frames: Sequence[ase.Atoms]) -> Floats:
        """``(frames,)`` eV."""
        return np.array([seen.energy for seen in self.see(frames)])

    def wants(self, *names: str) -> tuple[str, ...]:
        """Choose of ``names`` those that the subject gives."""
        return tuple(name for name in names if name in self.subject.gives)

    def needs(self, name: str, words: str) -> None:
        """Skip the law where the subject does not give something.

        Raises:
            NotApplicable: it does not.
        """
        if name not in self.subject.gives:
            raise NotApplicable(f"the model gives no {words}")

    @property
    def dipole_is_single_valued(self) -> bool:
        """Tell whether a crystal's dipole has one value but for e × lattice vectors: there is a ``polarization``."""
        return "polarization" in self.subject.gives

    @cached_property
    def salt(self) -> Salt | None:
        """The rock salt of two of the model's elements at the model's own lattice constant, where there is one."""
        return find_salt(self.subject)

    def rock_salt(self) -> Salt:
        """The same, for laws that cannot do without.

        Raises:
            NotApplicable: no two elements have opposite formal charges.
        """
        if self.salt is None:
            raise NotApplicable("no two of its elements have opposite formal charges: no rock salt to judge it on")
        return self.salt

    @cached_property
    def crystal(self) -> ase.Atoms:
        """A crystal off its symmetric positions: the user's first, or invented."""
        own = [frame for frame in self.structures if is_crystal(frame)]
        return own[0] if own else self._charged(invented.crystal(self.subject.species, self.salt))

    @cached_property
    def molecule(self) -> ase.Atoms:
        """A molecule or cluster: the user's first, or invented."""
        own = [frame for frame in self.structures if is_molecule(frame)]
        return own[0] if own else self._charged(invented.molecule(self.subject.species, self.salt))

    @property
    def samples(self) -> list[tuple[str, ase.Atoms]]:
        """List what consistency is judged on, with a word for each: only the user's where there are any."""
        both = [("crystal", self.crystal), ("molecule", self.molecule)]
        own = [(word, atoms) for word, atoms in both if any(atoms is frame for frame in self.structures)]
        return own or both

    @cached_property
    def charges_respond(self) -> bool:
        """Tell whether charges of two atoms answer to one another at two and four times the reach, or may do so."""
        if "charges" not in self.subject.gives:
            return False
        pair = [self.subject.species[0], self.subject.species[-1]]
        frames = [ase.Atoms(pair, [[0, 0, 0], [k * self.subject.reach, 0, 0]]) for k in (2, 4)]
        try:
            near, far = (given(seen.charges) for seen in self.see([self._charged(f) for f in frames], "charges"))
        except Refused:  # a pair that does not come apart well, as in quantum chemistry
            return True
        return bool(np.abs(near - far).max() > RESPONDS)

    def _charged(self, atoms: ase.Atoms) -> ase.Atoms:
        atoms.info["charge"] = self.subject.total_charge(atoms.numbers.tolist())
        return atoms

    @cached_property
    def _noises(self) -> dict[bytes, float]:
        return {}

    def noise(self, atoms: ase.Atoms) -> float:
        """Measure by how many eV rounding moves the energy of these atoms; laws ask of the same ones."""
        key = b"".join(part.tobytes() for part in (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc))
        if key not in self._noises:
            self._noises[key] = noise(self.energies, atoms)
        return self._noises[key]


def check(frame: ase.Atoms, seen: Seen) -> None:
    """Raise where energy or forces are no numbers: whatever follows from them is none either."""
    for name, value in (("energy", seen.energy), ("forces", seen.forces)):
        if value is not None and not np.isfinite(value).all():
            verb = "is not a number" if name == "energy" else "are not numbers"
            raise Unphysical(f"the {name} of {frame.get_chemical_formula('metal')} {verb}")


def is_crystal(frame: ase.Atoms) -> bool:
    """Tell whether laws of crystals can be judged on it."""
    return bool(frame.pbc.all()) and len(frame) <= LARGEST


def is_molecule(frame: ase.Atoms) -> bool:
    """Tell whether laws of molecules can be judged on it."""
    return not frame.pbc.any() and len(frame) <= LARGEST
