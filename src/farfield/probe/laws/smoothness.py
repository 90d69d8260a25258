"""Energy and forces have no steps: along bonds, through the cutoff, and while an atom moves among others."""

from collections.abc import Callable, Sequence

import ase
import numpy as np
from ase.data import covalent_radii

from farfield.probe.finding import Check, Curve, Plot, Verdict
from farfield.probe.law import SMOOTHNESS, Law
from farfield.probe.measures.samples import each_sample
from farfield.probe.measures.smooth import Step, largest_steps
from farfield.probe.stage import Stage
from farfield.probe.subject import Floats, Refused, given

ENERGY = 2e-5
"""eV that the energy may jump."""
FORCE = 1e-3
"""eV/Å that a force may jump where forces are below 1 eV/Å, and as part of them beyond."""


def judge(stage: Stage) -> Verdict:
    """Every pair of elements stretched from contact through the cutoff, and atoms carried 1 Å through a structure."""
    points = 200 if stage.fast else 400
    checks: list[Check] = []
    plots = []
    for pair in _pairs(stage.subject.species):
        shortest = float(covalent_radii[list(pair)].sum())
        distance = np.linspace(shortest, max(stage.subject.cutoff + 0.5, shortest + 1), points)
        name = str(ase.Atoms(pair).symbols)
        try:
            (_, forces), steps = _scan(stage, _stretched(stage, pair), distance)
        except Refused:  # ions of one sign, where charges are fixed and there should be none in all
            continue
        checks += _checks(name, "Å apart", forces, steps, spare=3 * stage.noise(_stretched(stage, pair)(shortest)))
        plots.append(Curve(name, tuple(distance.tolist()), tuple(forces[:, 1, 0].tolist())))

    def one(word: str, atoms: ase.Atoms) -> list[Check]:
        (_, forces), steps = _scan(stage, _carried(atoms), np.linspace(-0.5, 0.5, points // 2))
        name = f"an atom through the {word}"
        return _checks(name, "Å from its place", forces, steps, spare=3 * stage.noise(atoms))

    carried, left_out = each_sample(stage, one)
    plot = Plot("distance (Å)", "force between two atoms (eV/Å)", tuple(plots))
    return Verdict((*checks, *carried), "Energies and forces have no steps.", plot, left_out)


LAW = Law("smoothness", "No steps along bonds", judge, SMOOTHNESS)


def _pairs(species: tuple[int, ...]) -> list[tuple[int, int]]:
    """Unlike and like pairs, six at most."""
    return [(a, b) for k, a in enumerate(species) for b in species[k:]][:6]


def _stretched(stage: Stage, pair: Sequence[int]) -> Callable[[float], ase.Atoms]:
    charge = stage.subject.total_charge(pair)
    return lambda distance: ase.Atoms(pair, [[0, 0, 0], [distance, 0, 0]], info={"charge": charge})


def _carried(atoms: ase.Atoms) -> Callable[[float], ase.Atoms]:
    way = np.random.default_rng(9).normal(size=3)
    way /= np.linalg.norm(way)

    def at(distance: float) -> ase.Atoms:
        moved = atoms.copy()
        moved.positions[0] += distance * way
        return moved

    return at


def _scan(stage: Stage, at: Callable[[float], ase.Atoms], grid: Floats) -> tuple[list[Floats], list[Step]]:
    def energies_and_forces(points: Floats) -> list[Floats]:
        seen = stage.see([at(float(x)) for x in points], "forces")
        return [np.array([s.energy for s in seen]), np.array([given(s.forces) for s in seen])]

    return largest_steps(energies_and_forces, grid)


def _checks(name: str, where: str, forces: Floats, steps: list[Step], *, spare: float) -> list[Check]:
    size = FORCE * max(1.0, float(np.median(np.abs(forces).max((1, 2)))))
    out = []
    for word, step, tolerance, unit in zip(("energy", "force"), steps, (ENERGY + spare, size), ("eV", "eV/Å")):
        fault = (
            f"The {word} jumps by {step.size:.2g} {unit} at {step.at:.2f} {where}: something is cut off without going "
            "to zero smoothly (a hard cutoff, or neighbours that are missed)."
        )
        out.append(Check(f"{name}: largest step of the {word}", 0.0, step.size, tolerance, unit, fault))
    return out
