"""The learning rate from step to step, in a run that may be given more epochs once it has ended."""

import math
from typing import Any

import torch

from farfield.train.checkpoint import Progress
from farfield.train.config import TrainConfig

WARMUP_STEPS, HIGH_STEPS = 20, 300
"""Of the ``inverse_sqrt`` schedule: steps of rising, and steps after which the learning rate has fallen by 1/√2."""

STILL_FALLING = 0.1
"""Part by which the best validation loss has fallen over the last fifth of the epochs of a run that ended too early."""


def scheduled(optimizer: torch.optim.Optimizer, config: TrainConfig, steps: int, progress: Progress) -> Any:
    """Make the schedule, of so many ``steps`` an epoch; ``progress`` says in which epoch its cosine began."""
    if config.schedule == "plateau":
        return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=20)

    def factor(step: int) -> float:
        if config.schedule == "constant":
            return 1.0
        if config.schedule == "inverse_sqrt":
            return min(1.0, (step + 1) / WARMUP_STEPS) / math.sqrt(1 + step / HIGH_STEPS)
        total = (config.epochs - progress.began) * steps
        since = step - progress.began * steps
        falling = 0.5 * (1 + math.cos(math.pi * min(1.0, since / total)))
        return min(1.0, (since + 1) / max(1.0, config.warmup * total)) * falling

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def extend(progress: Progress, config: TrainConfig) -> None:
    """Let a run that has ended go on where its configuration now asks for more epochs; its cosine rises once more."""
    if progress.finished and progress.epoch < config.epochs and not out_of_patience(progress, config):
        progress.finished, progress.began = False, progress.epoch


def out_of_patience(progress: Progress, config: TrainConfig) -> bool:
    """Tell whether validation has got no better for as many epochs as ``patience`` allows."""
    return config.patience is not None and progress.epoch - max(progress.best_epoch, progress.began) >= config.patience


def still_falling(history: list[dict[str, float]]) -> str | None:
    """Say that a run ended while its validation loss was falling, and what to type; None where it was not.

    Judged over the last fifth of the epochs; runs of less than ten tell nothing.
    """
    losses = [row["valid_loss"] for row in history]
    early = int(0.8 * len(losses))
    if len(losses) < 10 or not math.isfinite(losses[-1]):
        return None
    fallen = 1 - min(losses) / min(losses[:early])
    if not fallen > STILL_FALLING:
        return None
    return (
        f"The validation loss fell by {100 * fallen:.0f} % over the last fifth of the epochs: this run would learn "
        f"more. Go on with the same command and --train.epochs {2 * len(losses)}."
    )
