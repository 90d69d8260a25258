"""Labels from any ASE calculator."""

import importlib
from dataclasses import dataclass, field
from typing import Any

import ase
import numpy as np

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
        """Energy and forces, and charges and a molecule's dipole where the calculator has them."""
        from ase.calculators.calculator import CalculatorError

        alone = atoms.copy()
        alone.calc = self.build()
        try:
            energy, forces = float(alone.get_potential_energy()), np.asarray(alone.get_forces())
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
