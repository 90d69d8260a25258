"""``farfield``: one command, one file per verb, of which only the one that is asked for is imported."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from farfield.cli.log import log_as_notices
from farfield.errors import FarfieldError

VERBS = {
    "train": "train one model",
    "evaluate": "errors of a model on a file",
    "compare": "train several paradigms and compare them",
    "probe": "judge a model by laws of physics",
    "data": "data sets that come with farfield; what a file holds and what is wrong with it",
    "md": "molecular dynamics with a trained model",
    "label": "label structures by quantum chemistry",
}
"""Verb, which is a file beside this one → what it does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what went wrong is said in a few lines and the exit code is not 0."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    with log_as_notices():
        parser = _parser(given)
        args, rest = parser.parse_known_args(given)
        if rest and not getattr(args, "takes_overrides", False):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        args.overrides = rest
        return _guarded(args)


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """All verbs with their help, the one that is asked for with its arguments."""
    parser = argparse.ArgumentParser(
        prog="farfield", description="Long-range electrostatics in atomistic machine learning."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="say which farfield this is, and stop")
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    asked = next((word for word in given if word != "--traceback"), "")
    for verb, words in VERBS.items():
        if verb == asked:
            import_module(f"farfield.cli.{verb}").add_parser(verbs)
        else:
            verbs.add_parser(verb, help=words)
    return parser


class _Version(argparse.Action):
    """Looks the version up when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from farfield import __version__

        print(f"farfield {__version__}")
        parser.exit()


def _guarded(args: argparse.Namespace) -> int:
    try:
        return int(args.run(args))
    except FarfieldError as error:
        _say("error", str(error), args)
        return 2
    except KeyboardInterrupt:
        _say(
            "stopped",
            "What was written so far is kept; the same command goes on from there.",
            args,
        )
        return 130
    except BrokenPipeError:  # piped into head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        _say("error", "not enough memory: a smaller train.batch_size, or fewer atoms", args)
        return 2
    except OSError as error:
        _say("error", f"{error.strerror or error}: {error.filename or ''}".rstrip(": "), args)
        return 2
    except Exception as error:
        hint = "" if args.traceback else " Run farfield --traceback … to see where."
        _say("error", f"{type(error).__name__}: {error}\nThis is a fault of farfield: please report it.{hint}", args)
        return 70


def _say(title: str, message: str, args: argparse.Namespace) -> None:
    from rich.console import Console

    if args.traceback:
        traceback.print_exc()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]{title}:[/]", end=" ")
    console.print(message, markup=False, emoji=False)


if __name__ == "__main__":
    sys.exit(main())
