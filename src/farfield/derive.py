"""The only place where an energy becomes a force or a stress."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from farfield.prediction import Prediction
from farfield.system import System


def with_derivatives(
    predict: Callable[[System], Prediction], system: System, want: frozenset[str], *, create_graph: bool
) -> Prediction:
    """The prediction with its forces -dE/dR and its stress (1/V) dE/dε where ``want`` names them.

    Gradients flow on to ``system.positions`` if they require it. ``create_graph`` keeps forces and stress
    differentiable, as training on them needs. Stress is nan where a system is not periodic along three axes.
    """
    if not want & {"forces", "stress"}:
        return predict(system)
    with torch.enable_grad():
        positions = system.positions
        if not positions.requires_grad:
            positions = positions.detach().requires_grad_()
        moved, wrt = replace(system, positions=positions), [positions]
        if "stress" in want:
            strain = torch.zeros_like(system.cell).requires_grad_()
            moved, wrt = moved.strained(strain), [positions, strain]
        prediction = predict(moved)
        slopes = _slopes(prediction.energy, wrt, create_graph)
    forces = -slopes[0] if "forces" in want else None
    stress = _stress(slopes[1], system) if "stress" in want else None
    out = replace(prediction, forces=forces, stress=stress)
    return out if create_graph else _detached(out)


def _slopes(energy: Tensor, wrt: list[Tensor], create_graph: bool) -> list[Tensor]:
    if not energy.requires_grad:  # one atom alone: nothing depends on where it is
        return [torch.zeros_like(x) for x in wrt]
    found = torch.autograd.grad(energy.sum(), wrt, create_graph=create_graph, allow_unused=True)
    return [torch.zeros_like(x) if slope is None else slope for x, slope in zip(wrt, found)]


def _stress(slope: Tensor, system: System) -> Tensor:
    crystal = system.periodic.all(1)
    volume = torch.where(crystal, system.volume(), 1.0)  # not 0: its gradient would be nan even where nobody looks
    stress = 0.5 * (slope + slope.transpose(1, 2)) / volume[:, None, None]
    return torch.where(crystal[:, None, None], stress, torch.nan)


def _detached(prediction: Prediction) -> Prediction:
    return Prediction(**{k: v.detach() if isinstance(v, Tensor) else v for k, v in vars(prediction).items()})
