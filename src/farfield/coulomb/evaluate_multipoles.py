"""``evaluate`` where there are dipoles, quadrupoles or scaled pairs: the derivatives of the energy, by autograd."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from farfield.coulomb.evaluate import ROUNDING, Electrostatics, force_scale
from farfield.coulomb.plan.plan import Plan
from farfield.coulomb.scaling import PairScaling
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.terms.joined import Joined
from farfield.system import per_system


def evaluate_multipoles(
    placed: PlacedSources,
    plan: Plan | None,
    pairs: PairScaling | None,
    summed: Callable[[PlacedSources, Plan | None, PairScaling | None], tuple[Tensor, Joined]],
) -> Electrostatics:
    """Differentiate, and detach; ``summed`` gives the energy ``(systems, channels)`` in eV and its terms."""
    with torch.inference_mode(False), torch.enable_grad():
        fixed: PlacedSources = _ordinary(placed)
        system, like = fixed.system, fixed.charges
        dipoles = like.new_zeros(*like.shape, 3) if fixed.dipoles is None else fixed.dipoles
        strain = like.new_zeros(system.n_systems, 3, 3)
        variables = [x.clone().requires_grad_() for x in (like, dipoles, system.positions, strain)]
        moved = replace(system, positions=variables[2]).strained(variables[3])
        variable = replace(fixed, system=moved, charges=variables[0], dipoles=variables[1])
        kept: Plan | None = _ordinary(plan)
        if kept is not None and fixed.dipoles is None:  # those of the field are zero, and ask for nothing
            kept = replace(kept, rank=max(kept.rank, 1))
        energy, joined = summed(variable, kept, _ordinary(pairs))
        potential, grad_dipoles, grad_positions, virial = _gradient(energy, variables)
    real = torch.where(system.periodic.all(1), system.volume(), float("nan"))
    expected = force_scale(fixed) * joined.error().detach().unsqueeze(1)
    count = system.atoms_per_system.clamp_min(1).unsqueeze(1)
    strength = (per_system(grad_positions.square().sum(-1), system) / count).sqrt()
    return Electrostatics(
        energy=energy.detach(),
        potential=potential,
        field=-grad_dipoles,
        forces=-grad_positions,
        stress=virial / real[:, None, None, None],
        # steep forces round by their own size, however small the scale of dilute sources
        error_estimate=expected + ROUNDING * torch.finfo(real.dtype).eps * strength,
    )


def _gradient(energy: Tensor, variables: list[Tensor]) -> tuple[Tensor, ...]:
    """Derivatives of each channel by charges, dipoles, positions and strain; channels follow the first axis."""
    channels = energy.shape[1]
    found = [
        torch.autograd.grad(energy[:, c].sum(), variables, retain_graph=c + 1 < channels, materialize_grads=True)
        for c in range(channels)
    ]
    own = [torch.stack([gradient[k][:, c] for c, gradient in enumerate(found)], 1) for k in (0, 1)]
    return *own, *(torch.stack([gradient[k] for gradient in found], 1) for k in (2, 3))


def _ordinary(value: Any) -> Any:
    """Detached, and out of inference mode, whose tensors cannot be differentiated through."""
    if isinstance(value, Tensor):
        return value.detach().clone() if value.is_inference() else value.detach()
    if is_dataclass(value) and not isinstance(value, type):
        kept = {field.name: _ordinary(getattr(value, field.name)) for field in fields(value)}
        return replace(value, **kept)
    return value
