"""Fixed points x = g(x) by Anderson's mixing, every system of a batch with its own coefficients.

Anderson, J. ACM 12, 547 (1965); Walker and Ni, SIAM J. Numer. Anal. 49, 1715 (2011). The next x is a combination of the
last ones whose residuals g(x) - x cancel as well as they can, and a step along what is left of them.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from farfield.response.solvers.conjugate_gradient import Linear, Solution
from farfield.system import System, per_atom, per_system

FAINT = 1e-14
"""Of the largest residual difference, squared: what is fainter is rounding, and takes no part."""


def fixed_point(
    step: Callable[[Tensor], Tensor],  # g
    start: Tensor,  # (atoms, columns)
    system: System,
    *,
    precondition: Linear,  # about (1 - ∂g/∂x)⁻¹, applied to residuals
    mixing: float = 1.0,  # share of the preconditioned residual that is taken
    depth: int = 8,  # steps that are remembered; 0 for plain mixing
    tolerance: float,  # of the largest |g(x) - x|
    most: int = 100,  # evaluations of g
) -> Solution:
    """Find the best x, its residual above ``tolerance`` if there is no better after ``most`` evaluations.

    No graph is left behind: see ``implicit_gradient`` for derivatives.
    """
    with torch.no_grad():
        values = start.detach()
        best = Solution(values, math.inf, 0)
        history: deque[tuple[Tensor, Tensor]] = deque(maxlen=max(depth, 1))
        before: tuple[Tensor, Tensor] | None = None
        for steps in range(1, most + 1):
            residual = step(values) - values
            size = float(residual.abs().max()) if residual.numel() else 0.0
            best = Solution(values, size, steps) if size < best.residual else replace(best, steps=steps)
            if size <= tolerance or not math.isfinite(size):
                break
            left = precondition(residual)
            if before is not None and depth > 0:
                history.append((values - before[0], left - before[1]))
            before = values, left
            values = values + mixing * left
            if history:
                moves, changes = (torch.stack(parts) for parts in zip(*history))
                shares = _least_squares(changes, left, system)
                values = values - torch.einsum("kn,knc->nc", shares, moves + mixing * changes)
    return best


def _least_squares(changes: Tensor, residual: Tensor, system: System) -> Tensor:
    """Find shares ``(history, atoms)``, alike within a system, of the changes that come nearest to the residual."""
    products = torch.einsum("anc,bnc->nab", changes, changes)
    matrix = per_system(products, system)
    right = per_system(torch.einsum("anc,nc->na", changes, residual), system)
    size = matrix.diagonal(dim1=1, dim2=2)
    scale = torch.where(size > 0, size, 1.0).sqrt()  # nothing has changed where a system was there already
    matrix = matrix / (scale.unsqueeze(1) * scale.unsqueeze(2))
    eye = torch.eye(len(changes), dtype=matrix.dtype, device=matrix.device)
    found = torch.linalg.solve(matrix + FAINT * eye, right / scale) / scale
    return per_atom(found, system).T
