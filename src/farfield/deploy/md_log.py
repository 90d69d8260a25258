"""The table beside a trajectory: a row for every stored frame, whatever a kill or an older run left of it."""

from collections.abc import Sequence
from pathlib import Path

import ase
from ase.io.trajectory import Trajectory

from farfield.deploy.restart import log_of

COLUMNS = ("step", "time_ps", "temperature_K", "potential_eV", "total_eV", "volume_A3")
COULOMB, COULOMB_COLUMN = "energy_coulomb", "energy_coulomb_eV"
"""The electrostatic part of the energy, as the calculator's results and frames' ``info`` call it, and its column."""


def columns(atoms: ase.Atoms) -> tuple[str, ...]:
    """Name the columns of the log for frames like this one, whose energy is known."""
    return (*COLUMNS, COULOMB_COLUMN) if COULOMB in atoms.info else COLUMNS


def keep_coulomb(atoms: ase.Atoms) -> None:
    """Put the electrostatic part of the energy, if the calculator tells it, where trajectories store it."""
    if (found := getattr(atoms.calc, "results", {}).get(COULOMB)) is not None:
        atoms.info[COULOMB] = float(found)


def row(atoms: ase.Atoms, timestep: float) -> dict[str, float]:
    """Fill the columns of the log from a frame with its energy."""
    step, potential = int(atoms.info["step"]), float(atoms.get_potential_energy())
    volume = atoms.get_volume() if atoms.cell.rank == 3 else float("nan")
    total = potential + float(atoms.get_kinetic_energy())
    values = (step, 1e-3 * step * timestep, float(atoms.get_temperature()), potential, total, float(volume))
    return dict(zip(columns(atoms), (*values, float(atoms.info.get(COULOMB, "nan")))))


def line(found: dict[str, float], names: Sequence[str]) -> str:
    """A row as text; nan where it has nothing to say."""
    values = [found.get(name, float("nan")) for name in names[1:]]
    return ",".join([str(found["step"]), *(f"{value:.10g}" for value in values)]) + "\n"


def mended(out: Path, timestep: float, names: Sequence[str]) -> str:
    """One row for every stored frame of ``out``; those that the log lost are told from the frames."""
    lines = _whole_lines(log_of(out), names)
    with Trajectory(str(out)) as frames:
        lines = lines[: len(frames)]
        if lines and lines[-1].split(",")[0] != str(frames[len(lines) - 1].info["step"]):
            lines = []
        lines += [line(row(frames[k], timestep), names) for k in range(len(lines), len(frames))]
    return "".join([",".join(names) + "\n", *lines])


def _whole_lines(log: Path, names: Sequence[str]) -> list[str]:
    """Rows of a log up to the first that is torn, nan in the columns that it lacks."""
    header, *lines = (log.read_text(errors="replace") if log.exists() else "\n").split("\n")
    has = header.split(",")
    if not set(COLUMNS) <= set(has):
        return []
    lines = lines[:-1]  # what stands after the last line break is torn, or nothing
    torn = (k for k, text in enumerate(lines) if text.count(",") != len(has) - 1)
    rows = [dict(zip(has, text.split(","))) for text in lines[: next(torn, len(lines))]]
    return [",".join(found.get(name, "nan") for name in names) + "\n" for found in rows]
