"""The configuration file of a verb, what the line changes in it, and the help that lists its keys."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from farfield.data.paths import existing
from farfield.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from farfield.train.config import RunConfig


def configured(args: argparse.Namespace) -> "RunConfig":
    """The configuration file with the overrides of the command line; its files of structures are there."""
    plain = read_config(args.config, args.overrides, single=["probe"])
    from farfield.config import validated  # pydantic takes longer than everything that can be wrong before
    from farfield.data.config import as_paths
    from farfield.train.config import RunConfig

    config = validated(RunConfig, plain, "")
    for files in (config.data.train, config.data.valid, config.data.test):
        for path in as_paths(files):
            existing(path)
    return config


def read_config(path: Path, overrides: Sequence[str] = (), *, single: Sequence[str] = ()) -> dict[str, Any]:
    """A YAML or TOML file with ``--key.sub value`` (or ``--key.sub=value``) from the command line on top.

    Raises:
        InputError: no such file, not YAML or TOML, or an override without a value.
    """
    try:
        text = path.read_text()
    except OSError as failure:
        hint = "; the configuration comes before --section.key value" if overrides else ""
        raise InputError(f"cannot read the configuration {path}: {failure.strerror}{hint}") from failure
    except UnicodeDecodeError as failure:
        raise InputError(f"{path} is not a text file: a configuration is YAML or TOML") from failure
    try:
        found = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as failure:
        raise InputError(f"{path} is not valid {path.suffix.lstrip('.') or 'YAML'}: {failure}") from failure
    if not isinstance(found, dict):
        raise InputError(f"{path} should hold sections such as data: and model:, it holds {type(found).__name__}")
    return overridden(found, overrides, single=single)


def overridden(plain: dict[str, Any], overrides: Sequence[str], *, single: Sequence[str] = ()) -> dict[str, Any]:
    """``plain`` with ``["--train.epochs", "50"]`` put in its place; values are read as YAML.

    ``single`` are the keys outside any section.
    """
    words = [part for word in overrides for part in (word.split("=", 1) if word.startswith("--") else [word])]
    if len(words) % 2 or not all(word.startswith("--") for word in words[::2]):
        raise InputError(f"expected --section.key value, got {' '.join(overrides)}")
    for key, value in zip(words[::2], words[1::2]):
        place, *rest = key.removeprefix("--").split(".")
        if not rest and place not in single:
            raise InputError(f"{key} names no key of the configuration: write --section.key, e.g. --train.epochs 50")
        at, path = plain, [place, *rest]
        for step in path[:-1]:
            at = at.setdefault(step, {})
            if not isinstance(at, dict):
                raise InputError(f"{key}: {step} is a value, not a section")
        try:
            at[path[-1]] = yaml.safe_load(value)
        except yaml.YAMLError as failure:
            raise InputError(f"{key}: {value!r} cannot be read as a value") from failure
    return plain


def run_folder(args: argparse.Namespace, config: "RunConfig", suffix: str = "") -> Path:
    """Choose the folder of a run: as the line says, or the configuration, or named after its file."""
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
    from farfield.config import reference
    from farfield.train.config import RunConfig

    rows = reference(RunConfig)
    width = max(len(name) for name, *_ in rows)
    lines = [f"  {name:<{width}}  {text} [{default}]" for name, default, text in rows]
    return "keys of the configuration, also as --KEY VALUE here:\n" + "\n".join(lines)
