"""F = -dE/dR: the forces are the slope of the energy."""

from collections.abc import Callable

import ase
import numpy as np

from farfield.probe.finding import Check, Curve, Plot, Verdict
from farfield.probe.law import CONSISTENCY, Law
from farfield.probe.measures.samples import each_sample
from farfield.probe.measures.slopes import nearest_slopes
from farfield.probe.stage import Stage
from farfield.probe.subject import Floats, given

STEPS = (1e-3, 5e-3)
"""Å, fine and coarse."""
TOLERANCE = 2e-4
"""Part of the rms force, or eV/Å where that is below one."""


def judge(stage: Stage) -> Verdict:
    """Along directions in the space of all atoms, and for single atoms, by fourth-order differences of the energy."""
    found: list[float] = []
    expected: list[float] = []

    def one(word: str, atoms: ase.Atoms) -> list[Check]:
        forces = given(stage.see([atoms], "forces")[0].forces)
        ways = _directions(atoms, 4 if stage.fast else 8)
        along = -np.einsum("kna,na->k", ways, forces)
        slopes, rounding = nearest_slopes(stage, [_moved(atoms, way) for way in ways], along, STEPS, stage.noise(atoms))
        tolerance = TOLERANCE * max(1.0, float(np.sqrt((forces**2).sum(1).mean()))) + rounding
        share = float(np.linalg.norm(along - slopes)) / max(float(np.linalg.norm(slopes)), 1e-12)
        fault = (
            f"Forces are not the slope of the energy ({100 * share:.2g} % off): a term of the chain rule is missing, "
            "as a rule how charges change when atoms move (dq/dR)."
        )
        found.extend(along.tolist())
        expected.extend(slopes.tolist())
        return [
            Check(f"{word}: dE/ds", float(slope), float(here), tolerance, "eV/Å", fault)
            for slope, here in zip(slopes, along)
        ]

    checks, left_out = each_sample(stage, one)
    line = sorted(expected)
    plot = Plot(
        "slope of the energy (eV/Å)", "minus force along it (eV/Å)",
        (Curve("equal", tuple(line), tuple(line), "expected"), Curve("found", tuple(expected), tuple(found))),
    )  # fmt: skip
    return Verdict(checks, "Forces are the slope of the energy.", plot, left_out)


LAW = Law("force", "Force is the slope of the energy", judge, CONSISTENCY)


def _directions(atoms: ase.Atoms, count: int) -> Floats:
    """``(count, atoms, 3)`` of unit length: half of them of all atoms, half of one atom."""
    generator = np.random.default_rng(5)
    ways = generator.normal(size=(count, len(atoms), 3))
    for k in range(count // 2, count):
        ways[k, np.arange(len(atoms)) != generator.integers(len(atoms))] = 0
    unit: Floats = ways / np.linalg.norm(ways.reshape(count, -1), axis=1)[:, None, None]
    return unit


def _moved(atoms: ase.Atoms, way: Floats) -> Callable[[float], ase.Atoms]:
    def at(distance: float) -> ase.Atoms:
        moved = atoms.copy()
        moved.positions += distance * way
        return moved

    return at
