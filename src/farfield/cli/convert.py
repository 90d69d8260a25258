"""``farfield data convert IN OUT``: any readable file as extended xyz or what ASE writes, in eV and Å."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from farfield.data.conversion import EnergyUnit, LengthUnit
from farfield.data.paths import existing
from farfield.errors import InputError

if TYPE_CHECKING:
    from farfield.data.convert import Written


def add_parser(verbs: Any) -> None:
    """Add ``convert`` to the verbs of ``data``."""
    parser = verbs.add_parser(
        "convert",
        help="write any readable file as extxyz, an ASE database or what else ASE writes, in eV and Å",
        description="Energies, forces, virials, positions and cells are converted; keys whose unit nobody knows are "
        "copied as they are, and named. The file is whole in the end or not there.",
    )
    parser.add_argument("source", metavar="IN", help="extxyz, npz, a folder of DeePMD's, anything ASE or dpdata reads")
    parser.add_argument("target", metavar="OUT", type=Path, help="the suffix tells the format: .xyz, .db, .traj, …")
    parser.add_argument(
        "--energy-unit", choices=get_args(EnergyUnit), help="of IN (eV); npz that states none leaves it open"
    )
    parser.add_argument("--length-unit", choices=get_args(LengthUnit), default="angstrom", help="of IN (angstrom)")
    parser.add_argument(
        "--rename", action="append", default=[], metavar="OLD=NEW", help="another name for a key; may be repeated"
    )
    parser.add_argument("--skip-unreadable", action="store_true", help="leave out frames that cannot be read")
    parser.add_argument("--force", action="store_true", help="overwrite OUT")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert, and say what was written in which units."""
    if args.target.exists() and not args.force:
        raise InputError(f"{args.target} exists already: --force overwrites it")
    existing(args.source)
    renamed = _renamed(args.rename)
    from farfield.cli.notices import show_notice
    from farfield.cli.progress import ProgressDisplay
    from farfield.data.convert import Conversion, convert

    conversion = Conversion(args.energy_unit, args.length_unit, renamed, args.skip_unreadable)
    with ProgressDisplay() as display:
        step = display.job("convert")
        written = convert(
            args.source, args.target, conversion, on_notice=show_notice,
            on_progress=lambda done, total: step("bytes read", done, total, {}),
        )  # fmt: skip
    _say(args.target, written)
    return 0


def _renamed(pairs: list[str]) -> dict[str, str]:
    renamed = {}
    for pair in pairs:
        old, _, new = pair.partition("=")
        if not old or not new:
            raise InputError(f"--rename {pair}: expected OLD=NEW, for instance energy_REF=energy")
        renamed[old] = new
    return renamed


def _say(target: Path, written: "Written") -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"wrote {written.frames} frames to {escape(str(target))}: positions and cells in Å")
    for key, unit in written.keys.items():
        given = "as it was: farfield does not know its unit" if unit == "as given" else unit
        console.print(f"  {escape(key)}  {given}")
