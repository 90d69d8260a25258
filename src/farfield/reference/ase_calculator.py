"""Labels from any ASE calculator."""

import importlib
from dataclasses import dataclass, field
from typing import Any

import ase
import numpy as np

from farfield.conditions import spread
from farfield.errors import ConvergenceError, InputError
from farfield.reference.contract import Label


@dataclass(frozen=True)
class ASEEngine:
    """A calculator class found by name, so that worker processes can build their own."""

    module: str
    calculator: str
    provides: frozenset[str] = field(default=frozenset({"energy", "forces"}), init=False)

    @property
    def description(self) -> str:
        """Method, program and version."""
        return f"ASE calculator {self.module}:{self.calculator}, ASE {ase.__version__}"

    def check(self, elements: frozenset[str]) -> None:  # noqa: ARG002
        """Raise InputError where the calculator cannot be constructed."""
        try:
            self.build()
        except Exception as failure:  # any program stands behind it
            raise InputError(
                f"{self.module}:{self.calculator} cannot be constructed without arguments: "
                f"{type(failure).__name__}: {failure}"
            ) from failure

    def build(self) -> Any:
        """A new calculator."""
        return getattr(importlib.import_module(self.module), self.calculator)()

    def label(self, atoms: ase.Atoms) -> Label:
        """Energy and forces, and charges and a molecule's dipole where the calculator has them.

        Forces are -dE/dR of every atom, whatever constraints the structure is under, and the energy is the one whose
        slope they are: a smeared calculation's free energy, not its extrapolation to no smearing. Total charge and spin
        go, spread evenly, into initial charges and magnetic moments, where most calculators read them.
        """
        from ase.calculators.calculator import CalculatorError

        alone = atoms.copy()
        spread(alone)
        alone.set_constraint()  # else ASE takes forces away, or adds springs to the energy
        alone.calc = self.build()
        try:
            forces, energy = np.asarray(alone.get_forces()), _energy(alone)
        except (CalculatorError, RuntimeError) as failure:
            raise ConvergenceError(f"{self.calculator}: {failure}") from failure
        found = alone.calc.results
        return Label(
            energy=energy,
            forces=forces,
            charges=np.asarray(found["charges"]) if "charges" in found else None,
            scheme=self.calculator.lower() if "charges" in found else "",
            dipole=np.asarray(found["dipole"]) if "dipole" in found and not atoms.pbc.any() else None,
        )


def _energy(atoms: ase.Atoms) -> float:
    """The energy, in eV, whose slope the forces are, as far as the calculator tells it from the other one."""
    try:
        return float(atoms.get_potential_energy(force_consistent=True))
    except (NotImplementedError, TypeError):  # it has one energy, or has never heard of two
        return float(atoms.get_potential_energy())
