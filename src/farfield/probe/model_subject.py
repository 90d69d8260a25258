"""A farfield model on trial."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ase
import torch
from torch import Tensor

from farfield.errors import InputError
from farfield.evaluation.run import Predicts
from farfield.model import Model, contents, from_contents
from farfield.prediction import Prediction
from farfield.probe.subject import Floats, Refused, Seen
from farfield.system import System, concatenate

BATCH = 1500
"""Atoms predicted at once."""

FIELD = "external_field"


@dataclass(frozen=True, eq=False)
class ModelSubject:
    """Judged in float64, whatever it was trained in: a law is about the function, not about its rounding.

    ``model`` is anything that predicts a batch; ``ModelSubject.of`` takes what training wrote.
    """

    model: Predicts
    name: str
    reach: float  # Å
    cutoff: float  # Å
    batches: bool = True
    takes_charge: bool = True

    @classmethod
    def of(cls, model: Model, name: str = "") -> "ModelSubject":
        """A copy of a farfield model."""
        backbone = model.config.backbone
        judged = from_contents(contents(model)).eval()
        name = name or model.config.paradigm.kind
        return cls(judged, name, reach=backbone.cutoff * backbone.layers, cutoff=backbone.cutoff)

    @property
    def species(self) -> tuple[int, ...]:
        """Atomic numbers it knows."""
        return self.model.species

    @property
    def gives(self) -> frozenset[str]:
        """Name the quantities it can be asked for."""
        return self.model.gives

    @property
    def takes_field(self) -> bool:
        """Tell whether a field acts on it."""
        taken: frozenset[str] = getattr(getattr(self.model, "paradigm", None), "takes", frozenset())
        return FIELD in taken

    def total_charge(self, numbers: Sequence[int]) -> float:
        """0, or the sum of formal charges where the paradigm has no other."""
        if not isinstance(self.model, Model):
            return 0.0
        return self.model.paradigm.only_charge(torch.tensor(list(numbers))) or 0.0

    def __call__(self, frames: Sequence[ase.Atoms], want: frozenset[str]) -> list[Seen]:
        """Predict in batches.

        Raises:
            Refused: an element, a total charge or a periodicity that the model does not take.
        """
        out: list[Seen] = []
        for some in _batches(frames):
            try:
                system = concatenate([_system(frame) for frame in some])
                out += _seen(self.model(system, want=want), system)
            except InputError as failure:
                raise Refused(str(failure)) from failure
        return out


def _batches(frames: Sequence[ase.Atoms]) -> Iterator[list[ase.Atoms]]:
    some: list[ase.Atoms] = []
    for frame in frames:
        if some and sum(map(len, some)) + len(frame) > BATCH:
            yield some
            some = []
        some.append(frame)
    if some:
        yield some


def _system(frame: ase.Atoms) -> System:
    if frame.info.get(FIELD) is None:
        return System.from_ase(frame)
    alone = frame.copy()
    field: dict[str, Any] = {FIELD: torch.as_tensor(alone.info.pop(FIELD), dtype=torch.float64).reshape(1, 3)}
    return replace(System.from_ase(alone), **field)


def _seen(prediction: Prediction, system: System) -> list[Seen]:
    per_atom = {name: _values(prediction, name) for name in ("forces", "charges", "born_charges")}
    per_frame = {name: _values(prediction, name) for name in ("stress", "dipole", "polarizability")}
    energy = prediction.energy.detach().double().cpu().numpy()
    ends = torch.cumsum(system.atoms_per_system, 0).tolist()
    out = []
    for k, (start, end) in enumerate(zip([0, *ends], ends)):
        rows: dict[str, Floats | None] = {n: None if v is None else v[start:end] for n, v in per_atom.items()}
        rows |= {n: None if v is None else v[k] for n, v in per_frame.items()}
        out.append(Seen(energy=float(energy[k]), **rows))
    return out


def _values(prediction: Prediction, name: str) -> Floats | None:
    found: Tensor | None = getattr(prediction, name, None)
    return None if found is None else found.detach().double().cpu().numpy()
