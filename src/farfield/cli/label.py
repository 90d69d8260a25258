"""``farfield label STRUCTURES``: reference labels from real quantum chemistry."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farfield.data.catalogue import PREFIX
from farfield.data.paths import existing

if TYPE_CHECKING:
    from rich.console import Console

    from farfield.reference.contract import Engine
    from farfield.reference.run import Outcome


def add_parser(verbs: Any) -> None:
    """Add ``label``."""
    parser = verbs.add_parser(
        "label",
        description="Energy, forces, charges and dipoles of every structure. Total charge and spin (2S, the "
        "number of unpaired electrons) come from info['charge'] and info['spin']. "
        "Stopped at any moment, the same command goes on where it was.",
    )
    parser.add_argument("structures", type=Path, help="extxyz or anything ASE reads")
    parser.add_argument("--engine", required=True, help="pyscf | tblite | ase:module:Class")
    parser.add_argument("--out", type=Path, help="labelled extxyz (the structures' name and _labelled)")
    parser.add_argument("--workers", type=int, default=1, help="frames at the same time (1)")
    parser.add_argument("--functional", help="pyscf: exchange-correlation functional (wb97x-d3bj)")
    parser.add_argument("--basis", help="pyscf: basis set (def2-svpd)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Label, and say what failed; exit code 1 if any frame did."""
    existing(args.structures)
    from rich.console import Console

    from farfield.cli.notices import show_notice
    from farfield.cli.progress import ProgressDisplay
    from farfield.data.files import load_structures
    from farfield.data.spellings import overlooked
    from farfield.notices import Notice
    from farfield.reference.engines import engine_named
    from farfield.reference.run import label_structures, parts_folder

    frames = load_structures(args.structures, on_notice=show_notice)
    for said in overlooked([atoms.info for atoms in frames], {"total_charge": "charge", "spin": "spin"}):
        show_notice(Notice("warning", f"{args.structures}: {said}"))
    if args.engine.startswith("ase:") and any(atoms.info.get(name) for atoms in frames for name in ("charge", "spin")):
        show_notice(
            Notice(
                "note",
                "total charges and spins are handed over as initial charges and magnetic moments, spread evenly; "
                f"whether {args.engine.split(':')[-1]} reads them only its manual knows",
            )
        )
    options = {key: value for key in ("functional", "basis") if (value := getattr(args, key))}
    engine = engine_named(args.engine, options)
    out = args.out or _beside(args.structures)
    console = Console(highlight=False, soft_wrap=True)
    try:
        with ProgressDisplay() as display:
            step = display.job(args.engine.split(":")[0])
            outcome = label_structures(
                frames, engine, out, workers=args.workers,
                on_frame=lambda done, total: step("label", done, total, {}),
            )  # fmt: skip
    except KeyboardInterrupt:
        console.print(f"stopped: finished frames are kept in {parts_folder(out)}; the same command goes on from there")
        return 130
    _say(console, outcome, engine, out)
    return 1 if outcome.failures else 0


def _beside(structures: Path) -> Path:
    """Name the file of labelled structures: beside the others, or here if those came with farfield."""
    if str(structures).startswith(PREFIX):
        return Path(f"{str(structures).removeprefix(PREFIX)}_labelled.xyz")
    return structures.with_name(f"{structures.stem}_labelled.xyz")


def _say(console: "Console", outcome: "Outcome", engine: "Engine", out: Path) -> None:
    where = str(out) if outcome.labelled else f"{out} is not written"
    console.print(f"{outcome.labelled} frames labelled by {engine.description}: {where}", markup=False)
    for frame, reason in sorted(outcome.failures.items()):
        console.print(f"frame {frame} failed: {reason}", style="red", markup=False)
