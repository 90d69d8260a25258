"""What training makes small: one dimensionless term per target, labels that are missing (nan) left out."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from farfield.data.frame import Labels
from farfield.model import Model
from farfield.prediction import Prediction
from farfield.system import System
from farfield.train.config import LossWeights


@dataclass(frozen=True)
class Misfit:
    """Errors of one target, and what makes them dimensionless."""

    error: Tensor  # (values,): energy eV/atom, forces eV/Å, stress eV/Å³, charges e, dipole e·Å
    factor: Tensor  # (values,)

    @property
    def total(self) -> Tensor:
        """Sum of squared errors and their number ``(2,)``, for root mean squares over many batches."""
        return torch.stack([self.error.detach().square().sum(), self.error.new_tensor(len(self.error))]).double()


def misfits(prediction: Prediction, labels: Labels, system: System, force_scale: float) -> dict[str, Misfit]:
    """Misfit of every labelled target the model gives; labels that are missing (nan) are left out.

    Energies count as ΔE/√N: if atoms err independently, each frame then says equally much about each of its atoms,
    whatever its size. Volume × stress and the dipole are extensive like the energy and count alike.
    """
    atoms = system.atoms_per_system.to(torch.float64)
    one = torch.ones_like(atoms)
    found = {}
    for target, divisor, factor in [
        ("energy", atoms, atoms.sqrt() / force_scale),
        ("forces", None, one[system.system_index, None] / force_scale),
        ("stress", None, (system.volume() / atoms.sqrt() / force_scale)[:, None, None]),
        ("charges", None, one[system.system_index]),
        ("dipole", None, (1 / atoms.sqrt())[:, None]),
    ]:
        predicted, label = getattr(prediction, target), getattr(labels, target)
        if predicted is None or label is None:
            continue
        known = torch.isfinite(label) & torch.isfinite(predicted.detach())
        error = (predicted - label)[known] if divisor is None else ((predicted - label) / divisor)[known]
        found[target] = Misfit(error, factor.expand(label.shape)[known])
    return found


class TrainingStep(nn.Module):
    """Model and loss in one forward, so that a distributed wrapper sees every parameter's use."""

    def __init__(self, model: Model, weights: LossWeights, force_scale: float, huber: float | None) -> None:
        super().__init__()
        self.model, self.weights, self.force_scale, self.huber = model, weights, force_scale, huber

    def targets(self, labels: Labels) -> frozenset[str]:
        """What training looks at: labelled, given by the model, read by its paradigm, and of some weight."""
        paradigm = self.model.paradigm
        readable = {"energy", "forces", "stress"} | paradigm.reads
        weighty = {name for name, weight in vars(self.weights).items() if weight > 0}
        return frozenset(labels.targets & readable & paradigm.gives & weighty)

    def forward(self, system: System, labels: Labels) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and for each target (sum of squared errors, number of values)."""
        targets = self.targets(labels)
        prediction = self.model(system, targets | {"energy"})
        found = misfits(prediction, labels, system, self.force_scale)
        loss = torch.zeros((), dtype=torch.float64, device=system.positions.device)
        for target in sorted(targets):
            if len(misfit := found[target].error):
                loss = loss + getattr(self.weights, target) * self._size(misfit * found[target].factor).mean()
        penalty = self.model.paradigm.penalty(prediction)
        if penalty is not None:
            loss = loss + penalty
        return loss, {name: misfit.total for name, misfit in found.items()}

    def _size(self, error: Tensor) -> Tensor:
        if self.huber is None:
            return error.square()
        # twice torch's, so that it is the square near zero
        return 2 * nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=self.huber)
