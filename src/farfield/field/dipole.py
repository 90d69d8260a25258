"""Dipoles of systems: of charges where they sit, and of charge that moved along bonds.

d = Σ q R is that of a molecule. In a crystal it means nothing by itself: an atom that is wrapped changes it by q a, and
so does charge that flows from cell to cell. Where charge moves along bonds only, it does mean something: ions of fixed
charge z and what every bond handed over, d = Σ z R + Σ p (R_j + image - R_i), is continuous, the same as Σ q R in a
molecule, and changes by z a when an atom is wrapped: the dipole of King-Smith and Vanderbilt (PRB 47, 1651 (1993)),
known modulo e times lattice vectors.
"""

from torch import Tensor

from farfield.system import System, per_system


def dipole_of_charges(charges: Tensor, system: System) -> Tensor:
    """Σ q R ``(systems, 3)`` about the origin, e·Å, of the positions as they are given."""
    dipole: Tensor = per_system(charges[:, None] * system.positions, system)
    return dipole


def dipole_of_transfers(
    handed: Tensor,  # (pairs,), e, from i to j
    vector: Tensor,  # (pairs, 3), Å, from i to j through whatever image
    i: Tensor,  # (pairs,)
    system: System,
) -> Tensor:
    """Σ p (R_j + image - R_i) ``(systems, 3)``, e·Å."""
    dipole = vector.new_zeros(system.n_systems, 3)
    return dipole.index_add(0, system.system_index[i], handed[:, None] * vector)
