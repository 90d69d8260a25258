"""One run from configuration to report: read, check, prepare, fit, judge, show."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from farfield.atomic_write import write_atomically
from farfield.config import to_plain
from farfield.data.frame import Frame
from farfield.data.read import Splits, load_splits
from farfield.data.statistics import Statistics, fit_statistics
from farfield.evaluation import Evaluation, evaluate
from farfield.model import Model, build, load
from farfield.report import RunResult, write_report
from farfield.system import System, concatenate
from farfield.train.batches import prepared
from farfield.train.checkpoint import Progress
from farfield.train.config import RunConfig
from farfield.train.fit import MODEL, Material, fabric_for, fit
from farfield.train.record import claim_folder
from farfield.versions import versions

REPORT = "report.html"
OnProgress = Callable[[str, int, int, dict[str, float]], None]
"""Stage, done, total, latest numbers."""


@dataclass(frozen=True)
class Prepared:
    """Everything that can go wrong before the first epoch has been tried."""

    config: RunConfig
    splits: Splits
    statistics: Statistics
    model: Model


def prepare(config: RunConfig, splits: Splits | None = None) -> Prepared:
    """Read and check the data, fit its statistics, build the model. Touches no file.

    Raises:
        InputError: anything wrong with the data or the configuration.
    """
    splits = splits or load_splits(config.data)
    statistics = fit_statistics(splits.train, config.model.backbone.cutoff)
    model = build(config.model, statistics.species, seed=config.train.seed)
    model.prepare(statistics, sample_of(splits.train))
    for frame in (*splits.valid, *splits.test):
        model.check_species(frame.system.numbers, f"{frame.source}: ")
    return Prepared(config, splits, statistics, model.to(getattr(torch, config.train.precision)))


def sample_of(frames: list[Frame], atoms: int = 2000) -> System:
    """A batch of frames from all over the training set, about ``atoms`` atoms: enough to measure sizes on."""
    order = np.random.default_rng(0).permutation(len(frames))
    ends = np.cumsum([frames[k].system.n_atoms for k in order])
    return concatenate([frames[k].system for k in order[: 1 + int((ends < atoms).sum())]])


def train(job: Prepared, folder: Path, *, on_progress: OnProgress) -> RunResult:
    """Train (or go on), judge the best model on every split, write ``report.html``; safe to call again at any time.

    Raises:
        InputError: the folder holds another run, or cannot be written.
        ConvergenceError: the loss diverged.
    """
    claim_folder(folder, to_plain(job.config))
    fabric = fabric_for(job.config.train)
    fabric.launch()
    if job.config.train.threads:
        torch.set_num_threads(job.config.train.threads)
    _write_splits(folder, job.splits)
    progress = _fitted(job, folder, fabric, on_progress)
    result = _judged(job, folder, progress, on_progress)
    if fabric.is_global_zero:
        write_report(folder / REPORT, [result], title=f"{result.kind} on {_data_name(job.config)}")
    return result


def _fitted(job: Prepared, folder: Path, fabric: Fabric, on_progress: OnProgress) -> Progress:
    model, splits, total = job.model, job.splits, job.config.train.epochs
    model.training_summary = {
        "data": [str(path) for path in job.config.data.train_paths],
        "frames": {"train": len(splits.train), "valid": len(splits.valid), "test": len(splits.test)},
    }
    material = Material(model, prepared(splits.train, model), prepared(splits.valid, model), job.statistics.force_scale)
    return fit(
        material, job.config.train, folder, fabric=fabric,
        on_epoch=lambda now: on_progress("train", now.epoch, total, now.history[-1] if now.history else {}),
    )  # fmt: skip


def _judged(job: Prepared, folder: Path, progress: Progress, on_progress: OnProgress) -> RunResult:
    model = load(folder / MODEL)
    evaluations = {}
    for name, frames in job.splits.named().items():
        if frames:
            evaluations[name] = _evaluation(model, name, frames, on_progress)
            evaluations[name].save(folder / f"{name}.npz")
    return RunResult(
        name=job.config.model.paradigm.kind,
        kind=job.config.model.paradigm.kind,
        config=to_plain(job.config),
        history=progress.history,
        evaluations=evaluations,
        parameters=sum(p.numel() for p in model.parameters()),
        train_seconds=progress.seconds,
        versions=versions(),
        notes=notes(job, model),
        statistics=job.statistics,
    )


def _evaluation(model: Model, name: str, frames: list[Frame], on_progress: OnProgress) -> Evaluation:
    return evaluate(model, frames, on_batch=lambda done, total: on_progress(f"evaluate {name}", done, total, {}))


def notes(job: Prepared, model: Model) -> list[str]:
    """What a reader of the report must know."""
    said, targets = [], job.splits.train[0].labels.targets
    kind = job.config.model.paradigm.kind
    unread = (targets & {"charges", "dipole"}) - model.paradigm.reads
    if unread:
        said.append(
            f"{kind} was not trained on {' and '.join(sorted(unread))}; they are compared where it predicts them."
        )
    if "charges" in model.paradigm.reads and "charges" not in targets:
        said.append(f"No charge labels: {kind} learned its charges from energies and forces alone.")
    return said + model.paradigm.remarks()


def _write_splits(folder: Path, splits: Splits) -> None:
    write_atomically(folder / "splits.json", json.dumps(splits.described(), indent=1, ensure_ascii=False).encode())


def _data_name(config: RunConfig) -> str:
    return ", ".join(Path(str(path)).stem for path in config.data.train_paths)
