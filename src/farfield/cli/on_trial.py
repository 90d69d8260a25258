"""Subjects and structures that the laws of physics judge, as the command line names them."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ase
from ase.data import atomic_numbers

from farfield.cli.conditions import overlooked_in, take_conditions
from farfield.data.files import load_structures
from farfield.deploy.conditions import unread_spins
from farfield.errors import InputError
from farfield.model import Model, load
from farfield.notices import Notice
from farfield.probe import CalculatorSubject, ModelSubject, Subject
from farfield.probe.calculator_subject import REACH
from farfield.probe.stage import LARGEST, is_crystal, is_molecule
from farfield.reference.engines import calculator_named


def structures_to_judge_on(path: Path | None) -> list[ase.Atoms]:
    """The user's, if any can be judged on."""
    frames = load_structures(path) if path else []
    if frames and not any(is_crystal(frame) or is_molecule(frame) for frame in frames):
        raise InputError(f"{path} holds neither a crystal nor a molecule of {LARGEST} atoms or fewer to judge on")
    return frames


def subject_of(args: argparse.Namespace, structures: list[ase.Atoms]) -> tuple[Subject, dict[str, Any]]:
    """Load the model or calculator to be judged, and the keys of the data it was trained on."""
    if args.model is not None:
        model = load(args.model)
        return ModelSubject.of(model), model.training_summary.get("keys", {})
    engine = calculator_named(args.ase)
    species = _elements(args.elements, structures)
    engine.check(frozenset())
    reach = args.reach or REACH
    if not 0 < reach < float("inf"):
        raise InputError(f"--reach is a length in Å, not {reach}")
    return CalculatorSubject(engine.build(), engine.calculator, species, reach=reach, cutoff=reach), {}


def take_conditions_of(subject: Subject, frames: Sequence[ase.Atoms], keys: dict[str, Any]) -> Iterator[Notice]:
    """Give frames their conditions from where training had them; say what of them nobody reads."""
    for frame in frames:
        take_conditions(frame, keys)
    yield from (Notice("warning", said) for said in dict.fromkeys(s for f in frames for s in overlooked_in(f, keys)))
    if isinstance(subject, ModelSubject) and isinstance(subject.model, Model):
        yield from (Notice("warning", said) for said in filter(None, [unread_spins(subject.model, frames)]))


def _elements(words: str | None, structures: list[ase.Atoms]) -> tuple[int, ...]:
    if words is None:
        found = tuple(sorted({int(z) for frame in structures for z in frame.numbers}))
        if not found:
            raise InputError("say what the calculator knows: --elements Na,Cl, or --structure FILE")
        return found
    symbols = [word.strip() for word in words.split(",")]
    if strange := [symbol for symbol in symbols if symbol not in atomic_numbers]:
        raise InputError(f"--elements: {', '.join(strange)} is no element; write symbols, e.g. Na,Cl")
    return tuple(sorted(atomic_numbers[symbol] for symbol in symbols))
