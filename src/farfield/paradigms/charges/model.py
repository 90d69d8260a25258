"""Explicit charges: E = Σ ε(h) + E_C[q(h)], formal or learned from labels.

3G-HDNNP (Artrith, Morawietz & Behler, PRB 83, 153101 (2011)), PhysNet (Unke & Meuwly, JCTC 15, 3678 (2019)).
"""

from typing import Any, ClassVar

from farfield.paradigms.charges.config import ChargesConfig
from farfield.paradigms.shared.local_multipoles import MOMENTS, LocalMultipoles


class Charges(LocalMultipoles):
    """Charges of physical meaning, fixed or fitted to labels, and their Coulomb energy."""

    Config: ClassVar = ChargesConfig
    trained_on: ClassVar = MOMENTS

    @classmethod
    def order_of(cls, config: Any) -> int:  # noqa: ARG003
        """Charges alone."""
        return 0
