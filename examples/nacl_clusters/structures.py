"""Structures of Na9Cl8+ and Na8Cl8+, total charge +1 both: between them a sodium atom, which takes an electron along.

Ko, Finkler, Goedecker & Behler, Nat. Commun. 12, 398 (2021). 3 × 3 × 2 ions of rock salt without one chloride are
Na9Cl8+; without the sodium at the opposite corner, too, Na8Cl8+ has a hole. Both are relaxed by GFN2-xTB and shaken by
their own vibrations, classical and harmonic, at 100 to 500 K; half of the Na8Cl8+ are shaken Na9Cl8+ without the
sodium, so that nothing but the charges tells them apart far from it.

    python structures.py structures.xyz            # half a minute
    farfield label structures.xyz --engine tblite  # six minutes; structures_labelled.xyz
"""

import sys

import ase
import ase.calculators.calculator
import ase.io
import numpy as np
from ase.optimize import BFGS
from ase.units import kB
from numpy.typing import NDArray

from farfield.reference.tblite import TBLiteEngine

FRAMES = 2500  # drawn of each composition
CLOSEST = 2.1  # Å; what a harmonic draw brings closer together is left out (a twelfth)
TEMPERATURES = (100.0, 200.0, 300.0, 400.0, 500.0)  # K
SOFTEST = 0.15  # eV/Å², curvature below which a mode is shaken no further: such modes are not harmonic
CORNER = 2.8  # Å, of the ideal lattice


class Engine(ase.calculators.calculator.Calculator):
    """The labels' own method as an ASE calculator."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        """Energy and forces."""
        super().calculate(atoms, properties, system_changes)
        label = TBLiteEngine().label(self.atoms)
        self.results = {"energy": label.energy, "forces": label.forces}


def ideal() -> ase.Atoms:
    """Na9Cl8+ as cut from the crystal, the sodium that can leave last."""
    grid = np.array([(x, y, z) for x in range(3) for y in range(3) for z in range(2)])
    symbols = np.where(grid.sum(1) % 2 == 0, "Na", "Cl")
    corner = np.flatnonzero((grid == (0, 0, 1)).all(1))[0]  # a chloride
    last = np.flatnonzero((grid == (2, 2, 0)).all(1))[0]
    order = [k for k in range(len(grid)) if k not in (corner, last)] + [last]
    return ase.Atoms(symbols[order], grid[order] * CORNER)


def without_sodium(atoms: ase.Atoms) -> ase.Atoms:
    """Na8Cl8+ out of Na9Cl8+: the electron leaves with the atom."""
    out = atoms[:-1]
    out.info = {"group": "Na8Cl8+", "charge": 1, "spin": 1}
    return out


def relaxed(atoms: ase.Atoms) -> ase.Atoms:
    """The minimum nearest to ``atoms``."""
    out = atoms.copy()
    out.calc = Engine()
    BFGS(out, logfile=None).run(fmax=2e-3, steps=300)
    out.calc = None
    return out


def hessian(atoms: ase.Atoms, step: float = 0.01) -> NDArray[np.float64]:
    """Second derivatives of the energy ``(3 atoms, 3 atoms)``, eV/Å²."""
    rows = []
    for k in range(3 * len(atoms)):
        forces = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions.flat[k] += sign * step
            forces.append(TBLiteEngine().label(moved).forces.ravel())
        rows.append((forces[1] - forces[0]) / (2 * step))
    matrix = np.array(rows)
    return 0.5 * (matrix + matrix.T)


def shaken(atoms: ase.Atoms, curvature: NDArray[np.float64], count: int, rng: np.random.Generator) -> list[ase.Atoms]:
    """``count`` structures around a minimum, an equal part at every temperature."""
    stiffness, modes = np.linalg.eigh(curvature)
    stiffness, modes = stiffness[6:], modes[:, 6:]  # without translations and rotations
    out = []
    for k in range(count):
        width = np.sqrt(kB * TEMPERATURES[k % len(TEMPERATURES)] / np.maximum(stiffness, SOFTEST))
        moved = atoms.copy()
        moved.positions += (modes @ (width * rng.normal(size=len(width)))).reshape(-1, 3)
        out.append(moved)
    return out


def closest(atoms: ase.Atoms) -> float:
    """Shortest distance, Å."""
    return float(atoms.get_all_distances()[np.triu_indices(len(atoms), 1)].min())


def main(path: str) -> None:
    """Write every structure to ``path`` (extxyz), shuffled."""
    rng = np.random.default_rng(2021)
    start = ideal()
    start.info = {"group": "Na9Cl8+", "charge": 1, "spin": 0}
    whole = relaxed(start)
    curvature = hessian(whole)
    frames = shaken(whole, curvature, FRAMES, rng)
    frames += [without_sodium(atoms) for atoms in shaken(whole, curvature, FRAMES // 2, rng)]
    hole = relaxed(without_sodium(whole))
    frames += shaken(hole, hessian(hole), FRAMES - FRAMES // 2, rng)
    shuffled = [frames[k] for k in rng.permutation(len(frames))]
    ase.io.write(path, [atoms for atoms in shuffled if closest(atoms) > CLOSEST], format="extxyz")


if __name__ == "__main__":
    main(sys.argv[1])
