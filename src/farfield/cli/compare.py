"""``farfield compare CONFIG``: several paradigms on the same data, side by side."""

import argparse
from pathlib import Path
from typing import Any

from farfield.cli.configuration import add_parser_with_keys, configured, run_folder
from farfield.errors import InputError


def add_parser(verbs: Any) -> None:
    """Add ``compare``."""
    parser = add_parser_with_keys(
        verbs, "compare", "Train several paradigms on the same data, backbone and splits; one report side by side."
    )
    parser.add_argument("config", type=Path, help="as for train; compare: lists the paradigms")
    parser.add_argument("--paradigms", help="comma-separated; default: those under compare:, or all")
    parser.add_argument("--out", type=Path, help="run folder (runs/, the configuration's name and _compared)")
    parser.add_argument("--workers", type=int, default=1, help="runs trained at the same time, each on one thread (1)")
    parser.set_defaults(run=run, takes_overrides=True)


def run(args: argparse.Namespace) -> int:
    """Train all, report once."""
    if args.workers < 1:
        raise InputError(f"--workers must be at least 1, not {args.workers}")
    config = configured(args)
    folder = run_folder(args, config, "_compared")
    kinds = [kind.strip() for kind in args.paradigms.split(",")] if args.paradigms else []
    from farfield.train.runs import runs_of

    runs = runs_of(config, kinds)
    from farfield.cli.notices import show_notice
    from farfield.cli.progress import ProgressDisplay
    from farfield.cli.results import show
    from farfield.notices import Notice
    from farfield.train.compare import compare, prepared

    said: list[str] = []

    def on_notice(notice: Notice) -> None:
        said.append(notice.message)
        show_notice(notice)

    with ProgressDisplay() as display:
        jobs = prepared(runs, named=bool(kinds or config.compare), on_notice=on_notice)
        progress = {name: display.job(name) for name in jobs}
        results = compare(jobs, folder, workers=args.workers, on_progress=progress)
    show(results, folder, said=said)
    return 0
