"""A law judged on the crystal and on the molecule, each for itself."""

from collections.abc import Callable, Sequence

import ase

from farfield.probe.finding import Check
from farfield.probe.stage import Stage
from farfield.probe.subject import Refused


def each_sample(
    stage: Stage,
    judge: Callable[[str, ase.Atoms], list[Check]],
    samples: Sequence[tuple[str, ase.Atoms]] | None = None,  # those of the stage
) -> tuple[tuple[Check, ...], str]:
    """Checks of those that the model takes, and what was left out, in sentences.

    Raises:
        Refused: it takes none.
    """
    checks: list[Check] = []
    refused: dict[str, Refused] = {}
    for word, atoms in stage.samples if samples is None else samples:
        try:
            checks += judge(word, atoms)
        except Refused as refusal:
            refused[word] = refusal
    if refused and not checks:
        raise next(iter(refused.values()))
    return tuple(checks), _left_out(refused)


def taken(stage: Stage) -> tuple[list[ase.Atoms], str]:
    """List the structures that the model takes, and what was left out, in sentences.

    Raises:
        Refused: it takes none.
    """
    frames: list[ase.Atoms] = []
    refused: dict[str, Refused] = {}
    for word, atoms in stage.samples:
        try:
            stage.see([atoms])
            frames.append(atoms)
        except Refused as refusal:
            refused[word] = refusal
    if not frames:
        raise next(iter(refused.values()))
    return frames, _left_out(refused)


def _left_out(refused: dict[str, Refused]) -> str:
    return " ".join(f"The {word} was left out: {str(refusal).rstrip('.')}." for word, refusal in refused.items())
