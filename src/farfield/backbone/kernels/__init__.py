"""The sums that a layer spends its time in, over bonds and over products of harmonics.

Written twice: in plain torch (``reference``), and as compiled loops that never hold the terms of a sum in memory
(``loops``, registered with torch and with their derivatives in ``operators``). The loops take float32 and float64 on a
CPU, the reference takes the rest, and everything where the environment says ``FARFIELD_KERNELS=reference``.
"""

import torch
from torch import Tensor

from farfield.backbone.bonds import BondTable
from farfield.backbone.coupling import Coupling
from farfield.backbone.kernels import operators, reference
from farfield.compiled import has_loops


def gather(radial: Tensor, harmonics: Tensor, sent: Tensor, bonds: BondTable) -> Tensor:
    """Densities A_i = Σ_j R(r_ij) Y_lm(r̂_ij) h_j, ``(atoms, m, channels)``.

    ``radial`` ``(bonds, orders, channels)`` and ``harmonics`` ``(bonds, m)``, as seen from the first atom of each bond;
    ``sent`` ``(atoms, channels)``.
    """
    if _has_loops(radial):
        found: Tensor = operators.gather(radial, harmonics, sent, bonds.ends, bonds.visits, bonds.start)
        return found
    return reference.gather(radial, harmonics, sent, bonds.ends)


def couple(coupling: Coupling, weights: Tensor, element: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Products of harmonics ``(atoms, m, channels)`` with weights ``(paths, elements, channels)``, summed over paths.

    ``element`` ``(atoms,)`` picks the weights of each atom; out come ``(atoms, m_out, channels)``.
    """
    terms = coupling.terms(a)
    if _has_loops(a):
        found: Tensor = operators.couple(
            weights, a, b, element, terms.table, terms.coefficients, operators.OUT, terms.rows
        )
        return found
    return reference.couple(weights, a, b, element, terms)


def _has_loops(x: Tensor) -> bool:
    return has_loops(x) and x.dtype in (torch.float32, torch.float64)
