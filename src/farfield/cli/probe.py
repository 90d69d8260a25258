"""``farfield probe MODEL``: the physics scorecard."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farfield.conditions import HELD
from farfield.data.paths import existing
from farfield.errors import InputError
from farfield.model_file import existing_model, name_of
from farfield.probe.registry import check_laws

if TYPE_CHECKING:
    import ase


def add_parser(verbs: Any) -> None:
    """Add ``probe``."""
    parser = verbs.add_parser(
        "probe",
        description="Judge a trained model, or any ASE calculator, by laws that must hold whatever it was trained on. "
        "Exit code 0: all that apply hold; 1: some are broken; 2: bad input, or nothing that could be judged.",
    )
    parser.add_argument("model", type=Path, nargs="?", help="model.pt as training wrote it")
    parser.add_argument(
        "--ase", metavar="module:Class", help="an ASE calculator instead, constructed without arguments"
    )
    parser.add_argument("--elements", help="of the calculator, e.g. Na,Cl (those of --structure)")
    parser.add_argument("--reach", type=float, help="Å that the calculator's short-range part sees (12)")
    parser.add_argument("--structure", type=Path, help="judge consistency on your own crystal and molecule")
    parser.add_argument("--fragments", type=Path, help="your own ions and molecules, the charge of each in its info")
    parser.add_argument("--laws", help="comma-separated; default: all (--list)")
    parser.add_argument("--fast", action="store_true", help="fewer points, smaller cells")
    parser.add_argument("--out", type=Path, help="folder of scorecard.html and .json (probe_ and the model's name)")
    parser.add_argument("--list", action="store_true", help="say what laws there are, and stop")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge, show, write; 1 if a law is broken."""
    if args.list:
        return _list()
    laws = [word for name in (args.laws or "").split(",") if (word := name.strip())]
    check_laws(laws)
    if (args.model is None) == (args.ase is None):
        raise InputError("give a model.pt, or --ase module:Class, and not both")
    if args.model is not None and (args.elements or args.reach):
        raise InputError("--elements and --reach are for --ase: a model knows its own")
    if args.model is not None:
        existing_model(args.model)
    for path in filter(None, (args.structure, args.fragments)):
        existing(path)
    return _judge(args, laws)


def _list() -> int:
    from rich.console import Console

    from farfield.cli.laws import table_of_laws

    Console(highlight=False, emoji=False).print(table_of_laws())
    return 0


def _judge(args: argparse.Namespace, laws: list[str]) -> int:
    from rich.console import Console

    from farfield.atomic_write import write_atomically
    from farfield.cli.laws import show_scorecard
    from farfield.cli.notices import show_notice
    from farfield.cli.on_trial import structures_to_judge_on, subject_of, take_conditions_of
    from farfield.cli.progress import ProgressDisplay
    from farfield.data.files import load_structures
    from farfield.probe import scorecard
    from farfield.report import write_scorecard

    structures = structures_to_judge_on(args.structure)
    fragments = load_structures(args.fragments) if args.fragments else []
    subject, keys = subject_of(args, structures)
    for notice in take_conditions_of(subject, [*structures, *fragments], keys):
        show_notice(notice)
    folder = args.out or Path(f"probe_{_name(args)}")
    folder.mkdir(parents=True, exist_ok=True)
    with ProgressDisplay() as display:
        step = display.job(subject.name[:11])
        card = scorecard(
            subject, laws=laws, structures=structures, fragments=fragments, fast=args.fast,
            on_law=lambda title, done, total: step(title if len(laws) == 1 else "judge", done, total, {}),
        )  # fmt: skip
    write_atomically(folder / "scorecard.json", json.dumps(card.to_json(), indent=1, ensure_ascii=False).encode())
    write_scorecard(
        folder / "scorecard.html", card, title=f"{subject.name} before the law", notes=_notes(args, structures)
    )
    show_scorecard(Console(highlight=False, emoji=False), card, folder)
    if why := card.nothing_judged:
        raise InputError(f"no law could be judged. {why}")
    return 1 if card.failed else 0


def _name(args: argparse.Namespace) -> str:
    if args.ase:
        return str(args.ase).partition(":")[2]
    return name_of(args.model)


def _notes(args: argparse.Namespace, structures: "list[ase.Atoms]") -> tuple[str, ...]:
    if args.structure:
        judged_on = f"Consistency was judged on {args.structure.name}."
        if held := [name for name in HELD if any(frame.info.get(name) is not None for frame in structures)]:
            words = " and ".join(name.replace("_", " ") for name in held)
            return (judged_on, f"What it says of {words} was left out: it would stay while laws turn the structure.")
        return (judged_on,)
    return (
        "Consistency was judged on invented structures, which training may not have seen; "
        "--structure FILE judges it on yours.",
    )
