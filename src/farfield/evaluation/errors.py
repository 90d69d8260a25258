"""Tables of errors, by target and group, in units that people quote."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from farfield.evaluation.record import Evaluation, Floats, Integers
from farfield.quantities import PER_ATOM, QUANTITIES


@dataclass(frozen=True)
class Measure:
    """One way to put a number on an error."""

    name: str
    target: str  # key of Evaluation.compared
    label: str
    unit: str
    scale: float  # quoted units in one internal unit (eV, Å, e)
    per_atom: bool = False  # divide by the number of atoms of the frame


MEASURES = (
    Measure("energy_per_atom", "energy", "Energy per atom", "meV/atom", 1e3, per_atom=True),
    *(Measure(q.name, q.name, q.label, q.quoted, q.scale) for q in QUANTITIES.values()),
    Measure("binding", "binding", "Binding energy", "meV", 1e3),
)
"""Vectors and tensors are measured by component."""


@dataclass(frozen=True)
class ErrorRow:
    """Errors of one measure over one group of frames."""

    measure: str  # Measure.name
    label: str
    unit: str
    group: str | None  # None: every frame
    count: int  # labelled numbers: components of vectors count one by one
    mae: float  # in ``unit``, as are the next two
    rmse: float
    max: float

    @classmethod
    def of(cls, measure: Measure, difference: Floats, group: str | None = None) -> "ErrorRow | None":
        """Errors from predicted less reference, in the measure's unit; None where there are none."""
        if not len(difference):
            return None
        size = np.abs(difference)
        mean, rmse, largest = float(size.mean()), float(np.sqrt(np.mean(difference**2))), float(size.max())
        return cls(measure.name, measure.label, measure.unit, group, len(size), mean, rmse, largest)


def errors(evaluation: Evaluation) -> list[ErrorRow]:
    """Errors of every labelled target: over all frames, then over each group (where there are several).

    Rows without a label are left out; a prediction that is not finite beside a label makes its errors nan, for a
    broken model must not look good.
    """
    out = []
    for measure in MEASURES:
        difference, frame = differences(evaluation, measure)
        out.append(ErrorRow.of(measure, difference))
        if len(np.unique(evaluation.group)) > 1:
            group = evaluation.group[frame]
            out += [ErrorRow.of(measure, difference[group == name], str(name)) for name in np.unique(group)]
    return [row for row in out if row is not None]


def differences(evaluation: Evaluation, measure: Measure) -> tuple[Floats, Integers]:
    """Predicted less reference of every labelled number, in the measure's unit, and the frame each belongs to."""
    both = evaluation.compared.get(measure.target)
    if both is None:
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    frame = _frame_of_rows(evaluation, measure.target)
    scale = measure.scale / evaluation.n_atoms[frame] if measure.per_atom else np.full(len(frame), measure.scale)
    components = int(np.prod(both.reference.shape[1:]))
    reference, predicted = both.reference.reshape(-1, components), both.predicted.reshape(-1, components)
    labelled = np.isfinite(reference)
    return ((predicted - reference) * scale[:, None])[labelled], np.repeat(frame[:, None], components, 1)[labelled]


def _frame_of_rows(evaluation: Evaluation, target: str) -> Integers:
    if target in PER_ATOM:
        return evaluation.frame
    per_point = target in QUANTITIES and QUANTITIES[target].per_point
    return evaluation.point_frame if per_point else np.arange(evaluation.n_frames)


def table(rows: Sequence[ErrorRow], *, title: str | None = None) -> Table:
    """Rows of ``errors`` for the terminal."""
    out = Table(title=title, header_style="bold", title_style="bold", title_justify="left")
    out.add_column("target")
    if grouped := any(row.group is not None for row in rows):
        out.add_column("group")
    for name in ("count", "MAE", "RMSE", "max"):
        out.add_column(name, justify="right")
    out.add_column("unit")
    for k, row in enumerate(rows):
        first = k == 0 or rows[k - 1].measure != row.measure
        names = [row.label if first else ""] + ([row.group or "all"] if grouped else [])
        numbers = [str(row.count), *(significant(value) for value in (row.mae, row.rmse, row.max))]
        if first and k:
            out.add_section()
        out.add_row(*names, *numbers, row.unit)
    return out


def significant(value: float) -> str:
    """Three significant digits, integers in full, without an exponent where a person would not use one."""
    if not np.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    if abs(value) < 1e-3 or abs(value) >= 1e6:
        return f"{value:.2e}"
    return f"{value:.{max(0, 2 - int(np.floor(np.log10(abs(float(f'{value:.3g}'))))))}f}"
