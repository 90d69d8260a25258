"""``farfield probe MODEL``: the physics scorecard."""

import argparse
import inspect
import json
from pathlib import Path
from typing import Any

import ase
from ase.data import atomic_numbers
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from farfield.atomic_write import write_atomically
from farfield.cli.md import take_conditions
from farfield.cli.progress import ProgressDisplay, clock
from farfield.conditions import CONDITIONS
from farfield.data.files import load_structures
from farfield.errors import InputError
from farfield.model import load
from farfield.probe import LAWS, CalculatorSubject, ModelSubject, Scorecard, Subject, scorecard
from farfield.probe.calculator_subject import REACH
from farfield.probe.scorecard import chosen_laws
from farfield.probe.stage import LARGEST, is_crystal, is_molecule
from farfield.reference.engines import calculator_named
from farfield.report.laws import GLYPHS, found_in_words, summary, value

_STYLES = {"pass": "green", "fail": "bold red", "skip": "dim", "info": "dim"}


def add_parser(verbs: Any) -> None:
    """Add ``probe``."""
    parser = verbs.add_parser(
        "probe",
        help="judge a model by laws of physics",
        description="Judge a trained model, or any ASE calculator, by laws that must hold whatever it was trained on. "
        "Exit code 0: all that apply hold; 1: some are broken; 2: bad input, or nothing that could be judged.",
    )
    parser.add_argument("model", type=Path, nargs="?", help="model.pt as training wrote it")
    parser.add_argument(
        "--ase", metavar="module:Class", help="an ASE calculator instead, constructed without arguments"
    )
    parser.add_argument("--elements", help="of the calculator, e.g. Na,Cl (those of --structure)")
    parser.add_argument("--reach", type=float, help=f"Å that the calculator's short-range part sees ({REACH:g})")
    parser.add_argument("--structure", type=Path, help="judge consistency on your own crystal and molecule")
    parser.add_argument("--fragments", type=Path, help="your own ions and molecules, the charge of each in its info")
    parser.add_argument("--laws", help="comma-separated; default: all (--list)")
    parser.add_argument("--fast", action="store_true", help="fewer points, smaller cells")
    parser.add_argument("--out", type=Path, help="folder of scorecard.html and .json (probe_ and the model's name)")
    parser.add_argument("--list", action="store_true", help="say what laws there are, and stop")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge, show, write; 1 if a law is broken."""
    console = Console(highlight=False, emoji=False)
    if args.list:
        console.print(_laws())
        return 0
    laws = [word for name in (args.laws or "").split(",") if (word := name.strip())]
    chosen_laws(laws)  # said before anything is loaded
    structures = _structures(args.structure)
    fragments = load_structures(args.fragments) if args.fragments else []
    subject, keys = _subject(args, structures)
    for frame in (*structures, *fragments):
        take_conditions(frame, keys)
    folder = args.out or Path(f"probe_{_name(args)}")
    folder.mkdir(parents=True, exist_ok=True)
    with ProgressDisplay() as display:
        step = display.job(subject.name[:11])
        card = scorecard(
            subject, laws=laws, structures=structures, fragments=fragments, fast=args.fast,
            on_law=lambda title, done, total: step(title if len(laws) == 1 else "judge", done, total, {}),
        )  # fmt: skip
    write_atomically(folder / "scorecard.json", json.dumps(card.to_json(), indent=1, ensure_ascii=False).encode())
    from farfield.report import write_scorecard  # here, for it draws

    write_scorecard(
        folder / "scorecard.html", card, title=f"{subject.name} before the law", notes=_notes(args, structures)
    )
    _show(console, card, folder)
    if why := card.nothing_judged:
        raise InputError(f"no law could be judged. {why}")
    return 1 if card.failed else 0


def _structures(path: Path | None) -> list[ase.Atoms]:
    """The user's, if any can be judged on."""
    frames = load_structures(path) if path else []
    if frames and not any(is_crystal(frame) or is_molecule(frame) for frame in frames):
        raise InputError(f"{path} holds neither a crystal nor a molecule of {LARGEST} atoms or fewer to judge on")
    return frames


def _subject(args: argparse.Namespace, structures: list[ase.Atoms]) -> tuple[Subject, dict[str, Any]]:
    """Who is judged, and the keys of the data it was trained on."""
    if (args.model is None) == (args.ase is None):
        raise InputError("give a model.pt, or --ase module:Class, and not both")
    if args.model is not None:
        if args.elements or args.reach:
            raise InputError("--elements and --reach are for --ase: a model knows its own")
        model = load(args.model)
        return ModelSubject.of(model), model.training_summary.get("keys", {})
    engine = calculator_named(args.ase)
    species = _elements(args.elements, structures)
    engine.check(frozenset())
    reach = args.reach or REACH
    if not 0 < reach < float("inf"):
        raise InputError(f"--reach is a length in Å, not {reach}")
    return CalculatorSubject(engine.build(), engine.calculator, species, reach=reach, cutoff=reach), {}


def _elements(words: str | None, structures: list[ase.Atoms]) -> tuple[int, ...]:
    if words is None:
        found = tuple(sorted({int(z) for frame in structures for z in frame.numbers}))
        if not found:
            raise InputError("say what the calculator knows: --elements Na,Cl, or --structure FILE")
        return found
    symbols = [word.strip() for word in words.split(",")]
    if strange := [symbol for symbol in symbols if symbol not in atomic_numbers]:
        raise InputError(f"--elements: {', '.join(strange)} is no element; write symbols, e.g. Na,Cl")
    return tuple(sorted(atomic_numbers[symbol] for symbol in symbols))


def _name(args: argparse.Namespace) -> str:
    if args.ase:
        return str(args.ase).partition(":")[2]
    model: Path = args.model
    return (model.parent.name if model.stem == "model" else "") or model.stem


def _notes(args: argparse.Namespace, structures: list[ase.Atoms]) -> tuple[str, ...]:
    if args.structure:
        judged_on = f"Consistency was judged on {args.structure.name}."
        if held := [name for name in CONDITIONS if any(frame.info.get(name) is not None for frame in structures)]:
            words = " and ".join(name.replace("_", " ") for name in held)
            return (judged_on, f"What it says of {words} was left out: it would stay while laws turn the structure.")
        return (judged_on,)
    return (
        "Consistency was judged on invented structures, which training may not have seen; "
        "--structure FILE judges it on yours.",
    )


def _laws() -> Table:
    table = Table("law", "what must hold", "how it is judged")
    for law in LAWS.values():
        words = " ".join((inspect.getdoc(law.judge) or "").split("\n\n")[0].split())
        table.add_row(law.name, escape(law.title), escape(words))
    return table


def _show(console: Console, card: Scorecard, folder: Path) -> None:
    table = Table("law", "", "must be", "found", "what it says")
    for finding in card.findings:
        style, unit = _STYLES[finding.status], f" {finding.unit}" if finding.unit else ""
        numbers = ("", "") if finding.found is None and finding.expected is None else (
            f"{value(finding.expected)}{unit}", f"{found_in_words(finding)}{unit}"
        )  # fmt: skip
        glyph = f"[{style}]{GLYPHS[finding.status]}[/]"  # the rest may quote a program that writes brackets
        table.add_row(finding.law, glyph, *map(escape, (*numbers, finding.explanation)))
    console.print(table)
    for warning in card.warnings:
        console.print(f"warning: {warning}", style="bold red", markup=False)
    console.print(summary(card), style="bold red" if card.failed else "bold green", markup=False)
    console.print(f"judged in {clock(card.seconds)}; report: {folder / 'scorecard.html'}", soft_wrap=True, markup=False)
