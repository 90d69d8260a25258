"""The loop: Lightning Fabric underneath (devices, distribution), everything that must survive a kill in Progress."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from farfield.data.frame import Frame, Labels, collate
from farfield.errors import ConvergenceError, InputError
from farfield.model import Model, save
from farfield.quantities import QUANTITIES
from farfield.system import System
from farfield.train.batches import Batches, on_device
from farfield.train.checkpoint import Progress, read_checkpoint, write_checkpoint
from farfield.train.config import TrainConfig
from farfield.train.loss import TrainingStep, weighed
from farfield.train.optimizer import MuonWithAdam
from farfield.train.parts import PartTerms
from farfield.train.record import board, write_log
from farfield.train.schedule import extend, out_of_patience, scheduled

OnEpoch = Callable[[Progress], None]
MODEL = "model.pt"
COLUMNS = {name: f"valid_{name}_rmse" for name in QUANTITIES}
"""Root mean square errors in ``log.csv``, in thousandths: of eV/atom, eV/Å, eV/Å³, e, e·Å, e/Å², e, e²·Å²/V."""


@dataclass(frozen=True)
class Material:
    """Model and frames of a fit: already in the model's type, with neighbours attached."""

    model: Model
    train: list[Frame]
    valid: list[Frame]
    force_scale: float  # eV/Å


def fabric_for(config: TrainConfig) -> Fabric:
    """Devices and processes as configured."""
    strategy: Any = "auto"
    if config.devices > 1:
        from lightning_fabric.strategies import DDPStrategy

        # a force-only loss leaves the last biases without a gradient, and DDP would wait for them for ever
        strategy = DDPStrategy(find_unused_parameters=True)
    accelerator, _, index = config.device.partition(":")
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise InputError(f"train.device is {config.device!r}, but PyTorch sees no GPU here: use cpu or auto")
    return Fabric(accelerator=accelerator, devices=[int(index)] if index else config.devices, strategy=strategy)


def fit(material: Material, config: TrainConfig, folder: Path, *, fabric: Fabric, on_epoch: OnEpoch) -> Progress:
    """Train until the epochs are done or patience ends; ``folder/model.pt`` is the best so far at any moment.

    Called again with the same folder it goes on where it stopped, to the bit, even inside an epoch; a run that had
    ended goes on where ``config.epochs`` has grown.

    Raises:
        ConvergenceError: the loss is no longer finite.
    """
    run = _Run(material, config, folder, fabric)
    progress = run.resumed()
    on_epoch(progress)
    while not progress.finished:
        run.epoch(progress)
        progress.finished = progress.epoch >= config.epochs or out_of_patience(progress, config)
        run.checkpoint(progress, force=progress.finished)
        on_epoch(progress)
    fabric.barrier()  # nobody reads model.pt before rank 0 has written it
    return progress


