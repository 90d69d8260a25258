"""Latent multipoles: E = Σ ε(h) + E_C[q(h), μ(h), Θ(h)], never labelled.

Cheng, npj Comput. Mater. 11, 80 (2025); King et al., Nat. Commun. 16, 8763 (2025). Written from the equations.
"""

from typing import ClassVar

from farfield.paradigms.latent.config import LatentConfig
from farfield.paradigms.shared.local_multipoles import LocalMultipoles


class Latent(LocalMultipoles):
    """Multipoles learned from the energies and forces they cause."""

    Config: ClassVar = LatentConfig
    trained_on: ClassVar = frozenset()  # that is the point
