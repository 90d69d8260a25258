"""Notices of parts that nothing joins: which charges are asked of them, and which a trained model gives them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from ase.symbols import Symbols

from farfield.data.apart.parts import with_parts_apart
from farfield.data.frame import Frame
from farfield.data.splits import Splits
from farfield.evaluation import Evaluation
from farfield.notices import Notice

SHOWN = 12
"""Kinds of parts that are named; more are only counted."""

Kind = tuple[str, float]
"""Formula and the charge that a part should carry, e."""


def in_parts(splits: Splits) -> Splits:
    """Find the parts of all frames, and say what of them is known."""
    train, wrong = with_parts_apart(splits.train)
    others = {name: with_parts_apart(frames)[0] for name, frames in splits.named().items() if name != "train"}
    notices = (*splits.notices, *_notices(train, wrong))
    return replace(splits, train=train, notices=notices, **others)


def _notices(frames: Sequence[Frame], wrong: Sequence[str]) -> Iterator[Notice]:
    kinds = list(dict.fromkeys(kind for frame in frames for kind in _kinds(frame)))
    if kinds:
        count = sum(frame.apart is not None for frame in frames)
        yield Notice(
            "note",
            f"parts that nothing joins, in {count} of {len(frames)} training frames, carry "
            f"{_listed([f'{formula} {_signed(charge)}' for formula, charge in sorted(kinds)])}",
        )
    if wrong:
        more = f" (and {len(wrong) - 1} frames more)" if len(wrong) > 1 else ""
        yield Notice(
            "warning",
            f"{wrong[0]}{more}: their charges are not asked of the model. Are the file's in another order, or its "
            "shells open (spin: KEY)?",
        )


def learned_charges(splits: Splits, evaluations: Mapping[str, Evaluation]) -> list[str]:
    """Tell what a model that has charges gives every kind of part, at worst over all frames."""
    found: dict[Kind, list[float]] = {}
    for name, evaluation in evaluations.items():
        if "charges" not in evaluation.compared:
            return []
        ends = np.cumsum(evaluation.n_atoms)[:-1]
        charges = np.split(evaluation.compared["charges"].predicted, ends)
        for frame, mine in zip(splits.named()[name], charges):
            for k, kind in enumerate(_kinds(frame)):
                found.setdefault(kind, []).append(float(mine[_index(frame) == k].sum()))
    worst = {kind: max(sums, key=lambda q: abs(q - kind[1])) for kind, sums in found.items()}
    if not worst:
        return []
    parts = [f"{formula} {worst[formula, want]:+.3f} (want {_signed(want)})" for formula, want in sorted(worst)]
    return [f"charges of parts that nothing joins, at worst: {_listed(parts)}"]


def _kinds(frame: Frame) -> list[Kind]:
    """List formula and charge of every part of a frame, in order; none where nothing is known of them."""
    if frame.apart is None:
        return []
    numbers, index = frame.system.numbers.numpy(), _index(frame)
    formulas = [str(Symbols(numbers[index == k]).get_chemical_formula()) for k in range(len(frame.apart.charges))]
    return list(zip(formulas, frame.apart.charges.tolist()))


def _index(frame: Frame) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    assert frame.apart is not None
    found: np.ndarray[tuple[int], np.dtype[np.int64]] = frame.apart.index.numpy()
    return found


def _listed(items: Sequence[str]) -> str:
    more = [f"{len(items) - SHOWN} kinds more"] if len(items) > SHOWN else []
    return ", ".join([*items[:SHOWN], *more])


def _signed(charge: float) -> str:
    return f"{charge:+g}" if charge else "0"
