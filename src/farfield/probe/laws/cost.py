"""Cost of energy and forces, in time and memory, against the number of atoms."""

import math
import sys
import time

import ase
import numpy as np

from farfield.probe.finding import Curve, Plot, Verdict
from farfield.probe.law import COST, Law
from farfield.probe.stage import Stage

MOST = 5000
"""Atoms."""


def judge(stage: Stage) -> Verdict:
    """Larger and larger supercells as long as the next should take no more than seconds; for information only."""
    limit = 0.5 if stage.fast else 4.0
    atoms: list[int] = []
    seconds: list[float] = []
    before = _peak()
    for size in range(1, 9):
        crystal = _supercell(stage, size)
        if seconds and (len(crystal) > MOST or seconds[-1] * (len(crystal) / atoms[-1]) ** 1.5 > limit):
            break
        seconds.append(_timed(stage, crystal))
        atoms.append(len(crystal))
    pace = 1e6 * seconds[-1] / atoms[-1]
    grown = _peak() - before
    memory = f"; peak memory grew by {grown:.0f} MB up to there" if math.isfinite(grown) else ""
    said = f"{pace:.3g} µs/atom at {atoms[-1]} atoms{_scaling(atoms, seconds)}{memory}."
    curve = Curve("found", tuple(map(float, atoms)), tuple(seconds))
    return Verdict((), said, Plot("atoms", "energy and forces (s)", (curve,), logarithmic=True))


LAW = Law("cost", "Time and memory", judge, COST)


def _supercell(stage: Stage, size: int) -> ase.Atoms:
    base = stage.crystal if stage.salt is None or stage.structures else stage.salt.conventional()
    return base.repeat(size)


def _timed(stage: Stage, crystal: ase.Atoms) -> float:
    """The faster of two predictions, of atoms that moved in between: calculators remember the last they saw."""
    spent = []
    for k in range(2):
        crystal.positions += 1e-3 * np.sin(np.arange(crystal.positions.size) + k).reshape(-1, 3)
        start = time.perf_counter()
        stage.see([crystal], "forces")
        spent.append(time.perf_counter() - start)
    return min(spent)


def _scaling(atoms: list[int], seconds: list[float]) -> str:
    if len(atoms) < 4:
        return ""
    return f", growing as N^{np.polyfit(np.log(atoms[-3:]), np.log(seconds[-3:]), 1)[0]:.1f}"


def _peak() -> float:
    """Largest memory of this process so far, MB; nan where the system does not tell."""
    try:
        import resource
    except ImportError:
        return math.nan
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1 << 20 if sys.platform == "darwin" else 1 << 10)
