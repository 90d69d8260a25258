"""The configuration file of a verb, and the help that lists its keys."""

import argparse
from pathlib import Path
from typing import Any

from farfield.config import read_config, reference, validated
from farfield.train.config import RunConfig


def configured(args: argparse.Namespace) -> RunConfig:
    """The configuration file with the overrides of the command line."""
    return validated(RunConfig, read_config(args.config, args.overrides, single=["probe"]), "")


def run_folder(args: argparse.Namespace, config: RunConfig, suffix: str = "") -> Path:
    """Where the run lives."""
    return args.out or config.out or Path("runs") / (args.config.stem + suffix)


def add_parser_with_keys(verbs: Any, name: str, description: str) -> argparse.ArgumentParser:
    """Add a verb that takes a configuration and ``--KEY VALUE``; its help ends with every key."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, description=description, formatter_class=argparse.RawDescriptionHelpFormatter, add_help=False
    )
    parser.add_argument("-h", "--help", action=_HelpWithKeys, nargs=0, help="show this help message and exit")
    return parser


class _HelpWithKeys(argparse.Action):
    """Puts the keys together when they are asked for: installed packages, which may be slow, have a say in them."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        parser.epilog = _keys_help()
        parser.print_help()
        parser.exit()


def _keys_help() -> str:
    """Every key of the configuration, from the docstrings."""
    rows = reference(RunConfig)
    width = max(len(name) for name, *_ in rows)
    lines = [f"  {name:<{width}}  {text} [{default}]" for name, default, text in rows]
    return "keys of the configuration, also as --KEY VALUE here:\n" + "\n".join(lines)
