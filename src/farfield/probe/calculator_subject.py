"""Any ASE calculator on trial."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ase
from ase.calculators.calculator import PropertyNotImplementedError
from ase.stress import voigt_6_to_full_3x3_stress

from farfield.probe.subject import Refused, Seen, array

REACH = 12.0
"""Å, how far an unknown calculator's short-range part is taken to see."""

_GIVES = ("energy", "forces", "stress", "charges", "dipole", "polarization")


@dataclass(frozen=True, eq=False)
class CalculatorSubject:
    """A calculator as it stands; total charges are in ``atoms.info["charge"]`` and, spread, in the initial charges."""

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
        """
        return [self._one(frame, want) for frame in frames]

    def _one(self, frame: ase.Atoms, want: frozenset[str]) -> Seen:
        atoms = frame.copy()
        charge = float(atoms.info.get("charge", 0.0))
        if charge:
            atoms.set_initial_charges([charge / len(atoms)] * len(atoms))
        atoms.calc = self.calculator
        try:
            return self._ask(atoms, want)
        except Exception as failure:  # any program stands behind it
            reason = f"{type(failure).__name__}: {failure}".partition("\n")[0]
            raise Refused(f"{self.name} gave up on {atoms.get_chemical_formula('metal')}: {reason}") from failure

    def _ask(self, atoms: ase.Atoms, want: frozenset[str]) -> Seen:
        def ask(name: str, key: str) -> Any:
            return array(self.calculator.get_property(key, atoms)) if name in want else None

        energy = float(self.calculator.get_property("energy", atoms))
        stress = ask("stress", "stress") if atoms.pbc.all() else None
        return Seen(
            energy=energy,
            forces=ask("forces", "forces"),
            stress=None if stress is None else array(voigt_6_to_full_3x3_stress(stress)),
            charges=ask("charges", "charges"),
            dipole=_dipole(ask, atoms),
            born_charges=ask("born_charges", "born_effective_charges"),
        )


def _dipole(ask: Any, atoms: ase.Atoms) -> Any:
    if atoms.pbc.any():
        return None
    try:
        return ask("dipole", "dipole")
    except PropertyNotImplementedError:
        return None
