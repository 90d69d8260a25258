"""``farfield train CONFIG``: train one model."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from farfield.cli.progress import ProgressDisplay, clock
from farfield.config import read_config, reference, validated
from farfield.report import RunResult, error_table
from farfield.train.config import RunConfig
from farfield.train.run import REPORT, prepare, train


def add_parser(verbs: Any) -> None:
    """Add ``train``."""
    parser = verbs.add_parser(
        "train",
        help="train one model",
        description="Train one model; run again with the same configuration to go on where it stopped.",
        epilog=keys_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", type=Path, help="YAML or TOML; smallest: data: {train: FILE}, model: {paradigm: {kind: latent}}")
    parser.add_argument("--out", type=Path, help="run folder (runs/ and the configuration's name)")
    parser.set_defaults(run=run, takes_overrides=True)


def run(args: argparse.Namespace) -> int:
    """Read, train, show."""
    config = configured(args)
    folder = run_folder(args, config)
    job = prepare(config)
    with ProgressDisplay() as display:
        result = train(job, folder, on_progress=display.job(config.model.paradigm.kind))
    show([result], folder)
    return 0


def configured(args: argparse.Namespace) -> RunConfig:
    """The configuration file with the overrides of the command line; paths are relative to the file."""
    plain = read_config(args.config, args.overrides)
    return validated(RunConfig, plain, "").relative_to(args.config.parent)


def run_folder(args: argparse.Namespace, config: RunConfig) -> Path:
    """Where the run lives."""
    return args.out or config.out or Path("runs") / args.config.stem


def show(results: list[RunResult], folder: Path) -> None:
    """The table at the end, and where the rest is."""
    console = Console()
    console.print(error_table(results))
    for result in results:
        for note in result.notes:
            console.print(f"{result.name}: {note}", style="dim", markup=False)
    spent = sum(result.train_seconds for result in results)
    console.print(f"trained in {clock(spent)}; report: {folder / REPORT}", highlight=False)


def keys_help() -> str:
    """Every key of the configuration, from the docstrings."""
    rows = reference(RunConfig)
    width = max(len(name) for name, *_ in rows)
    lines = [f"  {name:<{width}}  {text} [{default}]" for name, default, text in rows]
    return "keys of the configuration, also as --KEY VALUE here:\n" + "\n".join(lines)
