"""One run from configuration to report: read, check, prepare, fit, judge, show."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from farfield.backbone.spins import spins_of, unseen_spins
from farfield.config import to_plain
from farfield.data.config import DataConfig
from farfield.data.frame import Frame
from farfield.data.splits import Splits, load_splits
from farfield.data.statistics import Statistics, fit_statistics
from farfield.errors import InputError
from farfield.evaluation import Evaluation, evaluate
from farfield.evaluation.run import fragments_alone
from farfield.field import refuse_stress
from farfield.model import Model, build, load
from farfield.notices import Grade, Notice
from farfield.report import RunResult
from farfield.system import System, concatenate
from farfield.train.batches import prepared
from farfield.train.charges import charge_notices, uncharged
from farfield.train.checkpoint import Progress
from farfield.train.config import RunConfig
from farfield.train.fit import MODEL, Material, fabric_for, fit
from farfield.train.loss import TrainingStep
from farfield.train.part_charges import in_parts, learned_charges
from farfield.train.record import claim_folder
from farfield.train.schedule import still_falling
from farfield.versions import versions

REPORT = "report.html"
OnProgress = Callable[[str, int, int, dict[str, float]], None]
"""Stage, done, total, latest numbers."""


_NO_ENERGIES = Notice(
    "note", "no energies and forces to learn from: of atoms in their surroundings the model's energy is 0, so that its "
    "forces are those of charges and fields alone",
)  # fmt: skip


@dataclass(frozen=True)
class Prepared:
    """Everything that can go wrong before the first epoch has been tried."""

    config: RunConfig
    splits: Splits
    statistics: Statistics
    model: Model
    name: str  # what it is called in reports
    notices: tuple[Notice, ...] = ()  # what a person should know before the first epoch


def prepare(config: RunConfig, name: str = "") -> Prepared:
    """Read and check the data, fit its statistics, build the model. Touches no file.

    Raises:
        InputError: anything wrong with the data or the configuration.
    """
    splits = in_parts(load_splits(config.data))
    statistics = fit_statistics(splits.train, config.model.backbone.cutoff)
    model = build(config.model, statistics.species, seed=config.train.seed)
    labels = splits.train[0].labels
    if not TrainingStep(model, config.train.weights, statistics.force_scale, None).targets(labels):
        raise InputError(
            f"{config.model.paradigm.kind} learns nothing from {', '.join(sorted(labels.targets))}, or their "
            "train.weights are 0: give the key of energies or forces"
        )
    sample = sample_of(splits.train)
    model.prepare(statistics, sample)
    notices = (
        *splits.notices,
        *charge_notices(model, statistics, sample),
        *unseen_spins(config.model.backbone, spins_of(frame.system for frame in splits.train)),
        *([] if statistics.energetic else [_NO_ENERGIES]),
    )
    for frame in (*splits.train, *splits.valid, *splits.test):
        for system in (frame.system, *(part.system for part in fragments_alone(frame))):
            model.check(system, f"{frame.source}: ")
        if frame.labels.stress is not None and not model.paradigm.dipole_is_single_valued:
            refuse_stress(frame.system, f"{frame.source}: ")
    model = model.to(getattr(torch, config.train.precision))
    return Prepared(config, splits, statistics, model, name or config.model.paradigm.kind, notices)


def sample_of(frames: list[Frame], atoms: int = 2000) -> System:
    """A batch of frames from all over the training set, about ``atoms`` atoms: enough to measure sizes on."""
    order = np.random.default_rng(0).permutation(len(frames))
    ends = np.cumsum([frames[k].system.n_atoms for k in order])
    return concatenate([frames[k].system for k in order[: 1 + int((ends < atoms).sum())]])


def train(job: Prepared, folder: Path, *, on_progress: OnProgress) -> RunResult | None:
    """Train (or go on), judge the best model on every split, write ``report.html``; safe to call again at any time.

    Where several processes train together, the first one judges; the others return None.

    Raises:
        InputError: the folder holds another run, or cannot be written.
        ConvergenceError: the loss diverged.
    """
    claim_folder(folder, to_plain(job.config), job.splits)
    fabric = fabric_for(job.config.train)
    fabric.launch()
    if job.config.train.threads:
        torch.set_num_threads(job.config.train.threads)
    progress = _fitted(job, folder, fabric, on_progress if fabric.is_global_zero else _silent)
    if not fabric.is_global_zero:
        return None
    result = _judged(job, folder, progress, on_progress)
    from farfield.report import write_report  # here, for it draws

    write_report(folder / REPORT, [result], title=f"{result.name} on {_data_name(job.config)}")
    return result


def _silent(_stage: str, _done: int, _total: int, _latest: dict[str, float]) -> None:
    """Progress that another process reports."""


def _fitted(job: Prepared, folder: Path, fabric: Fabric, on_progress: OnProgress) -> Progress:
    model, splits, total = job.model, job.splits, job.config.train.epochs
    model.training_summary = {
        "data": [str(path) for path in job.config.data.train_paths],
        "keys": keys_of(job.config.data),
        "spins": spins_of(frame.system for frame in splits.train),
        "frames": {"train": len(splits.train), "valid": len(splits.valid), "test": len(splits.test)},
    }
    train, valid = (prepared(frames, model, fabric.device) for frames in (splits.train, splits.valid))
    material = Material(model, train, valid, job.statistics.force_scale)
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
    said = still_falling(progress.history)
    return RunResult(
        name=job.name,
        kind=job.config.model.paradigm.kind,
        config=to_plain(job.config),
        history=progress.history,
        evaluations=evaluations,
        parameters=sum(p.numel() for p in model.parameters()),
        train_seconds=progress.seconds,
        versions=versions(),
        warnings=[*_messages(job, "warning"), *uncharged(job.name, evaluations.values())],
        notes=[*notes(job, model, evaluations), *([] if said is None else [said])],
        statistics=job.statistics,
    )


def _evaluation(model: Model, name: str, frames: list[Frame], on_progress: OnProgress) -> Evaluation:
    return evaluate(model, frames, on_batch=lambda done, total: on_progress(f"evaluate {name}", done, total, {}))


def keys_of(data: DataConfig) -> dict[str, Any]:
    """Keys and units of the data as the model should remember them: whoever uses it has such files."""
    plain = to_plain(data)
    places = {"train", "valid", "test", "valid_fraction", "test_fraction", "split_by", "seed"}
    gaps = {"allow_missing", "skip_unreadable"}
    return {key: value for key, value in plain.items() if key not in places | gaps}


def notes(job: Prepared, model: Model, evaluations: dict[str, Evaluation]) -> list[str]:
    """Say what a reader of the report must know."""
    said, targets = [], job.splits.train[0].labels.targets
    kind = job.config.model.paradigm.kind
    unused = (targets & model.gives) - {"energy", "forces", "stress"} - model.paradigm.trained_on
    if unused:
        said.append(
            f"{kind} was not trained on {' and '.join(sorted(unused))}; they are compared where it predicts them."
        )
    if unknown := targets - model.gives:
        said.append(f"{kind} gives no {' and no '.join(sorted(unknown))}: those labels were not used.")
    if "charges" in model.paradigm.trained_on and "charges" not in targets:
        used = sorted(targets & model.gives & (model.paradigm.trained_on | {"energy", "forces", "stress"}))
        said.append(f"No charge labels: {kind} learned its charges from {', '.join(used)} alone.")
    for split in [split for split in evaluations if split != "train"][-1:]:  # the test, or what stands for it
        residual = evaluations[split].charge_residual
        if residual is not None and np.nanmax(np.abs(residual), initial=0.0) > 1e-4:
            flows = "That flows, between fragments far apart, too"
            meaning = flows if model.paradigm.equilibrates else "Separated fragments are wrong by that"
            said.append(
                f"What the atoms' own charges missed of the total charge ({split}): "
                f"{np.sqrt(np.nanmean(residual**2)):.4f} e rms, {np.nanmax(np.abs(residual)):.4f} e at most. "
                f"{meaning}; more epochs or a larger residual_weight lower it."
            )
    said += learned_charges(job.splits, evaluations)
    return [*said, *model.paradigm.remarks(), *_messages(job, "note")]


def _messages(job: Prepared, grade: Grade) -> list[str]:
    return [notice.message for notice in job.notices if notice.grade == grade]


def _data_name(config: RunConfig) -> str:
    return ", ".join(Path(str(path)).stem for path in config.data.train_paths)
