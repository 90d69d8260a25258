"""``farfield train CONFIG``: train one model."""

import argparse
from pathlib import Path
from typing import Any

from farfield.cli.configuration import add_parser_with_keys, configured, run_folder


def add_parser(verbs: Any) -> None:
    """Add ``train``."""
    parser = add_parser_with_keys(
        verbs, "train", "Train one model; run again with the same configuration to go on where it stopped."
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
    from farfield.cli.notices import show_notice
    from farfield.cli.progress import ProgressDisplay
    from farfield.cli.results import show
    from farfield.train.run import prepare, train

    job = prepare(config)
    for notice in job.notices:
        show_notice(notice)
    with ProgressDisplay() as display:
        result = train(job, folder, on_progress=display.job(job.name))
    if result is not None:
        show([result], folder, said={notice.message for notice in job.notices})
    return 0
