"""Checkpoint of a run: it goes on after a kill at any moment as if nothing had happened."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from farfield.atomic_write import write_atomically
from farfield.errors import InputError
from farfield.model import to_bytes

LAST = "last.ckpt"


@dataclass
class Progress:
    """Progress of a run."""

    epoch: int = 0  # epochs finished
    batch: int = 0  # batches finished of the epoch under way
    loss_sum: float = 0.0  # over those batches
    seconds: float = 0.0  # of training, over all sittings
    best_loss: float = float("inf")
    best_epoch: int = 0
    finished: bool = False
    began: int = 0  # epochs finished when the learning rate last began to rise
    history: list[dict[str, float]] = field(default_factory=list)  # a row an epoch


def write_checkpoint(folder: Path, progress: Progress, parts: dict[str, Any]) -> None:
    """Progress and the state of every part (weights, average, optimizer, schedule), all or nothing."""
    state = {name: part.state_dict() for name, part in parts.items()}
    write_atomically(folder / LAST, to_bytes({"progress": dict(vars(progress)), "state": state}))


def read_checkpoint(folder: Path, parts: dict[str, Any]) -> Progress | None:
    """Put every part back as it was; None where there is nothing to resume.

    Raises:
        InputError: the file is not a checkpoint of this run.
    """
    path = folder / LAST
    if not path.exists():
        return None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(found["state"][name])
        return Progress(**found["progress"])
    except Exception as broken:
        message = str(broken).splitlines()[0]
        raise InputError(f"{path} cannot be resumed ({message}): remove the run folder to start anew") from broken
