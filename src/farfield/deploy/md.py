"""Molecular dynamics with ASE's integrators: trajectory, log, restart."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ase
import ase.io
import ase.units
import numpy as np
from ase.io.trajectory import Trajectory
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import IsotropicMTKNPT
from ase.md.verlet import VelocityVerlet

from farfield.errors import ConvergenceError, InputError

Ensemble = Literal["nve", "nvt", "npt"]


@dataclass(frozen=True, kw_only=True)
class MDOptions:
    """What to run."""

    ensemble: Ensemble = "nve"
    steps: int = 1000
    timestep: float = 0.5  # fs
    temperature: float = 300.0  # K, of the first velocities and of the thermostat
    pressure: float = 0.0  # GPa, npt
    friction: float = 0.01  # 1/fs, nvt
    every: int = 10  # steps between stored frames
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "timestep", "every"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} must be positive, not {getattr(self, name)}")
        for name in ("temperature", "friction"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must not be negative, not {getattr(self, name)}")
        if self.ensemble not in ("nve", "nvt", "npt"):
            raise InputError(f"there is no ensemble {self.ensemble!r}: nve, nvt or npt")


COLUMNS = ("step", "time_ps", "temperature_K", "potential_eV", "total_eV", "volume_A3")


def run_md(
    atoms: ase.Atoms,
    calculator: Any,
    out: Path,
    options: MDOptions,
    *,
    on_step: Callable[[int, int, dict[str, float]], None] | None = None,
) -> ase.Atoms:
    """Run to ``options.steps`` and return the last structure; a trajectory that is there already is continued.

    Writes ``out`` (ASE trajectory, with velocities, energies and forces) and ``out`` with suffix .csv (log).

    Raises:
        InputError: the trajectory there is of other atoms, npt without a periodic cell, or nowhere to write.
        ConvergenceError: the temperature ran away: the model was left behind.
    """
    if options.ensemble == "npt" and not atoms.pbc.all():
        raise InputError("npt needs a structure that is periodic along three axes")
    start, done = _resumed(atoms, out, options)
    start.calc = calculator
    dynamics = _integrator(start, options)
    with _Writer(start, out, options, done) as writer:
        if done == 0:
            writer.write(0)
        while done < options.steps:
            chunk = min(options.every, options.steps - done)
            dynamics.run(chunk)
            done += chunk
            latest = writer.write(done)
            if on_step is not None:
                on_step(done, options.steps, latest)
    return start


def _resumed(atoms: ase.Atoms, out: Path, options: MDOptions) -> tuple[ase.Atoms, int]:
    """The structure to go on from and the steps already done."""
    if out.exists() and out.stat().st_size:
        try:
            last = ase.io.read(out, index=-1)
        except Exception as failure:
            raise InputError(
                f"{out} is there but is no readable trajectory: remove it, or choose another --out"
            ) from failure
        if (last.numbers.shape != atoms.numbers.shape) or (last.numbers != atoms.numbers).any():
            raise InputError(f"{out} is a trajectory of {last.symbols}, not of {atoms.symbols}: choose another --out")
        return last, int(last.info.get("step", 0))
    start = atoms.copy()
    if not start.get_momenta().any():
        _give_velocities(start, options)
    return start, 0


def _give_velocities(atoms: ase.Atoms, options: MDOptions) -> None:
    """Maxwell-Boltzmann, without motion of the whole; ASE's own function changes its name between releases."""
    rng = np.random.default_rng(options.seed)
    masses = atoms.get_masses()[:, None]
    momenta = rng.normal(size=(len(atoms), 3)) * np.sqrt(masses * ase.units.kB * options.temperature)
    atoms.set_momenta(momenta - masses * momenta.sum(0) / masses.sum())


def _integrator(atoms: ase.Atoms, options: MDOptions) -> Any:
    step, fs = options.timestep * ase.units.fs, ase.units.fs
    if options.ensemble == "nve":
        return VelocityVerlet(atoms, step)
    if options.ensemble == "nvt":
        rng = np.random.default_rng([options.seed, int(atoms.info.get("step", 0))])
        return Langevin(atoms, step, temperature_K=options.temperature, friction=options.friction / fs, rng=rng)
    return IsotropicMTKNPT(
        atoms, step, temperature_K=options.temperature, pressure_au=options.pressure * ase.units.GPa,
        tdamp=100 * step, pdamp=1000 * step,
    )  # fmt: skip


class _Writer:
    """Frames and log rows, flushed as they come; a restart goes on below."""

    def __init__(self, atoms: ase.Atoms, out: Path, options: MDOptions, done: int) -> None:
        self.atoms, self.options = atoms, options
        self.log = out.with_suffix(".csv")
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            self.trajectory = Trajectory(str(out), "a" if done else "w", atoms)
            self._start_log(done)
        except OSError as failure:
            raise InputError(f"cannot write {out}: {failure.strerror}") from failure
        self.limit = max(10 * options.temperature, 10_000.0)

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self.trajectory.close()

    def _start_log(self, done: int) -> None:
        rows = []
        if done and self.log.exists():
            with self.log.open() as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= done]
        with self.log.open("w") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def write(self, step: int) -> dict[str, float]:
        """Store the present frame."""
        atoms = self.atoms
        potential, kinetic = atoms.get_potential_energy(), atoms.get_kinetic_energy()
        temperature = atoms.get_temperature()
        if not np.isfinite(potential) or temperature > self.limit:
            raise ConvergenceError(
                f"step {step}: {temperature:.0f} K and {potential:.1f} eV; the structure has left what the model "
                "knows. A shorter timestep, or training data of such structures, may help"
            )
        atoms.info["step"] = step
        self.trajectory.write()
        volume = atoms.get_volume() if atoms.cell.rank == 3 else float("nan")
        time_ps = 1e-3 * step * self.options.timestep
        row = dict(zip(COLUMNS, (step, time_ps, temperature, potential, potential + kinetic, volume)))
        with self.log.open("a") as file:
            csv.writer(file, lineterminator="\n").writerow(
                [step, *(f"{value:.10g}" for value in list(row.values())[1:])]
            )
        return {key: float(value) for key, value in row.items()}
