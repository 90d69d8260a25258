"""d²E/dRdE is symmetric: a Born charge is the slope of the dipole with position and of the force with the field."""

import ase
import numpy as np

from farfield.probe.finding import Check, NotApplicable, Verdict
from farfield.probe.law import RESPONSE, Law
from farfield.probe.measures.samples import each_sample
from farfield.probe.stage import Stage
from farfield.probe.subject import Floats, given

STEP = 5e-3
"""Å."""
FIELD = 5e-3
"""V/Å."""
TOLERANCE = 2e-3
"""e."""

WAYS = ("Born charge", "dd/dR", "dF/dE")


def judge(stage: Stage) -> Verdict:
    """Any two of the Born charges it states, dd/dR by differences (molecules), and dF/dE where a field acts, agree."""
    samples = stage.samples
    if all(word == "crystal" for word, _ in samples):  # Born charges of a molecule are judged in any case
        samples = [*samples, ("molecule", stage.molecule)]
    gives = stage.subject.gives
    if len({"born_charges", "dipole"} & gives) + stage.subject.takes_field < 2:
        raise NotApplicable("the model gives fewer than two of Born charges, a dipole and forces in a field")
    said: set[str] = set()

    def one(word: str, atoms: ase.Atoms) -> list[Check]:
        found = _all_ways(stage, word, atoms)
        said.update(found)
        return _compared(word, atoms, found)

    checks, left_out = each_sample(stage, one, samples)
    names = [name for name in WAYS if name in said]
    return Verdict(checks, f"{', '.join(names)} agree.", left_out=left_out)


LAW = Law("maxwell", "Born charges, dipole and field agree", judge, RESPONSE)


def _all_ways(stage: Stage, word: str, atoms: ase.Atoms) -> dict[str, Floats]:
    """Take one derivative in every way the subject has it; a crystal has no dipole."""
    found: dict[str, Floats] = {}
    if word == "crystal" and not stage.subject.takes_field:
        return found
    if "born_charges" in stage.subject.gives:
        found["Born charge"] = given(stage.see([atoms], "born_charges")[0].born_charges)
    if "dipole" in stage.subject.gives and word == "molecule":
        found["dd/dR"] = _dipole_slopes(stage, atoms)
    if stage.subject.takes_field and (found or word == "molecule"):
        found["dF/dE"] = _force_slopes(stage, atoms)
    return found


def _compared(word: str, atoms: ase.Atoms, found: dict[str, Floats]) -> list[Check]:
    if len(found) < 2:
        return []
    (name, first), *others = found.items()
    checks = []
    for other, second in others:
        worst = np.unravel_index(np.abs(first - second).argmax(), first.shape)
        atom, a, b = (int(k) for k in worst)
        fault = _fault(name, other, first, second)
        what = f"{word}, {atoms.symbols[atom]} (atom {atom}), {'xyz'[a]}{'xyz'[b]}: {name} against {other}"
        checks.append(Check(what, float(second[worst]), float(first[worst]), TOLERANCE, "e", fault))
    return checks


def _fault(name: str, other: str, first: Floats, second: Floats) -> str:
    if np.abs(first.transpose(0, 2, 1) - second).max() < 0.2 * np.abs(first - second).max():
        return f"{name} and {other} are each other's transpose: its axes are swapped, [a, b] must be dd_a/dR_b."
    return f"{name} is not {other}: they do not come from one energy (a term such as dq/dR or -d·E is missing)."


def _dipole_slopes(stage: Stage, atoms: ase.Atoms) -> Floats:
    """[i, a, b] = dd_a/dR_ib, e."""
    frames = []
    for atom in range(len(atoms)):
        for axis in range(3):
            for sign in (-1, 1):
                moved = atoms.copy()
                moved.positions[atom, axis] += sign * STEP
                frames.append(moved)
    dipoles = np.array([given(seen.dipole) for seen in stage.see(frames, "dipole")]).reshape(len(atoms), 3, 2, 3)
    slopes: Floats = ((dipoles[:, :, 1] - dipoles[:, :, 0]) / (2 * STEP)).transpose(0, 2, 1)
    return slopes


def _force_slopes(stage: Stage, atoms: ase.Atoms) -> Floats:
    """[i, a, b] = dF_ib/dE_a, e."""
    frames = []
    for axis in range(3):
        for sign in (-1, 1):
            frame = atoms.copy()
            frame.info["external_field"] = sign * FIELD * np.eye(3)[axis]
            frames.append(frame)
    forces = np.array([given(seen.forces) for seen in stage.see(frames, "forces")]).reshape(3, 2, len(atoms), 3)
    slopes: Floats = ((forces[:, 1] - forces[:, 0]) / (2 * FIELD)).transpose(1, 0, 2)
    return slopes
