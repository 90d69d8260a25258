"""``farfield md MODEL STRUCTURE``: molecular dynamics."""

import argparse
import csv
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farfield.data.paths import existing
from farfield.deploy.md_options import MDOptions
from farfield.errors import FarfieldWarning, InputError
from farfield.model_file import existing_model
from farfield.notices import Notice

if TYPE_CHECKING:
    import ase

    from farfield.deploy.ase import FarfieldCalculator


def add_parser(verbs: Any) -> None:
    """Add ``md``."""
    defaults = MDOptions()
    parser = verbs.add_parser(
        "md",
        help="molecular dynamics with a trained model",
        description="Molecular dynamics with ASE's integrators. Run again with more --steps, or after a kill, "
        "to go on from the last stored frame.",
    )
    parser.add_argument("model", type=Path, help="model.pt as training wrote it")
    parser.add_argument("structure", type=Path, help="extxyz or anything ASE reads; the last frame unless --frame")
    parser.add_argument("--frame", type=int, default=-1, help="which frame of the structure file (the last)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("md.traj"),
        help="trajectory; log (.csv) and what the run is of (.json) go beside it (%(default)s)",
    )
    parser.add_argument("--ensemble", choices=("nve", "nvt", "npt"), default=defaults.ensemble)
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--timestep", type=float, default=defaults.timestep, help="fs (%(default)s)")
    parser.add_argument(
        "--temperature", type=float,
        help=f"K, of the first velocities, unless the file has some, and of the thermostat ({defaults.temperature})",
    )  # fmt: skip
    parser.add_argument("--pressure", type=float, default=defaults.pressure, help="GPa, npt (%(default)s)")
    parser.add_argument("--friction", type=float, default=defaults.friction, help="1/fs, nvt (%(default)s)")
    parser.add_argument(
        "--external-field", type=float, nargs=3, metavar=("X", "Y", "Z"), help="uniform electric field, V/Å"
    )
    parser.add_argument("--every", type=int, default=defaults.every, help="steps between stored frames (%(default)s)")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of velocities and thermostat")
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), default="float64",
        help="of the network; float32 is faster, and total energy drifts more (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (%(default)s)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run and say how it went."""
    existing_model(args.model)
    existing(args.structure)
    given = {name: getattr(args, name) for name in MDOptions.__dataclass_fields__}
    return _run(args, MDOptions(**{name: value for name, value in given.items() if value is not None}))


def _run(args: argparse.Namespace, options: MDOptions) -> int:
    from farfield.cli.notices import show_notice
    from farfield.deploy.ase import FarfieldCalculator
    from farfield.deploy.constraints import check_constraints

    atoms = _structure(args)
    calculator = FarfieldCalculator(args.model, device=args.device, dtype=args.dtype)
    check_constraints(atoms, options.ensemble)
    for notice in _notices(atoms, calculator, options, args):
        show_notice(notice)
    _summary(_rows(atoms, calculator, options, args.out), args.out, options.ensemble)
    return 0


def _structure(args: argparse.Namespace) -> "ase.Atoms":
    from farfield.data.files import load_structures

    frames = load_structures(args.structure)
    if not -len(frames) <= args.frame < len(frames):
        raise InputError(f"{args.structure} has {len(frames)} frames; there is no frame {args.frame}")
    return frames[args.frame]


def _notices(
    atoms: "ase.Atoms", calculator: "FarfieldCalculator", options: MDOptions, args: argparse.Namespace
) -> Iterator[Notice]:
    """Collect what to know before the run begins; the structure takes its conditions on the way."""
    from farfield.cli.conditions import overlooked_in, take_conditions
    from farfield.deploy.conditions import unread_spins
    from farfield.deploy.velocities import unread_velocities

    keys = calculator.model.training_summary.get("keys", {})
    notes = [*_without_effect(options), *_velocities(atoms, options, args.temperature), *take_conditions(atoms, keys)]
    if args.external_field is not None:
        atoms.info["external_field"] = args.external_field  # so that every stored frame says in which field it was
    if atoms.pbc.any() and atoms.info.get("external_field") is not None and calculator.model.charge_flows:
        notes.append(
            "this model has no polarization of one value in a crystal: in a field along its lattice vectors the total "
            "energy is not conserved. Train with conservation: bond where it should be"
        )
    yield from (Notice("note", said) for said in notes)
    others = [unread_spins(calculator.model, [atoms]), unread_velocities(atoms)]
    warned = [*overlooked_in(atoms, keys), *filter(None, others)]
    yield from (Notice("warning", said) for said in warned)


def _rows(
    atoms: "ase.Atoms", calculator: "FarfieldCalculator", options: MDOptions, out: Path
) -> list[dict[str, float]]:
    """Run, and return what the log gained."""
    from farfield.cli.notices import show_notice
    from farfield.cli.progress import ProgressDisplay
    from farfield.deploy.md import run_md

    rows: list[dict[str, float]] = []
    with ProgressDisplay() as display, warnings.catch_warnings():
        warnings.simplefilter("ignore", FarfieldWarning)  # said before the run
        step = display.job(options.ensemble)

        def keep(done: int, total: int, latest: dict[str, float]) -> None:
            rows.append(latest)
            step("md", done, total, {})

        run_md(atoms, calculator, out, options, on_step=keep, on_note=lambda said: show_notice(Notice("note", said)))
    return rows


def _without_effect(options: MDOptions) -> list[str]:
    """Options given that this ensemble does not read."""
    defaults = MDOptions()
    return [
        f"--{name} has no effect in {options.ensemble}; it is for {reader}"
        for name, reader in (("pressure", "npt"), ("friction", "nvt"))
        if options.ensemble != reader and getattr(options, name) != getattr(defaults, name)
    ]


def _velocities(atoms: "ase.Atoms", options: MDOptions, asked: float | None) -> list[str]:
    """Say whose velocities begin the run, where the file has some; ``asked`` is the temperature on the line, K."""
    if not atoms.get_momenta().any():
        return []
    from farfield.deploy.velocities import temperature_of

    said = f"the first velocities of the run are those of the file ({temperature_of(atoms):.0f} K)"
    if options.ensemble != "nve":
        return [f"{said}; --temperature {options.temperature:g} is the thermostat's"]
    return [said if asked is None else f"{said}; --temperature {asked:g} is not used in nve"]


def _summary(rows: list[dict[str, float]], out: Path, ensemble: str) -> None:
    from rich.console import Console

    from farfield.deploy.restart import log_of

    console = Console(highlight=False, soft_wrap=True)
    if not rows:
        console.print(f"{out} has all its steps already; ask for more with --steps")
        return
    mean = sum(row["temperature_K"] for row in rows) / len(rows)
    with log_of(out).open() as table:
        start = float(next(csv.DictReader(table))["total_eV"])
    since = f", total energy changed by {1e3 * (rows[-1]['total_eV'] - start):+.2f} meV since the start"
    kept = since if ensemble == "nve" else ""  # a thermostat takes and gives
    console.print(
        f"{rows[-1]['time_ps']:.3f} ps, mean temperature {mean:.0f} K{kept}; trajectory {out}, log {log_of(out)}"
    )
