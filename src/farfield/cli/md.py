"""``farfield md MODEL STRUCTURE``: molecular dynamics."""

import argparse
import csv
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import numpy as np
from rich.console import Console

from farfield.cli.notices import show_notice
from farfield.cli.progress import ProgressDisplay
from farfield.data.config import CONDITIONS
from farfield.data.conversion import condition_factor
from farfield.data.files import load_structures
from farfield.data.spellings import overlooked
from farfield.deploy.ase import FarfieldCalculator
from farfield.deploy.constraints import check_constraints
from farfield.deploy.md import MDOptions, run_md
from farfield.deploy.restart import log_of
from farfield.deploy.velocities import temperature_of, unread_velocities
from farfield.errors import FarfieldWarning, InputError
from farfield.notices import Notice


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
    given = {name: getattr(args, name) for name in MDOptions.__dataclass_fields__}
    options = MDOptions(**{name: value for name, value in given.items() if value is not None})
    frames = load_structures(args.structure)
    if not -len(frames) <= args.frame < len(frames):
        raise InputError(f"{args.structure} has {len(frames)} frames; there is no frame {args.frame}")
    calculator = FarfieldCalculator(args.model, device=args.device, dtype=args.dtype)
    atoms = frames[args.frame]
    check_constraints(atoms, options.ensemble)
    notes = _without_effect(options) + _velocities(atoms, options, args.temperature)
    keys = calculator.model.training_summary.get("keys", {})
    notes += take_conditions(atoms, keys)
    if args.external_field is not None:
        atoms.info["external_field"] = args.external_field  # so that every stored frame says in which field it was
    if atoms.pbc.any() and atoms.info.get("external_field") is not None and calculator.model.charge_flows:
        notes.append(
            "this model has no polarization of one value in a crystal: in a field along its lattice vectors the total "
            "energy is not conserved. Train with conservation: bond where it should be"
        )
    for said in notes:
        show_notice(Notice("note", said))
    for said in (*overlooked_in(atoms, keys), *filter(None, [unread_velocities(atoms)])):
        show_notice(Notice("warning", said))
    rows: list[dict[str, float]] = []
    with ProgressDisplay() as display:
        step = display.job(options.ensemble)

        def keep(done: int, total: int, latest: dict[str, float]) -> None:
            rows.append(latest)
            step("md", done, total, {})

        def note(said: str) -> None:
            show_notice(Notice("note", said))

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FarfieldWarning)  # said above
            run_md(atoms, calculator, args.out, options, on_step=keep, on_note=note)
    _summary(rows, args.out, options.ensemble)
    return 0


def take_conditions(atoms: ase.Atoms, keys: dict[str, Any]) -> list[str]:
    """Total charge, spin, field, … from where the training data had them into ``info``; what was done, in words.

    ``keys`` is what the model was trained with, for instance ``{"total_charge": "Q", "spin_unit": "multiplicity"}``.
    """
    said = []
    for label, name in CONDITIONS.items():
        key, own = keys.get(label), _in_own_units(name, keys)
        if key is None or (key == name and (own is None or name not in atoms.info)):
            continue
        if key in atoms.info:
            atoms.info[name] = atoms.info[key] if own is None else own(np.asarray(atoms.info[key]))
            said.append(f'{label} = {atoms.info[name]}, from "{key}" as in training')
        else:
            said.append(
                f'{label} = {atoms.info.get(name, 0)}; the model was trained with {label} = "{key}", '
                "which this structure does not have"
            )
    return said


def _in_own_units(name: str, keys: dict[str, Any]) -> Callable[[Any], Any] | None:
    """What makes a condition of the training data's one in farfield's units; None where they are the same."""
    if name == "spin":
        return (lambda multiplicity: multiplicity - 1) if keys.get("spin_unit") == "multiplicity" else None
    factor = condition_factor(name, keys.get("energy_unit"), keys.get("field_unit", "V/angstrom"))
    return None if factor == 1 else lambda value: factor * value


def overlooked_in(atoms: ase.Atoms, keys: dict[str, Any]) -> list[str]:
    """Conditions under other names than those that ``take_conditions`` has read, a sentence each."""
    taken = [label for label, name in CONDITIONS.items() if atoms.info.get(name) is not None]
    sources = {keys.get(label) for label in taken} - set(CONDITIONS.values())
    info = {key: value for key, value in atoms.info.items() if key not in sources}
    read = {label: name if label in taken else keys.get(label) or name for label, name in CONDITIONS.items()}
    return overlooked([info], read)


def _without_effect(options: MDOptions) -> list[str]:
    """Options given that this ensemble does not read."""
    defaults = MDOptions()
    return [
        f"--{name} has no effect in {options.ensemble}; it is for {reader}"
        for name, reader in (("pressure", "npt"), ("friction", "nvt"))
        if options.ensemble != reader and getattr(options, name) != getattr(defaults, name)
    ]


def _velocities(atoms: ase.Atoms, options: MDOptions, asked: float | None) -> list[str]:
    """Whose velocities the run begins with, where the file has some; ``asked`` is the temperature on the line, K."""
    if not atoms.get_momenta().any():
        return []
    said = f"the first velocities of the run are those of the file ({temperature_of(atoms):.0f} K)"
    if options.ensemble != "nve":
        return [f"{said}; --temperature {options.temperature:g} is the thermostat's"]
    return [said if asked is None else f"{said}; --temperature {asked:g} is not used in nve"]


def _summary(rows: list[dict[str, float]], out: Path, ensemble: str) -> None:
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
