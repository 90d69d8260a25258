"""``farfield train CONFIG``: train one model."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from farfield.cli.notices import show_notice
from farfield.cli.progress import ProgressDisplay, clock
from farfield.config import read_config, reference, validated
from farfield.notices import Notice
from farfield.report import RunResult
from farfield.report.result import SPLIT_NAMES, headline_split
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
    parser.add_argument(
        "config", type=Path, help="YAML or TOML; smallest: data: {train: FILE}, model: {paradigm: {kind: latent}}"
    )
    parser.add_argument("--out", type=Path, help="run folder (runs/ and the configuration's name)")
    parser.set_defaults(run=run, takes_overrides=True)


def run(args: argparse.Namespace) -> int:
    """Read, train, show."""
    config = configured(args)
    folder = run_folder(args, config)
    job = prepare(config)
    for notice in job.notices:
        show_notice(notice)
    with ProgressDisplay() as display:
        result = train(job, folder, on_progress=display.job(job.name))
    if result is not None:
        show([result], folder)
    return 0


def configured(args: argparse.Namespace) -> RunConfig:
    """The configuration file with the overrides of the command line."""
    return validated(RunConfig, read_config(args.config, args.overrides, single=["probe"]), "")


def run_folder(args: argparse.Namespace, config: RunConfig, suffix: str = "") -> Path:
    """Where the run lives."""
    return args.out or config.out or Path("runs") / (args.config.stem + suffix)


def show(results: list[RunResult], folder: Path) -> None:
    """The table at the end, and where the rest is."""
    console = Console()
    split = headline_split(results)
    if split:
        console.print(_errors(results, split))
    for warning in dict.fromkeys(warning for result in results for warning in result.warnings):
        show_notice(Notice("warning", warning))
    for result in results:
        for note in result.notes:
            console.print(f"{result.name}: {note}", style="dim", markup=False)
    spent = sum(result.train_seconds for result in results)
    console.print(f"trained in {clock(spent)}; report: {folder / REPORT}", highlight=False)


def _errors(results: list[RunResult], split: str) -> Table:
    """Root mean square errors on one split, a column a run."""
    table = Table("", "unit", *(result.name for result in results), title=f"RMSE on {SPLIT_NAMES.get(split, split)}")
    from farfield.report.tables import verdict  # here, for it brings matplotlib along

    for line in verdict(results, split):
        cells = [f"[bold]{cell.text}[/]" if cell.best and len(results) > 1 else cell.text for cell in line.cells]
        table.add_row(line.label, line.unit, *cells)
    return table


def keys_help() -> str:
    """Every key of the configuration, from the docstrings."""
    rows = reference(RunConfig)
    width = max(len(name) for name, *_ in rows)
    lines = [f"  {name:<{width}}  {text} [{default}]" for name, default, text in rows]
    return "keys of the configuration, also as --KEY VALUE here:\n" + "\n".join(lines)
