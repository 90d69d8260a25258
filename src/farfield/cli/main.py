"""``farfield``: one command, one file per verb."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from rich.console import Console

from farfield import __version__
from farfield.cli import compare, data, evaluate, label, md, probe, train
from farfield.errors import FarfieldError

VERBS = (train, evaluate, compare, probe, data, md, label)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what went wrong is said in a few lines and the exit code is not 0."""
    parser = argparse.ArgumentParser(
        prog="farfield", description="Long-range electrostatics in atomistic machine learning."
    )
    parser.add_argument("--version", action="version", version=f"farfield {__version__}")
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    for verb in VERBS:
        verb.add_parser(verbs)
    args, rest = parser.parse_known_args(arguments)
    if rest and not getattr(args, "takes_overrides", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    args.overrides = rest
    return _guarded(args)


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
    if args.traceback:
        traceback.print_exc()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]{title}:[/]", end=" ")
    console.print(message, markup=False, emoji=False)


if __name__ == "__main__":
    sys.exit(main())
