"""Any ASE calculator on trial."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ase
from ase.calculators.calculator import PropertyNotImplementedError
from ase.stress import voigt_6_to_full_3x3_stress

from farfield.conditions import spread
from farfield.probe.subject import Floats, Refused, Seen, Unphysical, array

REACH = 12.0
"""Å, how far an unknown calculator's short-range part is taken to see."""

_GIVES = ("energy", "forces", "stress", "charges", "dipole", "polarization")


@dataclass(frozen=True, eq=False)
class CalculatorSubject:
    """A calculator as it stands.

    Total charge and spin are in ``atoms.info`` and, spread, in the initial charges and magnetic moments.
    """

    calculator: Any
    name: str
    species: tuple[int, ...]
    reach: float = REACH  # Å
    cutoff: float = REACH  # Å
    batches: bool = False
    takes_charge: bool = False
    takes_field: bool = False

    @property
    def gives(self) -> frozenset[str]:
        """ASE's names as far as a law asks for them."""
        known = set(self.calculator.implemented_properties)
        own = {"born_charges"} if "born_effective_charges" in known else set()
        return frozenset(own | {name for name in _GIVES if name in known})

    def total_charge(self, numbers: Sequence[int]) -> float:  # noqa: ARG002
        """0: what a calculator takes is not known."""
        return 0.0

    def __call__(self, frames: Sequence[ase.Atoms], want: frozenset[str]) -> list[Seen]:
        """One by one.

        Raises:
            Refused: the calculator gave up on a structure.
            Unphysical: what it gave has the wrong shape.
        """
        return [self._one(frame, want) for frame in frames]

    def _one(self, frame: ase.Atoms, want: frozenset[str]) -> Seen:
        atoms = frame.copy()
        atoms.set_constraint()  # laws are of the calculator; some read what holds the atoms
        spread(atoms)
        atoms.calc = self.calculator
        try:
            return self._ask(atoms, want)
        except Unphysical:
            raise
        except Exception as failure:  # any program stands behind it
            reason = f"{type(failure).__name__}: {failure}".partition("\n")[0]
            raise Refused(f"{self.name} gave up on {atoms.get_chemical_formula('metal')}: {reason}") from failure

    def _ask(self, atoms: ase.Atoms, want: frozenset[str]) -> Seen:
        def ask(name: str, key: str) -> Any:
            return self._shaped(name, self.calculator.get_property(key, atoms), atoms) if name in want else None

        energy = float(self._shaped("energy", self._energy(atoms), atoms))
        stress = ask("stress", "stress") if atoms.pbc.all() else None
        return Seen(
            energy=energy,
            forces=ask("forces", "forces"),
            stress=stress if stress is None or stress.shape == (3, 3) else array(voigt_6_to_full_3x3_stress(stress)),
            charges=ask("charges", "charges"),
            dipole=_dipole(ask, atoms),
            born_charges=ask("born_charges", "born_effective_charges"),
        )

    def _energy(self, atoms: ase.Atoms) -> Any:
        """The one whose slope the forces are, where the calculator tells it from the other."""
        if "free_energy" in self.calculator.implemented_properties:
            with contextlib.suppress(PropertyNotImplementedError):  # of this structure, or by this method
                return self.calculator.get_property("free_energy", atoms)
        return self.calculator.get_property("energy", atoms)

    def _shaped(self, name: str, value: Any, atoms: ase.Atoms) -> Floats:
        """Convert to float64, and raise unless it is as large as ASE has it."""
        found, n = array(value), len(atoms)
        shapes = {
            "energy": ((),), "forces": ((n, 3),), "stress": ((6,), (3, 3)), "charges": ((n,),), "dipole": ((3,),),
            "born_charges": ((n, 3, 3),),
        }[name]  # fmt: skip
        if name == "energy" and found.size == 1:
            return found.reshape(())
        if found.shape not in shapes:
            words = name.replace("born_", "Born ")
            verb = "has" if name in ("energy", "stress", "dipole") else "have"
            raise Unphysical(
                f"the {words} that {self.name} gives of {n} atoms {verb} the shape {found.shape}, not {shapes[0]}"
            )
        return found


def _dipole(ask: Any, atoms: ase.Atoms) -> Any:
    if atoms.pbc.any():
        return None
    try:
        return ask("dipole", "dipole")
    except PropertyNotImplementedError:
        return None
