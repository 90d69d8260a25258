"""Loss that training makes small: one dimensionless term per target, labels that are missing (nan) left out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from farfield.data.frame import Frame, Labels
from farfield.field import nearest_branch
from farfield.model import Model
from farfield.prediction import Prediction
from farfield.quantities import QUANTITIES, Quantity
from farfield.system import System
from farfield.train.config import LossWeights
from farfield.train.parts import PartTerms


@dataclass(frozen=True)
class Misfit:
    """Errors of one target, and what makes them dimensionless."""

    error: Tensor  # (values,): energy in eV/atom, the others in the units of ``Labels``
    factor: Tensor  # (values,)


def misfits(prediction: Prediction, labels: Labels, system: System, force_scale: float) -> dict[str, Misfit]:
    """Misfit of every labelled target the model gives; labels that are missing (nan) are left out.

    So are stress and polarization of what is not a crystal, the dipole of what is not a molecule, its polarizability if
    the model gives none. Polarizations are compared on the branch nearest to the label's. A prediction that is
    not finite stays: its loss is not finite either, and nobody takes it for a good one.

    Energies and volume × stress count per atom. Per √atom would weigh the errors of independent atoms alike in small
    and large structures, but every step shifts the energies of all atoms together: the gradient of N equal errors
    would drown what the forces say. Dipoles, whose atoms cancel, count per √atom, volume × polarization likewise.
    """
    found = {}
    for name, quantity in QUANTITIES.items():
        predicted, label = getattr(prediction, name), getattr(labels, name)
        if predicted is None or label is None:
            continue
        if name == "polarization":
            predicted = nearest_branch(predicted, label, system)
        error, factor = predicted - label, _factor(quantity, system, force_scale)
        if name == "energy":
            error, factor = error / system.atoms_per_system, factor * system.atoms_per_system
        known = torch.isfinite(label) & _defined(quantity, system, predicted)
        shaped = factor.reshape(-1, *[1] * (label.ndim - 1))
        found[name] = Misfit(error[known], shaped.expand(label.shape)[known])
    return found


def _factor(quantity: Quantity, system: System, force_scale: float) -> Tensor:
    """Find the factor of errors, a number a row: volume / atoms^power / scale of the forces, so far as asked."""
    factor = system.atoms_per_system.to(torch.float64) ** -quantity.atoms_power
    if quantity.by_volume:
        factor = system.volume() * factor
    if quantity.by_forces:
        factor = factor / force_scale
    if quantity.per_point:
        points = system.potential_points
        return factor[:0] if points is None else factor[points.system_index]
    return factor[system.system_index] if quantity.per_atom else factor


def _defined(quantity: Quantity, system: System, predicted: Tensor) -> Tensor:
    """Mark where a target means anything, in the shape of what is predicted; polarizabilities of cells where given."""
    if quantity.defined_on == "everywhere":
        return torch.ones_like(predicted, dtype=torch.bool)
    crystals = quantity.defined_on == "crystals"
    known = system.periodic.all(1) if crystals else ~system.periodic.any(1)
    known = known.reshape(-1, *[1] * (predicted.ndim - 1)).expand(predicted.shape)
    return known | ~predicted.isnan() if quantity.name == "polarizability" else known


def weighed(weights: LossWeights, frames: Sequence[Frame]) -> LossWeights:
    """``weights`` with those left open filled in: one over the variance of the labels, counted as the loss does."""
    left_open = [name for name, weight in vars(weights).items() if weight is None]
    missing = {name: _spread(frames, QUANTITIES[name]) ** -2 for name in left_open}
    return replace(weights, **missing)


def _spread(frames: Sequence[Frame], quantity: Quantity) -> float:
    """Standard deviation of a label's components as the loss counts them; their size where all are alike, 1 if none."""
    labels = [(getattr(frame.labels, quantity.name), _factor(quantity, frame.system, 1.0)) for frame in frames]
    known = [(label, factor) for label, factor in labels if label is not None and len(label)]
    rows = [label.double().reshape(len(label), -1) * factor[:, None] for label, factor in known]
    values = torch.cat(rows or [torch.zeros(0, 1, dtype=torch.float64)])
    values = values[values.isfinite().all(1)]
    if not len(values):
        return 1.0
    deviation, size = (float(x.square().mean().sqrt()) for x in (values - values.mean(0), values))
    return deviation if deviation > 1e-3 * size else size or 1.0


class TrainingStep(nn.Module):
    """Model and loss in one forward, so that a distributed wrapper sees every parameter's use."""

    def __init__(
        self,
        model: Model,
        weights: LossWeights,
        force_scale: float,
        huber: float | None,
        parts: PartTerms | None = None,
    ) -> None:
        super().__init__()
        self.model, self.weights, self.force_scale, self.huber, self.parts = model, weights, force_scale, huber, parts

    def targets(self, labels: Labels) -> frozenset[str]:
        """Name what training looks at: labelled, given by the model, used by its paradigm, and of some weight."""
        paradigm = self.model.paradigm
        usable = {"energy", "forces", "stress"} | paradigm.trained_on
        weighty = {name for name, weight in vars(self.weights).items() if weight is None or weight > 0}
        return frozenset(labels.targets & usable & paradigm.gives & weighty)

    def forward(self, system: System, labels: Labels) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and the ``totals`` of each target (and of parts, and of the paradigm's own penalty)."""
        targets = self.targets(labels)
        prediction = self.model(system, targets | {"energy"})
        found = misfits(prediction, labels, system, self.force_scale)
        totals = {name: self._totals(misfit) for name, misfit in found.items()}
        if self.parts is not None:
            for name, error in self.parts.errors(prediction, labels, system).items():
                totals[name] = self._totals(Misfit(error, torch.ones_like(error)))
        penalty = self.model.paradigm.penalty(prediction, system)
        if penalty is not None:
            totals["penalty"] = torch.stack([penalty.detach(), penalty, torch.ones_like(penalty)]) * system.n_systems
        return self.loss(totals, targets), {name: total.detach() for name, total in totals.items()}

    def loss(self, totals: dict[str, Tensor], targets: frozenset[str]) -> Tensor:
        """Weighted mean over all values that ``totals`` were added up from, of one batch or of many."""
        of_parts = {} if self.parts is None else self.parts.weights
        weights = {"penalty": 1.0} | of_parts | {target: self._weight(target) for target in targets}
        terms = [weights[name] * t[1] / t[2].clamp_min(1) for name, t in sorted(totals.items()) if name in weights]
        return torch.stack([term.double() for term in terms]).sum()

    def _weight(self, target: str) -> float:
        weight = getattr(self.weights, target)
        return 1.0 if weight is None else float(weight)

    def _totals(self, misfit: Misfit) -> Tensor:
        """(sum of squared errors, sum of what the loss makes of them, number of values) ``(3,)``."""
        sized = self._size(misfit.error * misfit.factor).sum()
        return torch.stack([misfit.error.detach().square().sum(), sized, sized.new_tensor(len(misfit.error))])

    def _size(self, error: Tensor) -> Tensor:
        if self.huber is None:
            return error.square()
        # twice torch's, so that it is the square near zero
        return 2 * nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=self.huber)
