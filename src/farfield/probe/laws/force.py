"""F = -dE/dR: the forces are the slope of the energy."""

import ase
import numpy as np

from farfield.probe.finding import Check, Curve, Plot, Verdict
from farfield.probe.stage import EXACT, Stage
from farfield.probe.subject import Floats, given

FINE, COARSE = 1e-3, 5e-3
"""Å, in double precision and where energies are rounded."""


def judge(stage: Stage) -> Verdict:
    """Along directions in the space of all atoms, and for single atoms, by fourth-order differences of the energy."""
    checks: list[Check] = []
    found: list[float] = []
    expected: list[float] = []
    for word, atoms in stage.samples:
        forces = given(stage.see([atoms], "forces")[0].forces)
        ways = _directions(atoms, 4 if stage.fast else 8)
        noise = stage.noise(atoms)
        step = FINE if noise < EXACT else COARSE
        slopes = _slopes(stage, atoms, ways, step)
        along = -np.einsum("kna,na->k", ways, forces)
        size = max(1.0, float(np.sqrt((forces**2).sum(1).mean())))
        tolerance = 2e-4 * size + 3 * noise / step
        share = float(np.linalg.norm(along - slopes)) / max(float(np.linalg.norm(slopes)), 1e-12)
        fault = (
            f"Forces are not the slope of the energy ({100 * share:.2g} % off): a term of the chain rule is missing, "
            "as a rule how charges change when atoms move (dq/dR)."
        )
        checks += [
            Check(f"{word}: dE/ds", float(slope), float(here), tolerance, "eV/Å", fault)
            for slope, here in zip(slopes, along)
        ]
        found += along.tolist()
        expected += slopes.tolist()
    line = sorted(expected)
    plot = Plot(
        "slope of the energy (eV/Å)", "minus force along it (eV/Å)",
        (Curve("equal", tuple(line), tuple(line), "expected"), Curve("found", tuple(expected), tuple(found))),
    )  # fmt: skip
    return Verdict(tuple(checks), "Forces are the slope of the energy.", plot)


def _directions(atoms: ase.Atoms, count: int) -> Floats:
    """``(count, atoms, 3)`` of unit length: half of them of all atoms, half of one atom."""
    generator = np.random.default_rng(5)
    ways = generator.normal(size=(count, len(atoms), 3))
    for k in range(count // 2, count):
        ways[k, np.arange(len(atoms)) != generator.integers(len(atoms))] = 0
    unit: Floats = ways / np.linalg.norm(ways.reshape(count, -1), axis=1)[:, None, None]
    return unit


def _slopes(stage: Stage, atoms: ase.Atoms, ways: Floats, step: float) -> Floats:
    frames = []
    for way in ways:
        for steps in (-2, -1, 1, 2):
            moved = atoms.copy()
            moved.positions += steps * step * way
            frames.append(moved)
    energy = stage.energies(frames).reshape(-1, 4)
    slopes: Floats = energy @ np.array([1, -8, 8, -1]) / (12 * step)
    return slopes
