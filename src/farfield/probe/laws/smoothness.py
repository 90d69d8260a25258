"""Energy and forces have no steps: along bonds, through the cutoff, and while an atom moves among others."""

from collections.abc import Sequence

import ase
import numpy as np
from ase.data import covalent_radii

from farfield.probe.finding import Check, Curve, Plot, Verdict
from farfield.probe.smooth import largest_step
from farfield.probe.stage import Stage
from farfield.probe.subject import Floats, given

ENERGY = 2e-5
"""eV that the energy may jump."""
FORCE = 1e-3
"""eV/Å that a force may jump, for the largest force up to 1 eV/Å, and as part of it beyond."""


def judge(stage: Stage) -> Verdict:
    """Every pair of elements stretched from contact through the cutoff, and atoms carried 1 Å through a structure."""
    step = 0.02 if stage.fast else 0.01
    checks: list[Check] = []
    plots = []
    for pair in _pairs(stage.subject.species):
        shortest = float(covalent_radii[list(pair)].sum())
        distance = np.arange(shortest, max(stage.subject.cutoff + 0.5, shortest + 1), step)
        frames = [ase.Atoms(pair, [[0, 0, 0], [r, 0, 0]]) for r in distance]
        for frame in frames:
            frame.info["charge"] = stage.subject.total_charge(pair)
        found = _scan(stage, frames)
        name = str(ase.Atoms(pair).symbols)
        checks += _steps(name, distance, "Å apart", *found, spare=3 * stage.noise(frames[0]))
        plots.append(Curve(name, tuple(distance.tolist()), tuple(found[1][:, 1, 0].tolist())))
    for word, atoms in stage.samples:
        along = np.arange(0, 1.0, step)
        found = _scan(stage, _carried(atoms, along))
        checks += _steps(f"an atom through the {word}", along, "Å on its way", *found, spare=3 * stage.noise(atoms))
    plot = Plot("distance (Å)", "force between two atoms (eV/Å)", tuple(plots))
    return Verdict(tuple(checks), "Energies and forces have no steps.", plot)


def _pairs(species: tuple[int, ...]) -> list[tuple[int, int]]:
    """Unlike and like pairs, six at most."""
    return [(a, b) for k, a in enumerate(species) for b in species[k:]][:6]


def _carried(atoms: ase.Atoms, along: Floats) -> list[ase.Atoms]:
    way = np.random.default_rng(9).normal(size=3)
    way /= np.linalg.norm(way)
    frames = []
    for distance in along - along.mean():
        moved = atoms.copy()
        moved.positions[0] += distance * way
        frames.append(moved)
    return frames


def _scan(stage: Stage, frames: Sequence[ase.Atoms]) -> tuple[Floats, Floats]:
    seen = stage.see(frames, "forces")
    return np.array([s.energy for s in seen]), np.array([given(s.forces) for s in seen])


def _steps(name: str, at: Floats, where: str, energy: Floats, forces: Floats, *, spare: float) -> list[Check]:
    out = []
    size = FORCE * max(1.0, float(np.median(np.abs(forces).max((1, 2)))))
    for word, values, tolerance, unit in (("energy", energy, ENERGY + spare, "eV"), ("force", forces, size, "eV/Å")):
        step, k = largest_step(values)
        fault = (
            f"The {word} jumps by {step:.2g} {unit} at {at[k]:.2f} {where}: something is cut off without going to zero "
            "smoothly (a hard cutoff, or neighbours that are missed)."
        )
        out.append(Check(f"{name}: largest step of the {word}", 0.0, step, tolerance, unit, fault))
    return out
