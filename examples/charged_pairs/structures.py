"""Structures of the embedded data sets: charged and polar pairs from contact to 15 Å, and distorted monomers.

Run ``python structures.py structures.xyz`` and label them with
``farfield label structures.xyz --engine pyscf --workers 2 --out charged_pairs.xyz``; likewise
``python structures.py dissociation structures.xyz`` for the smaller set of Na⁺ with Cl⁻ and K⁺ with water.
"""

import sys

import ase
import ase.io
import numpy as np
from ase.build import molecule
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

FRAGMENTS = {
    "K+": (ase.Atoms("K"), 1),
    "Na+": (ase.Atoms("Na"), 1),
    "Cl-": (ase.Atoms("Cl"), -1),
    "CN-": (ase.Atoms("CN", [[0, 0, 0], [0, 0, 1.18]]), -1),
    "HCOO-": (
        ase.Atoms("CHOO", [[0, 0, 0], [0, 0, -1.13], [0, 1.13, 0.53], [0, -1.13, 0.53]]),
        -1,
    ),
    "NH4+": (
        ase.Atoms("NH4", np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 0.592),
        1,
    ),
    "H2O": (molecule("H2O"), 0),
}
# pair → (frames closer than 8 Å, frames from 8 to 15 Å, closest approach of any two atoms in Å)
PAIRS = {
    ("K+", "Cl-"): (24, 14, 2.35),
    ("K+", "CN-"): (34, 18, 2.35),
    ("K+", "HCOO-"): (36, 18, 2.25),
    ("NH4+", "H2O"): (32, 16, 1.55),
    ("H2O", "H2O"): (32, 14, 1.70),
}
MONOMERS = {"K+": 1, "Cl-": 1, "CN-": 6, "HCOO-": 10, "NH4+": 10, "H2O": 10}
# the energy of bending and stretching these takes more frames than their pairs give
MORE_MONOMERS = ({"CN-": 6, "HCOO-": 32, "NH4+": 28, "H2O": 14}, {"CN-": 16, "HCOO-": 60, "NH4+": 20})
# beyond the contacts, where multipoles alone act: what fixes the charges that a model learns
MIDDLE, MIDDLE_PAIRS = 4.5, 18
MORE_MIDDLE_PAIRS = {("K+", "CN-"): 30, ("K+", "HCOO-"): 40, ("NH4+", "H2O"): 20}
# the smaller set: (frames closer than 8 Å, from 8 to 15 Å, closest approach), and monomers
DISSOCIATING = {("Na+", "Cl-"): (36, 14, 2.0), ("K+", "H2O"): (64, 18, 2.15)}
ALONE = {"Na+": 1, "K+": 1, "Cl-": 1, "H2O": 20}
NEAR, FAR, LONGEST = 2.0, 8.0, 15.0  # Å between centres of mass


def distorted(name: str, rng: np.random.Generator) -> ase.Atoms:
    """The fragment about its centre of mass, turned at random, every atom moved by about 0.03 Å."""
    atoms: ase.Atoms = FRAGMENTS[name][0].copy()
    if len(atoms) > 1:
        atoms.positions += rng.normal(scale=0.02 if name == "CN-" else 0.03, size=atoms.positions.shape)
    atoms.positions -= atoms.get_center_of_mass()
    atoms.positions = atoms.positions @ Rotation.random(random_state=rng).as_matrix().T
    return atoms


def pair(names: tuple[str, str], span: tuple[float, float], contact: float, rng: np.random.Generator) -> ase.Atoms:
    """Two fragments with their centres ``span`` apart, more often close than far, never closer than ``contact``."""
    while True:
        parts = [distorted(name, rng) for name in names]
        distance = 1 / rng.uniform(1 / span[1], 1 / span[0])
        parts[1].positions += distance * direction(rng)
        gaps = np.linalg.norm(parts[0].positions[:, None] - parts[1].positions[None], axis=-1)
        if gaps.min() > contact:
            break
    out = parts[0] + parts[1]
    charges = [FRAGMENTS[name][1] for name in names]
    out.arrays["fragment"] = np.repeat([0, 1], [len(part) for part in parts])
    out.info = {
        "group": f"{names[0]} {names[1]}",
        "distance": round(distance, 6),
        "charge": sum(charges),
        "fragment_charges": charges,
    }
    return out


def direction(rng: np.random.Generator) -> NDArray[np.float64]:
    """A point on the unit sphere."""
    v = rng.normal(size=3)
    return np.asarray(v / np.linalg.norm(v))


def monomer(name: str, rng: np.random.Generator) -> ase.Atoms:
    """One fragment alone."""
    out = distorted(name, rng)
    out.info = {"group": name, "charge": FRAGMENTS[name][1]}
    return out


def charged_pairs() -> list[ase.Atoms]:
    """The structures of ``embedded:charged_pairs_near`` and ``_far``."""
    rng = np.random.default_rng(2026)
    frames = [monomer(name, rng) for name, count in MONOMERS.items() for _ in range(count)]
    for names, (near, far, contact) in PAIRS.items():
        frames += [pair(names, (NEAR, FAR), contact, rng) for _ in range(near)]
        frames += [pair(names, (FAR, LONGEST), contact, rng) for _ in range(far)]
    frames += [monomer(name, rng) for name, count in MORE_MONOMERS[0].items() for _ in range(count)]
    for names, (_, _, contact) in PAIRS.items():
        frames += [pair(names, (MIDDLE, FAR), contact, rng) for _ in range(MIDDLE_PAIRS)]
    frames += [monomer(name, rng) for name, count in MORE_MONOMERS[1].items() for _ in range(count)]
    for names, count in MORE_MIDDLE_PAIRS.items():
        frames += [pair(names, (MIDDLE, FAR), PAIRS[names][2], rng) for _ in range(count)]
    return frames


def dissociation() -> list[ase.Atoms]:
    """The structures of ``embedded:dissociation_near`` and ``_far``."""
    rng = np.random.default_rng(2027)
    frames = [monomer(name, rng) for name, count in ALONE.items() for _ in range(count)]
    for names, (near, far, contact) in DISSOCIATING.items():
        frames += [pair(names, (NEAR, FAR), contact, rng) for _ in range(near)]
        frames += [pair(names, (FAR, LONGEST), contact, rng) for _ in range(far)]
    return frames


def main(*words: str) -> None:
    """Write every structure of a set (charged_pairs unless named) to a file (extxyz)."""
    name, path = ("charged_pairs", *words)[-2:]
    ase.io.write(path, {"charged_pairs": charged_pairs, "dissociation": dissociation}[name](), format="extxyz")


if __name__ == "__main__":
    main(*sys.argv[1:])
