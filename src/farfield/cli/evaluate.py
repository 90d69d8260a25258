"""``farfield evaluate MODEL DATA``: errors of a trained model on a file."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farfield.cli.configuration import overridden
from farfield.data.paths import existing
from farfield.errors import InputError
from farfield.model_file import existing_model, name_of
from farfield.notices import Notice

if TYPE_CHECKING:
    from farfield.evaluation import Evaluation


def add_parser(verbs: Any) -> None:
    """Add ``evaluate``."""
    parser = verbs.add_parser(
        "evaluate",
        description="Errors per target and group, parity plots and binding curves of a trained model. "
        "Keys and units are those of the training data; others are given as in a configuration: --data.charges q_ref",
    )
    parser.add_argument("model", type=Path, help="model.pt as training wrote it")
    parser.add_argument("data", type=Path, help="extxyz, ASE database, or embedded:NAME")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder of report.html, errors.json and predictions.npz (evaluation_, the model's name and the data's)",
    )
    parser.set_defaults(run=run, takes_overrides=True)


def run(args: argparse.Namespace) -> int:
    """Evaluate and show."""
    existing_model(args.model)
    if strange := sorted(set(overridden({}, args.overrides)) - {"data"}):
        raise InputError(f"evaluate takes --data.KEY only, not {', '.join(strange)}")
    existing(args.data)
    return _evaluate(args)


def _evaluate(args: argparse.Namespace) -> int:
    from farfield.atomic_write import write_atomically
    from farfield.backbone.spins import spins_of, unlearned_spins
    from farfield.cli.notices import show_notice
    from farfield.cli.progress import ProgressDisplay
    from farfield.cli.results import show
    from farfield.config import validated
    from farfield.data.config import DataConfig
    from farfield.data.read import read_frames
    from farfield.evaluation import evaluate
    from farfield.model import load
    from farfield.report import RunResult, write_report
    from farfield.train.run import REPORT
    from farfield.versions import versions

    model = load(args.model)
    learned = model.training_summary.get("keys", {})  # as in the file it was trained on, unless told otherwise
    plain = overridden({"data": {**learned, "train": str(args.data)}}, args.overrides)
    config = validated(DataConfig, plain["data"], "data")
    told = set(overridden({}, args.overrides).get("data", {})) | {"energy", "forces"}
    frames = read_frames(args.data, config, dispensable=learned.keys() - told, on_notice=show_notice)
    spins = spins_of(frame.system for frame in frames)
    if unread := unlearned_spins(model.config.backbone, model.training_summary.get("spins", []), spins):
        show_notice(Notice("warning", f"{args.data}: {unread}"))
    for frame in frames:
        model.check(frame.system, f"{frame.source}: ")
    folder = args.out or Path(f"evaluation_{name_of(args.model)}_{args.data.stem.removeprefix('embedded:')}")
    folder.mkdir(parents=True, exist_ok=True)
    with ProgressDisplay() as display:
        step = display.job(model.config.paradigm.kind)
        found = evaluate(model, frames, on_batch=lambda done, total: step("evaluate", done, total, {}))
    kind = model.config.paradigm.kind
    result = RunResult(
        name=kind,
        kind=kind,
        config={"model": str(args.model), "data": plain["data"]},
        evaluations={args.data.name: found},
        parameters=sum(p.numel() for p in model.parameters()),
        versions=versions(),
        notes=list(_coulomb(found)),
    )
    write_atomically(folder / "errors.json", _in_json(found).encode())
    found.save(folder / "predictions.npz")
    write_report(folder / REPORT, [result], title=f"{kind} on {args.data.stem}")
    show([result], folder)
    return 0


def _coulomb(found: "Evaluation") -> Iterator[str]:
    """Say how much of the energy is electrostatic, where a part of it is."""
    if (part := found.coulomb_per_atom) is not None:
        mean, spread = part
        yield (
            f"the electrostatic part of the energy is {mean:.5g} ± {spread:.3g} eV per atom (mean and standard "
            f"deviation over {found.n_frames} structures); of each: energy_coulomb in predictions.npz"
        )


def _in_json(found: "Evaluation") -> str:
    """Every row of the tables of errors, and the electrostatic part of the energy in eV per atom."""
    from farfield.evaluation import errors

    part = found.coulomb_per_atom
    coulomb = None if part is None else {"mean": part[0], "standard_deviation": part[1], "unit": "eV/atom"}
    rows = [asdict(row) for row in errors(found)]
    return json.dumps({"errors": rows, "energy_coulomb": coulomb}, indent=1, ensure_ascii=False)
