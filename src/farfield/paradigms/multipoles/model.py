"""Labelled multipoles: E = Σ ε(h) + E_C[q(h), μ(h), Θ(h)], learned from moments of atoms or molecules, or a potential.

Stone, The Theory of Intermolecular Forces (Oxford, 2013); MBIS: Verstraelen et al., JCTC 12, 3894 (2016).
"""

from typing import ClassVar

from farfield.paradigms.multipoles.config import MultipolesConfig
from farfield.paradigms.shared.local_multipoles import MOMENTS, LocalMultipoles


class Multipoles(LocalMultipoles):
    """Multipoles of physical meaning, learned from whatever labels of them there are, and their Coulomb energy."""

    Config: ClassVar = MultipolesConfig
    trained_on: ClassVar = MOMENTS | {"dipoles", "quadrupoles"}
