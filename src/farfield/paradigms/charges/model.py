"""Explicit multipoles: E = Σ ε(h) + E_C[q(h), μ(h), Θ(h)], q formal or learned from labels, as are μ and Θ.

3G-HDNNP (Artrith, Morawietz & Behler, PRB 83, 153101 (2011)), PhysNet (Unke & Meuwly, JCTC 15, 3678 (2019)).
"""

from typing import ClassVar

from farfield.paradigms.charges.config import ChargesConfig
from farfield.paradigms.shared.local_multipoles import LocalMultipoles


class Charges(LocalMultipoles):
    """Multipoles of physical meaning, charges fixed or all fitted to labels, and their Coulomb energy."""

    Config: ClassVar = ChargesConfig
    trained_on: ClassVar = frozenset(
        {"charges", "dipoles", "quadrupoles", "dipole", "quadrupole", "born_charges", "polarization"}
    )
