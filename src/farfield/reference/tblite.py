"""Semi-empirical labels from tblite: GFN2-xTB, milliseconds a frame, molecules and crystals."""

from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import ase
import numpy as np

from farfield.errors import ConvergenceError, InputError
from farfield.reference.contract import Label, spin_of
from farfield.units import BOHR, HARTREE


@dataclass(frozen=True)
class TBLiteEngine:
    """GFN2-xTB by tblite's Python interface, with Mulliken charges."""

    method: str = "GFN2-xTB"
    accuracy: float = 0.1
    provides: frozenset[str] = field(default=frozenset({"energy", "forces", "charges", "dipole"}), init=False)

    @property
    def description(self) -> str:
        """Method, program and version."""
        return f"tblite {version('tblite')} {self.method}, accuracy {self.accuracy:g}, Mulliken charges"

    def check(self, elements: frozenset[str]) -> None:  # noqa: ARG002
        """Raise InputError without tblite."""
        _program()

    def label(self, atoms: ase.Atoms) -> Label:
        """Energy, forces, Mulliken charges and, for a molecule, the dipole about the origin.

        Raises:
            InputError: a spin that is no number of electrons.
            ConvergenceError: tblite gave up.
        """
        periodic = bool(atoms.pbc.any())
        calculator = _program().interface.Calculator(
            self.method, atoms.numbers, atoms.positions / BOHR,
            charge=float(atoms.info.get("charge", 0)), uhf=spin_of(atoms),
            lattice=atoms.cell.array / BOHR if periodic else None,
            periodic=atoms.pbc if periodic else None,
        )  # fmt: skip
        calculator.set("accuracy", self.accuracy)
        calculator.set("verbosity", 0)
        try:
            found = calculator.singlepoint()
        except RuntimeError as failure:
            raise ConvergenceError(f"{self.method}: {failure}") from failure
        return Label(
            energy=float(found.get("energy")) * HARTREE,
            forces=-np.asarray(found.get("gradient")) * HARTREE / BOHR,
            charges=np.asarray(found.get("charges")),
            scheme="mulliken",
            dipole=None if periodic else np.asarray(found.get("dipole")) * BOHR,
        )


def _program() -> Any:
    """Tblite, or in words that it is missing."""
    try:
        import tblite
        import tblite.interface
    except ImportError as missing:
        raise InputError("the tblite engine needs tblite: pip install 'farfield[label]'") from missing
    return tblite
