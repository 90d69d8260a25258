"""The potential of charges that are no atoms, at the atoms: what an MM region does to a model.

With V the potential of the external charges, averaged over the Gaussian of an atom, and ∇V its gradient there, charges
and dipoles get Σ q V + μ·∇V. Whatever answers to a potential answers to this one; forces on the external charges are
slopes of the same energy.
"""

import torch
from torch import Tensor

from farfield.coulomb import Coulomb, Sources
from farfield.system import System, per_system


def external_potential(system: System, coulomb: Coulomb, widths: Tensor | float | None) -> Tensor | None:
    """Evaluate V at Gaussians of these ``widths`` (Å) on atoms, ``(atoms,)`` in V; None without external charges."""
    charges = system.external_charges
    if charges is None:
        return None
    sources = Sources(charges.positions, charges.system_index, charges=charges.charges, widths=charges.widths)
    return coulomb.potential_at(system, sources, system.positions, system.system_index, point_widths=widths)


def external_potential_and_gradient(
    system: System, coulomb: Coulomb, widths: Tensor | float | None
) -> tuple[Tensor, Tensor] | None:
    """Evaluate V ``(atoms,)``, V, and ∇V ``(atoms, 3)``, V/Å; both differentiable; None without external charges."""
    if system.external_charges is None:
        return None
    with_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # a node of its own: widths that depend on the positions are not moved along
        points = system.positions.view_as(system.positions) if with_graph else system.positions.detach()
        points.requires_grad_(True)
        potential = external_potential(system.with_positions(points), coulomb, widths)
        assert potential is not None
        (gradient,) = torch.autograd.grad(potential.sum(), points, create_graph=with_graph, retain_graph=True)
    return (potential, gradient) if with_graph else (potential.detach(), gradient)


def energy_in_external_charges(charges: Tensor, potential: Tensor | None, system: System) -> Tensor:
    """Σ q V ``(systems,)`` in eV of charges ``(atoms,)`` in e; 0 without external charges."""
    energy = charges.new_zeros(system.n_systems) if potential is None else per_system(charges * potential, system)
    return torch.as_tensor(energy)