class _Run:
    """The moving parts of one training."""

    def __init__(self, material: Material, config: TrainConfig, folder: Path, fabric: Fabric) -> None:
        self.config, self.folder, self.fabric = config, folder, fabric
        self.valid, self.force_scale = material.valid, material.force_scale
        model = material.model
        parts = PartTerms.of(config.parts, material.train, material.force_scale)
        weights = weighed(config.weights, material.train)
        step = TrainingStep(model, weights, material.force_scale, config.huber, parts)
        self.optimizer: torch.optim.Optimizer = MuonWithAdam(step, config.learning_rate, decay=config.weight_decay)
        self.batches = Batches(
            material.train, config.batch_size, seed=config.seed, rank=fabric.global_rank, ranks=fabric.world_size
        )
        self.progress = Progress()
        self.schedule = scheduled(self.optimizer, config, len(self.batches), self.progress)
        self.average = AveragedModel(step, multi_avg_fn=_running_average(config.ema))
        self.parts = {
            "step": step, "average": self.average, "optimizer": self.optimizer, "schedule": self.schedule,
        }  # fmt: skip
        self.step: Any
        self.step, self.optimizer = fabric.setup(step, self.optimizer)
        self.learned = [weight for weight in step.parameters() if weight.requires_grad]
        self.average.to(fabric.device)
        self.saved = time.monotonic()
        self.board = board(folder) if config.tensorboard and fabric.is_global_zero else None

    def resumed(self) -> Progress:
        """Put everything back as the checkpoint has it, if there is one."""
        vars(self.progress).update(vars(read_checkpoint(self.folder, self.parts) or Progress()))
        extend(self.progress, self.config)
        return self.progress

    def epoch(self, progress: Progress) -> None:
        """Finish the epoch under way, validate, keep the best."""
        started = time.monotonic()
        self.step.train()
        for system, labels in self.batches.epoch(progress.epoch, self.fabric.device, start=progress.batch):
            progress.loss_sum += self._step(system, labels, progress)
            progress.batch += 1
            if time.monotonic() - self.saved > self.config.checkpoint_seconds and progress.batch < len(self.batches):
                progress.seconds += time.monotonic() - started
                started = time.monotonic()
                self.checkpoint(progress, force=True)
        train_loss = progress.loss_sum / len(self.batches)
        progress.epoch, progress.batch, progress.loss_sum = progress.epoch + 1, 0, 0.0
        row = self._validate()
        progress.seconds += time.monotonic() - started
        self._record(progress, {"train_loss": train_loss, **row})

    def _step(self, system: System, labels: Labels, progress: Progress) -> float:
        self.optimizer.zero_grad()
        loss, _ = self.step(system, labels)
        self.fabric.backward(loss, inputs=self.learned)  # nobody asks how the loss depends on where atoms are
        length = torch.nn.utils.clip_grad_norm_(self.step.parameters(), self.config.clip)
        if not torch.isfinite(loss + length):
            raise ConvergenceError(
                f"the loss became {loss.item():g} and its gradient {length.item():g} in epoch {progress.epoch + 1}: "
                f"lower train.learning_rate ({self.config.learning_rate:g}) or train.clip ({self.config.clip:g}). "
                "The best model so far is kept"
            )
        self.optimizer.step()
        if self.config.schedule in ("cosine", "inverse_sqrt"):
            self.schedule.step()
        self.average.update_parameters(getattr(self.step, "module", self.step))
        return float(loss.detach())

    def _validate(self) -> dict[str, float]:
        """Loss and root mean square errors of the averaged weights on the validation frames."""
        averaged: TrainingStep = self.average.module  # type: ignore[assignment]
        averaged.eval()
        sums: dict[str, Tensor] = {}
        for start in range(0, len(self.valid), self.config.batch_size):
            system, labels = on_device(*collate(self.valid[start : start + self.config.batch_size]), self.fabric.device)
            for name, total in averaged(system, labels)[1].items():
                sums[name] = sums.get(name, 0.0) + total.double()
        roots = {name: math.sqrt(t[0] / t[2]) for name, t in sums.items() if name in COLUMNS and t[2] > 0}
        loss = float(averaged.loss(sums, averaged.targets(self.valid[0].labels)))
        return {"valid_loss": loss} | {COLUMNS[name]: 1e3 * root for name, root in roots.items()}

    def _record(self, progress: Progress, row: dict[str, float]) -> None:
        rate = self.optimizer.param_groups[0]["lr"]
        if self.board is not None:
            for name, value in {"learning_rate": rate, **row}.items():
                self.board.add_scalar(name, value, progress.epoch)
        progress.history.append({"epoch": progress.epoch, "seconds": progress.seconds, "learning_rate": rate, **row})
        if self.config.schedule == "plateau":
            self.schedule.step(row["valid_loss"])
        if row["valid_loss"] < progress.best_loss:
            progress.best_loss, progress.best_epoch = row["valid_loss"], progress.epoch
            if self.fabric.is_global_zero:
                self._save_best(progress)

    def _save_best(self, progress: Progress) -> None:
        model: Model = self.average.module.model  # type: ignore[assignment]
        model.training_summary = {
            **model.training_summary, "epoch": progress.epoch, "valid_loss": progress.best_loss,
            "seconds": progress.seconds,
        }  # fmt: skip
        save(model, self.folder / MODEL)

    def checkpoint(self, progress: Progress, *, force: bool = False) -> None:
        """Write log and checkpoint if it is time."""
        due = time.monotonic() - self.saved > min(5.0, self.config.checkpoint_seconds)
        if (force or due) and self.fabric.is_global_zero:
            write_checkpoint(self.folder, progress, self.parts)
            write_log(self.folder, progress.history)
            self.saved = time.monotonic()


def _running_average(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """Exponential average whose memory grows from nothing, so that a short run is not judged by where it started."""

    def update(average: Sequence[Tensor], now: Sequence[Tensor], count: Tensor | int) -> None:
        weight = 1 - min(decay, (1 + float(count)) / (10 + float(count)))
        for old, new in zip(average, now):
            old.lerp_(new, weight)

    return update
