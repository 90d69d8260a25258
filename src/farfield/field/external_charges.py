"""The potential of charges that are no atoms, at the atoms: what an MM region does to a model.

With V the potential of the external charges, averaged over the Gaussian of an atom, multipoles get
Σ q V + μ·∇V + ⅓ Θ:∇∇V. Whatever answers to a potential answers to this one; forces on the external charges are slopes
of the same energy.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from farfield.coulomb import Coulomb, Sources
from farfield.system import System, per_system


@dataclass(frozen=True)
class ExternalPotential:
    """Potential of the external charges at the atoms, and its gradients as far as they were asked for."""

    values: Tensor  # (atoms,), V
    gradient: Tensor | None = None  # (atoms, 3), V/Å
    hessian: Tensor | None = None  # (atoms, 3, 3), V/Å²

    def energy(
        self,
        system: System,
        charges: Tensor,  # (atoms,), e
        dipoles: Tensor | None = None,  # (atoms, 3), e·Å
        quadrupoles: Tensor | None = None,  # (atoms, 3, 3), e·Å²
    ) -> Tensor:
        """Sum q V + μ·∇V + ⅓ Θ:∇∇V ``(systems,)``, eV."""
        energy = charges * self.values
        if dipoles is not None and self.gradient is not None:
            energy = energy + (dipoles * self.gradient).sum(1)
        if quadrupoles is not None and self.hessian is not None:
            energy = energy + (quadrupoles * self.hessian).sum((1, 2)) / 3
        return torch.as_tensor(per_system(energy, system))


def external_potential(
    system: System,
    coulomb: Coulomb,
    widths: Tensor | float | None,  # (atoms,) or one number, Å: Gaussians over which it is averaged
    *,
    order: int = 0,  # how many gradients: as many as multipoles feel
) -> ExternalPotential | None:
    """Evaluate the potential of the external charges at every atom; differentiable. None where there are none."""
    charges = system.external_charges
    if charges is None:
        return None
    sources = Sources(charges.positions, charges.system_index, charges=charges.charges, widths=charges.widths)
    with_graph = torch.is_grad_enabled()
    with torch.set_grad_enabled(with_graph or order > 0):
        # a node of its own: widths that depend on the positions are not moved along
        points = system.positions.view_as(system.positions) if with_graph else system.positions.detach()
        if order > 0:
            points.requires_grad_(True)
        values = coulomb.potential_at(system, sources, points, system.system_index, point_widths=widths)
        gradient = _gradient(values, points, graph=with_graph or order > 1) if order > 0 else None
        hessian = None
        if gradient is not None and order > 1:
            rows = [_gradient(gradient[:, axis], points, graph=with_graph) for axis in range(3)]
            hessian = torch.stack(rows, 1)
    if with_graph:
        return ExternalPotential(values, gradient, hessian)
    return ExternalPotential(*(None if x is None else x.detach() for x in (values, gradient, hessian)))  # type: ignore[arg-type]


def _gradient(values: Tensor, points: Tensor, *, graph: bool) -> Tensor:
    """Differentiate values ``(points,)`` that depend on one point each."""
    (gradient,) = torch.autograd.grad(values.sum(), points, create_graph=graph, retain_graph=True)
    return gradient
