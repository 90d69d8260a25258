"""Point charges around a calculator's atoms, as ``ase.calculators.qmmm.EIQMMM`` embeds what it treats in full."""

from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator

from farfield.errors import InputError


class EmbeddingCharges:
    """External charges whose positions are set step by step, and the forces on them."""

    def __init__(self, charges: Any) -> None:
        """``charges`` ``(sources,)`` in e.

        Raises:
            InputError: charges that are no such row of finite numbers.
        """
        self.charges = np.array(charges, dtype=np.float64)
        if self.charges.ndim != 1 or not np.isfinite(self.charges).all():
            raise InputError(f"embed takes one finite charge per source, in e, not an array {self.charges.shape}")
        self._positions: np.ndarray[Any, Any] | None = None

    def set_positions(self, positions: Any, com_pv: Any = None) -> None:  # noqa: ARG002  (of cutoffs; nothing is cut)
        """Put the charges at ``positions`` ``(sources, 3)``, Å."""
        positions = np.array(positions, dtype=np.float64)
        if positions.shape != (len(self.charges), 3):
            raise InputError(f"{len(self.charges)} embedding charges need as many positions, not {positions.shape}")
        self._positions = positions

    def get_forces(self, calc: Calculator) -> np.ndarray[Any, Any]:
        """Forces on the charges ``(sources, 3)``, eV/Å, of the calculator's atoms where they are now.

        Raises:
            InputError: nothing has been calculated yet.
        """
        if calc.atoms is None:
            raise InputError("there are forces on embedding charges once an energy or forces have been calculated")
        forces: np.ndarray[Any, Any] = calc.get_property("external_charge_forces", calc.atoms)
        return forces

    @property
    def rows(self) -> np.ndarray[Any, Any]:
        """``info["external_charges"]`` of them: x, y, z, charge.

        Raises:
            InputError: no positions yet.
        """
        if self._positions is None:
            raise InputError("embedding charges have no positions yet: set_positions(positions)")
        return np.column_stack([self._positions, self.charges])
