"""Molecular dynamics with ASE's integrators: trajectory, log, restart."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ase
import ase.units
import numpy as np
from ase.io.trajectory import Trajectory
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import IsotropicMTKNPT
from ase.md.verlet import VelocityVerlet

from farfield.atomic_write import write_atomically
from farfield.deploy import md_log
from farfield.deploy.constraints import check_constraints, hold
from farfield.deploy.md_options import MDOptions
from farfield.deploy.restart import check_claim, claim, fingerprint, log_of, whole_frames
from farfield.deploy.velocities import give_velocities
from farfield.errors import ConvergenceError, InputError

_READ_BY = {"pressure": ("npt",), "friction": ("nvt",)}
NPT_RESTART = (
    "npt goes on from the stored positions, velocities and cell; its thermostat and barostat start anew from rest, "
    "as ASE does not store them: leave out the picosecond after the restart"
)


def run_md(
    atoms: ase.Atoms,
    calculator: Any,
    out: Path,
    options: MDOptions,
    *,
    on_step: Callable[[int, int, dict[str, float]], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> ase.Atoms:
    """Run to ``options.steps`` and return the last structure; this run's trajectory, if there, is continued.

    Writes ``out`` (ASE trajectory, with velocities, energies and forces) and beside it, with suffix .csv, the log, and
    with suffix .json what the run is of: start structure, options and ``calculator.identity`` (its class if it has
    none). A restart must agree with that; ``steps`` and ``every`` may change. The last whole frame counts: what a kill
    tore is cut off. ``on_note`` hears, once, what a restart could not keep. What ASE's constraints hold stays where it
    is, and temperatures count the degrees of freedom that are left; a spring's (``Hookean``) energy is in the total.

    Raises:
        InputError: what is at ``out`` is of another run, npt without a periodic cell or with constraints, constraints
            that no restart could keep, or nowhere to write.
        ConvergenceError: the temperature ran away: the model was left behind.
    """
    if options.ensemble == "npt" and not atoms.pbc.all():
        raise InputError("npt needs a structure that is periodic along three axes")
    if options.ensemble == "npt" and atoms.info.get("external_charges") is not None:
        raise InputError("npt cannot strain external charges with the cell: take nvt, or leave them away")
    check_constraints(atoms, options.ensemble)
    model = getattr(calculator, "identity", type(calculator).__name__)
    run = fingerprint(atoms, _deciding(options), model)
    check_claim(out, run)
    start, frames = _start(atoms, out, options)
    start.calc = calculator
    done = int(start.info["step"])
    if frames and options.ensemble == "npt" and done < options.steps and on_note is not None:
        on_note(NPT_RESTART)
    if not frames or done < options.steps:
        start.get_forces()  # whatever is wrong with structure or model is said before a file is made
        md_log.keep_coulomb(start)
    dynamics = _integrator(start, options)
    with _Writer(start, out, options, run) as writer:
        if not frames:
            writer.write(0)
        while done < options.steps:
            chunk = min(options.every, options.steps - done)
            dynamics.run(chunk)
            done += chunk
            latest = writer.write(done)
            if on_step is not None:
                on_step(done, options.steps, latest)
    return start


def _deciding(options: MDOptions) -> dict[str, Any]:
    """Options that a restart must not change: those that the ensemble reads, but for how long and how often."""
    said = asdict(options)
    free = {"steps", "every"} | {name for name, reads in _READ_BY.items() if options.ensemble not in reads}
    return {name: value for name, value in said.items() if name not in free}


def _start(atoms: ase.Atoms, out: Path, options: MDOptions) -> tuple[ase.Atoms, int]:
    """The structure to go on from, its step in ``info``, and how many frames are stored already."""
    start = atoms.copy()
    hold(start, atoms)
    start.info["step"] = 0
    frames = whole_frames(out)
    if frames:
        with Trajectory(str(out)) as stored:
            first, last = stored[0], stored[-1]
        if not _same_place(first, atoms) or first.info.get("step") != 0:
            raise InputError(f"{out} does not begin with this structure: choose another --out")
        start.set_cell(last.cell, apply_constraint=False)
        start.positions[:] = last.positions
        start.set_momenta(last.get_momenta(), apply_constraint=False)
        start.info |= {name: last.info[name] for name in ("step", md_log.COULOMB) if name in last.info}
    elif not start.get_momenta().any():
        give_velocities(start, options.temperature, options.seed)
    elif start.constraints:
        start.set_momenta(start.get_momenta())  # without what constraints do not let move
    return start, frames


def _same_place(one: ase.Atoms, other: ase.Atoms) -> bool:
    return np.array_equal(one.numbers, other.numbers) and np.array_equal(one.positions, other.positions)


def _integrator(atoms: ase.Atoms, options: MDOptions) -> Any:
    step, fs = options.timestep * ase.units.fs, ase.units.fs
    if options.ensemble == "nve":
        return VelocityVerlet(atoms, step)
    if options.ensemble == "nvt":
        rng = np.random.default_rng([options.seed, int(atoms.info.get("step", 0))])
        # the centre of mass is thermalised with the rest: ASE's way of fixing it does not sample NVT
        return Langevin(
            atoms, step, temperature_K=options.temperature, friction=options.friction / fs, fixcm=False, rng=rng
        )
    return IsotropicMTKNPT(
        atoms, step, temperature_K=options.temperature, pressure_au=options.pressure * ase.units.GPa,
        tdamp=100 * step, pdamp=1000 * step,
    )  # fmt: skip


class _Writer:
    """Frames and log rows, flushed as they come; a restart goes on below."""

    def __init__(self, atoms: ase.Atoms, out: Path, options: MDOptions, run: dict[str, Any]) -> None:
        self.atoms, self.timestep = atoms, options.timestep
        self.log, self.columns = log_of(out), md_log.columns(atoms)
        self.limit = max(10 * options.temperature, 10_000.0)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            continued = whole_frames(out) > 0
            if not continued:
                claim(out, run)
            log = md_log.mended(out, options.timestep, self.columns) if continued else ",".join(self.columns) + "\n"
            write_atomically(self.log, log.encode())
            self.trajectory = Trajectory(str(out), "a" if continued else "w", atoms)
        except OSError as failure:
            raise InputError(f"cannot write {out}: {failure.strerror}") from failure

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self.trajectory.close()

    def write(self, step: int) -> dict[str, float]:
        """Store the present frame."""
        self.atoms.info["step"] = step
        md_log.keep_coulomb(self.atoms)
        row = md_log.row(self.atoms, self.timestep)
        potential, temperature = row["potential_eV"], row["temperature_K"]
        if not np.isfinite(potential) or temperature > self.limit:
            raise ConvergenceError(
                f"step {step}: {temperature:.0f} K and {potential:.1f} eV; the structure has left what the model "
                "knows. A shorter timestep, or training data of such structures, may help"
            )
        self.trajectory.write()
        with self.log.open("a") as file:
            file.write(md_log.line(row, self.columns))
        return row
